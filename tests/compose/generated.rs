//! Projects that nobody would write, made by chance: variables, merges, services that extend others,
//! profiles, dependencies and ports, in each other's way.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::compare;
use crate::oracle::Oracle;
use crate::projects::Project;

/// Compares so many projects; the first that differs is shown in its smallest form.
pub fn compared(count: usize, oracles: &[Oracle]) -> Result<(), String> {
    let seed = std::env::var("PROVISION_COMPOSE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1_u64);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = project();
    for number in 0..count {
        let mut tree = strategy.new_tree(&mut runner).map_err(|reason| reason.to_string())?;
        let check = |files: Vec<(String, String)>| compare(&Project::new("generated", files), oracles);
        let Err(mut problem) = check(tree.current()) else { continue };
        // The smallest that still differs.
        for _ in 0..300 {
            if !tree.simplify() {
                break;
            }
            while let Err(smaller) = check(tree.current()) {
                problem = smaller;
                if !tree.simplify() {
                    return Err(format!("number {number} of seed {seed}: {problem}"));
                }
            }
            if !tree.complicate() {
                break;
            }
        }
        return Err(format!("number {number} of seed {seed}: {problem}"));
    }
    Ok(())
}

fn project() -> impl Strategy<Value = Vec<(String, String)>> {
    let files = (
        prop::option::of(env()),
        compose(),
        prop::option::weighted(0.4, compose()),
        prop::option::weighted(0.5, compose()),
        prop::option::weighted(0.3, compose()),
        prop::option::weighted(0.3, env()),
    );
    files.prop_map(|(env, first, over, base, included, own_env)| {
        let mut files = vec![("compose.yaml".to_owned(), first)];
        let mut put = |path: &str, text: Option<String>| {
            if let Some(text) = text {
                files.push((path.to_owned(), text));
            }
        };
        put(".env", env);
        put("compose.override.yaml", over);
        put("base.yaml", base);
        put("sub/compose.yaml", included);
        put("sub/.env", own_env);
        put("a.env", Some("A=1\n".into()));
        files
    })
}

fn env() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        (name(), value()).prop_map(|(name, value)| format!("{name}={value}\n")),
        (name(), value()).prop_map(|(name, value)| format!("export {name}=\"{value}\"\n")),
        (name(), value()).prop_map(|(name, value)| format!("{name}='{value}'\n")),
        (name(), name()).prop_map(|(name, other)| format!("{name}=x${{{other}:-y}}\n")),
        Just("# a comment\n\n".to_owned()),
        prop::sample::select(vec!["COMPOSE_PROFILES=p\n", "COMPOSE_PROFILES=p,q\n", "COMPOSE_PROFILES=\n"])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(line, 0..5).prop_map(|lines| lines.concat())
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["A", "B", "C", "TAG"])
}

fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "1", "80", "x", "a b", "true", "8080:80", "x#y", "v1.2"])
}

fn service_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "command", "test", "env_file"])
}

