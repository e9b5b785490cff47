//! Projects made by chance, unlike any that a person would write: variables, merges, services that extend others,
//! profiles, dependencies and ports, in each other's way.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::compare;
use crate::oracle::Oracle;
use crate::projects::Project;

/// Compares so many projects; the first that differs is shown in its smallest form.
pub fn compared(count: usize, oracles: &[Oracle]) -> Result<(), String> {
    let seed =
        std::env::var("PROVISION_COMPOSE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1_u64);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = project();
    let mut accepted = 0;
    for number in 0..count {
        let mut tree = strategy.new_tree(&mut runner).map_err(|reason| reason.to_string())?;
        let check = |files: Vec<(String, String)>| compare(&Project::new("generated", files), oracles);
        let first = tree.current();
        accepted +=
            usize::from(crate::ours::read(Project::new("generated", first.clone()).write().path()).is_ok());
        let Err(mut problem) = check(first) else { continue };
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
    eprintln!("{accepted} of {count} generated projects are accepted");
    // Where next to none is, nothing but refusals is compared.
    match accepted * 5 < count {
        true => Err(format!("only {accepted} of {count} generated projects are accepted")),
        false => Ok(()),
    }
}

fn project() -> impl Strategy<Value = Vec<(String, String)>> {
    let files = (
        prop::option::of(env()),
        compose("", true),
        prop::option::weighted(0.4, compose("", false)),
        compose("base-", true),
        prop::option::weighted(0.3, compose("sub-", true)),
        prop::option::weighted(0.3, env()),
    );
    files.prop_map(|(env, first, over, base, included, own_env)| {
        let mut first = first;
        if included.is_some() {
            first.insert_str(0, "include: [sub/compose.yaml]\n");
        }
        let mut files = vec![("compose.yaml".to_owned(), first), ("base.yaml".to_owned(), base)];
        let mut put = |path: &str, text: Option<String>| {
            if let Some(text) = text {
                files.push((path.to_owned(), text));
            }
        };
        put(".env", env);
        put("compose.override.yaml", over);
        put("sub/compose.yaml", included.map(|text| text.replace("base.yaml", "../base.yaml")));
        put("sub/.env", own_env);
        for folder in ["", "sub/"] {
            put(&format!("{folder}a.env"), Some("A=1\nC=${A}\n".into()));
        }
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
    prop::sample::select(vec!["1", "80", "x", "a b", "true", "8080:80", "x#y", "v1.2", ""])
}

/// Names of services, some of which are those of keys.
const NAMES: [&str; 6] = ["a", "command", "test", "b", "env_file", "c"];

/// A value that may come out of a variable.
fn variable(plain: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        12 => prop::sample::select(plain).prop_map(str::to_owned),
        2 => (name(), prop::sample::select(plain))
            .prop_map(|(name, plain)| format!("\"${{{name}X:-{}}}\"", plain.trim_matches('"'))),
        1 => (name(), prop::sample::select(plain))
            .prop_map(|(name, plain)| format!("\"${{{name}:-{}}}\"", plain.trim_matches('"'))),
    ]
}

/// Keys that Compose takes. `@LATER` stands for a service further down, `@BASE` for one of the other
/// file.
fn right() -> impl Strategy<Value = String> {
    let select = |values: &'static [&'static str]| prop::sample::select(values);
    prop_oneof![
        3 => port().prop_map(|port| format!("ports: [{port}]")),
        2 => (port(), port()).prop_map(|(a, b)| format!("ports: [{a}, {b}]")),
        1 => port().prop_map(|port| format!("ports: !override [{port}]")),
        1 => Just("ports: !reset []".to_owned()),
        2 => Just("depends_on: [@LATER]".to_owned()),
        3 => (
            select(&["service_started", "service_healthy", "service_completed_successfully"]),
            select(&["true", "false", "FALSE"]),
        )
            .prop_map(|(when, required)| format!("depends_on: {{@LATER: {{condition: {when}, required: {required}}}}}")),
        3 => Just("extends: @LATER".to_owned()),
        3 => Just("extends: {service: @BASE, file: base.yaml}".to_owned()),
        1 => Just("profiles: [p]".to_owned()),
        1 => Just("profiles: [q, r]".to_owned()),
        1 => Just("build: .".to_owned()),
        1 => Just("build: {context: ., args: [A=1]}".to_owned()),
        1 => variable(&["always", "unless-stopped", "\"no\""]).prop_map(|v| format!("restart: {v}")),
        1 => Just("restart: !reset null".to_owned()),
        2 => select(&["{test: [CMD, x]}", "{test: x}", "{disable: true}", "{test: [NONE]}", "{test: []}", "{interval: 5s}"])
            .prop_map(|v| format!("healthcheck: {v}")),
        1 => variable(&["1", "2", "0", "\"3\""]).prop_map(|v| format!("scale: {v}")),
        1 => variable(&["2", "1", "0x2"]).prop_map(|v| format!("deploy: {{replicas: {v}}}")),
        1 => variable(&["linux/amd64", "linux/arm64"]).prop_map(|v| format!("platform: {v}")),
        1 => select(&["host", "none", "service:@LATER", "bridge", "\"\""]).prop_map(|v| format!("network_mode: {v}")),
        1 => Just("links: [\"@LATER:x\"]".to_owned()),
        1 => Just("volumes_from: [\"@LATER:ro\"]".to_owned()),
        2 => select(&["[a.env]", "a.env", "[{path: a.env}]", "[{path: b.env, required: false}]"])
            .prop_map(|v| format!("env_file: {v}")),
        1 => variable(&["x", "[x, y]", "sh -c 'x'", "null"]).prop_map(|v| format!("command: {v}")),
        2 => select(&["{A: 1, B: x}", "[A=1, B]", "{A: , C: true, D: 1.5}"]).prop_map(|v| format!("environment: {v}")),
        1 => select(&["[front]", "{front: {aliases: [x]}}", "[default]", "{front: , default: }"])
            .prop_map(|v| format!("networks: {v}")),
        2 => select(&["[\"data:/data\"]", "[\"/x\"]", "[\"data:/data/:ro\", \"/x\"]", "[{type: volume, source: data, target: /z}]"])
            .prop_map(|v| format!("volumes: {v}")),
        1 => variable(&["true", "false", "yes", "No"]).prop_map(|v| format!("privileged: {v}")),
        1 => variable(&["512m", "1g", "1024"]).prop_map(|v| format!("mem_limit: {v}")),
        1 => select(&["user: \"1000\"", "x-note: y", "labels: {a: 1}", "labels: [a=1]", "stop_grace_period: 1m30s", "container_name: @LATER-x"])
            .prop_map(str::to_owned),
    ]
}

/// Keys that it mostly refuses.
fn wrong() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "hostname: 1",
        "user: 1000",
        "unheard: x",
        "labels: [a, a]",
        "environment: {A: [x]}",
        "environment: A",
        "volumes: [\":/x\"]",
        "volumes: [\"none:/y\"]",
        "networks: [none]",
        "mem_limit: x",
        "privileged: 1",
        "env_file: none.env",
        "command: {a: b}",
        "command: \"sh -c 'x\"",
        "scale: two",
        "healthcheck: {interval: 5}",
        "depends_on: [none]",
        "extends: none",
        "ports: [x]",
        "restart: ",
        "secrets: [none]",
        "cap_add: ALL",
    ])
    .prop_map(str::to_owned)
}