/// A value that may be a variable.
fn variable(plain: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(plain).prop_map(str::to_owned),
        1 => (name(), prop::sample::select(plain)).prop_map(|(name, plain)| format!("\"${{{name}:-{plain}}}\"")),
        1 => (name(), prop::sample::select(plain)).prop_map(|(name, plain)| format!("\"${{{name}+{plain}}}\"")),
        1 => name().prop_map(|name| format!("\"${name}\"")),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => variable(&["nginx:1.27", "redis", "ghcr.io/x/y:2", "UPPER", ""]).prop_map(|v| format!("image: {v}")),
        2 => port().prop_map(|port| format!("ports: [{port}]")),
        2 => (port(), port()).prop_map(|(a, b)| format!("ports: [{a}, {b}]")),
        1 => port().prop_map(|port| format!("ports: !override [{port}]")),
        1 => Just("ports: !reset []".to_owned()),
        2 => service_name().prop_map(|name| format!("depends_on: [{name}]")),
        2 => (service_name(), prop::sample::select(vec!["service_started", "service_healthy", "service_completed_successfully"]), prop::sample::select(vec!["true", "false", "FALSE"]))
            .prop_map(|(name, condition, required)| format!("depends_on: {{{name}: {{condition: {condition}, required: {required}}}}}")),
        2 => service_name().prop_map(|name| format!("extends: {name}")),
        2 => service_name().prop_map(|name| format!("extends: {{service: {name}, file: base.yaml}}")),
        1 => Just("profiles: [p]".to_owned()),
        1 => Just("profiles: [q, r]".to_owned()),
        1 => Just("build: .".to_owned()),
        1 => Just("build: {context: ., args: [A=1]}".to_owned()),
        1 => variable(&["always", "no", "unless-stopped", "\"no\""]).prop_map(|v| format!("restart: {v}")),
        1 => Just("restart: !reset null".to_owned()),
        1 => prop::sample::select(vec!["{test: [CMD, x]}", "{test: x}", "{disable: true}", "{test: [NONE]}", "{test: []}", "{interval: 5s}", "{interval: 5}"])
            .prop_map(|v| format!("healthcheck: {v}")),
        1 => variable(&["1", "2", "0", "0x2", "\"3\"", "two"]).prop_map(|v| format!("scale: {v}")),
        1 => variable(&["2", "1"]).prop_map(|v| format!("deploy: {{replicas: {v}}}")),
        1 => variable(&["linux/amd64", "linux/arm64"]).prop_map(|v| format!("platform: {v}")),
        1 => prop::sample::select(vec!["host", "none", "service:a", "service:b", "bridge", "\"\""]).prop_map(|v| format!("network_mode: {v}")),
        1 => service_name().prop_map(|name| format!("links: [\"{name}:x\"]")),
        1 => prop::sample::select(vec!["[a.env]", "a.env", "[{path: a.env}]", "[{path: b.env, required: false}]", "b.env"]).prop_map(|v| format!("env_file: {v}")),
        1 => variable(&["x", "[x, y]", "\"sh -c 'x'\"", "null", "{a: b}"]).prop_map(|v| format!("command: {v}")),
        1 => prop::sample::select(vec!["{A: 1, B: x}", "[A=1, B]", "{A: }", "{A: [x]}", "A"]).prop_map(|v| format!("environment: {v}")),
        1 => prop::sample::select(vec!["[front]", "{front: {aliases: [x]}}", "[default]", "[other]"]).prop_map(|v| format!("networks: {v}")),
        1 => prop::sample::select(vec!["[\"data:/data\"]", "[\"./x:/data\"]", "[\"/x\"]", "[\"none:/y\"]", "[{type: volume, source: data, target: /z}]", "[\":/x\"]"])
            .prop_map(|v| format!("volumes: {v}")),
        1 => variable(&["true", "false", "yes", "1"]).prop_map(|v| format!("privileged: {v}")),
        1 => variable(&["512m", "1g", "1024", "x"]).prop_map(|v| format!("mem_limit: {v}")),
        1 => prop::sample::select(vec!["hostname: 1", "user: 1000", "user: \"1000\"", "unheard: x", "x-note: y", "labels: [a, a]", "stop_grace_period: 1m30s"])
            .prop_map(str::to_owned),
    ]
}

fn port() -> impl Strategy<Value = String> {
    prop_oneof![
        variable(&["\"80:80\"", "\"81:80\"", "\"127.0.0.1:82:80\"", "\"90-91:90-91\"", "80", "\"83:80/udp\"", "\":84:80\"", "\"x\""])
            .prop_filter("no quotes in quotes", |text| text.matches('"').count() <= 2),
        prop::sample::select(vec!["{target: 80, published: \"85\"}", "{target: 80}", "{target: \"80\", published: 86, protocol: udp}"])
            .prop_map(str::to_owned),
    ]
}

fn service() -> impl Strategy<Value = String> {
    prop::collection::vec(key(), 1..5).prop_map(|keys| {
        let mut seen = std::collections::HashSet::new();
        let keys = keys.into_iter().filter(|key| seen.insert(key.split(':').next().unwrap_or_default().to_owned()));
        keys.map(|key| format!("    {key}\n")).collect()
    })
}

fn compose() -> impl Strategy<Value = String> {
    let services = prop::collection::btree_map(service_name(), service(), 1..4);
    let more = (
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.15),
        prop::option::weighted(0.1, prop::sample::select(vec!["one", "Two Three", "${A:-four}"])),
    );
    (services, more).prop_map(|(services, (networks, volumes, include, name))| {
        let mut text = String::new();
        if let Some(name) = name {
            text += &format!("name: \"{name}\"\n");
        }
        if include {
            text += "include: [sub/compose.yaml]\n";
        }
        text += "services:\n";
        for (name, service) in services {
            text += &format!("  {name}:\n{service}");
        }
        if networks {
            text += "networks: {front: {}}\n";
        }
        if volumes {
            text += "volumes: {data: {}}\n";
        }
        text
    })
}