fn port() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => (8000..8900_u16, prop::sample::select(vec!["", "/udp"])).prop_map(|(port, kind)| format!("\"{port}:80{kind}\"")),
        1 => (8000..8900_u16).prop_map(|port| format!("\"127.0.0.1:{port}:80\"")),
        1 => (8000..8900_u16).prop_map(|port| format!("\"${{AX:-{port}}}:80\"")),
        1 => (8000..8900_u16).prop_map(|port| format!("\"${{AX}}:{port}:80\"")),
        1 => (8000..8900_u16).prop_map(|port| format!("\"{port}-{}:90-91\"", port + 1)),
        1 => (8000..8900_u16).prop_map(|port| format!("{{target: 80, published: \"{port}\"}}")),
        1 => (8000..8900_u16).prop_map(|port| format!("{{target: \"80\", published: {port}, protocol: udp}}")),
        1 => Just("80".to_owned()),
        1 => Just("{target: 80}".to_owned()),
    ]
}

/// The keys of a service; some names of services are only known once all are there.
fn service(with_image: bool) -> impl Strategy<Value = Vec<String>> {
    let key = prop_oneof![100 => right(), 1 => wrong()];
    let image =
        variable(&["nginx:1.27", "redis", "ghcr.io/x/y:2"]).prop_map(|image| format!("image: {image}"));
    let first = prop::option::weighted(if with_image { 0.97 } else { 0.3 }, image);
    (first, prop::collection::vec(key, 0..4)).prop_map(|(first, keys)| {
        let mut seen = std::collections::HashSet::new();
        let keys = first.into_iter().chain(keys);
        keys.filter(|key| seen.insert(key.split(':').next().unwrap_or_default().to_owned())).collect()
    })
}

fn compose(prefix: &'static str, is_whole: bool) -> impl Strategy<Value = String> {
    let count = if is_whole && prefix == "base-" { NAMES.len()..NAMES.len() + 1 } else { 1..NAMES.len() };
    let services = prop::collection::vec(service(is_whole), count);
    let name = prop::option::weighted(0.1, prop::sample::select(vec!["one", "Two Three", "${A:-four}"]));
    (services, name).prop_map(move |(services, name)| {
        let mut text = String::new();
        if let Some(name) = name {
            text += &format!("name: \"{name}\"\n");
        }
        text += "services:\n";
        let count = services.len();
        for (at, keys) in services.into_iter().enumerate() {
            text += &format!("  {prefix}{}:\n", NAMES[at]);
            let before = text.len();
            for key in keys {
                let later =
                    (at + 1 < count).then(|| format!("{prefix}{}", NAMES[at + 1 + at % (count - at - 1)]));
                let key = match later {
                    None if key.contains("@LATER") => continue,
                    later => key.replace("@LATER", &later.unwrap_or_default()),
                };
                // The other file's own services go down alone.
                if prefix == "base-" && key.contains("@BASE") {
                    continue;
                }
                text += &format!("    {}\n", key.replace("@BASE", &format!("base-{}", NAMES[at])));
            }
            if text.len() == before {
                text += "    image: x\n";
            }
        }
        if is_whole {
            text += match prefix {
                "sub-" => "",
                _ => "networks: {front: {}}\nvolumes: {data: {}}\n",
            };
        }
        text
    })
}
