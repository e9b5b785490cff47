//! Secrets that a person gives or changes, with a small stack.

use std::io::Write;
use std::process::Stdio;

use libtest_mimic::Failed;

use super::Story;
use super::lab::{Did, Folder, Host, Layer, eventually};

pub const STORIES: &[Story] = &[("secrets::given", given), ("secrets::any_text", any_text)];

const COMPOSE: &str = r#"
name: shop
services:
  cache:
    image: redis:8
    command: [redis-server, /run/secrets/redis.conf]
    user: "999:999"
    secrets: [redis.conf]
    stop_grace_period: 2s
  client:
    image: redis:8
    command: [sleep, infinity]
    env_file: /etc/provision/secrets/shop/client.env
    depends_on: [cache]
    stop_grace_period: 1s
  proof:
    profiles: [proof]
    image: redis:8
    env_file: /etc/provision/secrets/shop/client.env
    command: [sh, -c, "redis-cli -h cache ping | grep -qx PONG && echo it answers"]
secrets:
  redis.conf: {file: /etc/provision/secrets/shop/redis.conf}
"#;

const SETTINGS: &str = r#"
[steps.stack]
proof = "proof"

[steps.secrets]
generate = ["page"]
given = ["cache"]
files = [
  { path = "redis.conf", owner = "999:999", lines = ["requirepass {cache}"] },
  { path = "client.env", lines = ["REDISCLI_AUTH={cache}", "PAGE={page}"] },
]
"#;

/// A value on stdin, as a person pipes it.
fn piped(folder: &Folder, value: &str, arguments: &[&str]) -> Did {
    let mut child = folder.command(arguments).stdin(Stdio::piped()).spawn().expect("provision");
    let mut stdin = child.stdin.take().expect("a pipe");
    // Refused before it is read: nobody listens.
    let _ = stdin.write_all(value.as_bytes());
    drop(stdin);
    Did::from(child.wait_with_output().expect("provision"))
}

/// What Redis says to that password.
fn ping(host: &Host, password: &str) -> bool {
    let said =
        host.inside(&format!("docker exec -e REDISCLI_AUTH={password} shop-cache-1 redis-cli ping 2>&1"));
    said.lines().any(|line| line == "PONG")
}

/// Given by the environment; other values on stdin and by the host; a run that ends in between is
/// finished by the next one; nothing of it is written down.
fn given() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty().with("PROVISION_SECRET_CACHE", "von-aussen.1");
    let without = Folder::empty();
    for each in [&folder, &without] {
        each.write("compose.yaml", COMPOSE);
        each.settings(SETTINGS);
    }
    let host_name = host.name.clone();
    let secrets = |more: &[&'static str]| [&["secrets", host_name.as_str()], more].concat();

    // What cannot be.
    let did = without.provision(&["plan", &host.name]);
    did.expect(0);
    assert!(did.stdout.contains("take the secret cache, which will be asked for"), "{}", did.stdout);
    let did = without.provision(&["up", &host.name, "--yes"]);
    did.expect(3).said(&["PROVISION_SECRET_CACHE", "set cache", "nothing was changed"]);
    without
        .provision(&secrets(&["rotate", "page", "--yes"]))
        .expect(3)
        .said(&["run `provision up` with this host first"]);
    without.provision(&secrets(&["rotate", "pago", "--yes"])).expect(2).said(&["did you mean `page`?"]);
    without.provision(&secrets(&["rotate", "cache", "--yes"])).expect(2).said(&["set cache"]);
    for (value, expected) in [("", "is empty"), ("a\0b", "a NUL character"), ("\n", "is empty")] {
        piped(&without, value, &secrets(&["set", "cache"])).expect(2).said(&[expected]);
    }
    assert_eq!(host.inside("ls /etc/provision 2>/dev/null || true"), "", "nothing was changed");

    folder.provision(&["up", &host.name, "--yes"]).expect(0).said(&["take the secret cache"]);
    assert!(ping(&host, "von-aussen.1"));
    without.provision(&["up", &host.name, "--yes"]).expect(0).said(&["nothing to change"]);

    // Nobody says yes: nothing of it stays.
    piped(&without, "neu~2", &secrets(&["set", "cache"])).expect(10);
    assert_eq!(host.inside("ls /etc/provision/secrets/shop/values"), "cache\npage\n");
    let did = piped(&without, "neu~2\n", &secrets(&["set", "cache", "--yes", "--json"]));
    did.expect(0);
    assert_eq!(did.ended("applied"), ["secrets/rotated", "stack/up", "stack/proof"]);
    assert!(ping(&host, "neu~2") && !ping(&host, "von-aussen.1"));
    let client = host.inside("docker exec shop-client-1 redis-cli -h cache ping");
    assert_eq!(client.trim(), "PONG", "who uses it has the new one");

    // The runner is killed while the stack stops and starts.
    let mut left = without.spawn(&secrets(&["rotate", "page", "--yes"]));
    eventually("the start is under way", || {
        host.inside(
            "tail -n 1 /var/lib/provision/runs/*/journal | cat; cat /var/lib/provision/runs/*/journal",
        )
        .lines()
        .rev()
        .take(6)
        .any(|line| line.contains("change start 002 stack/up"))
    });
    host.inside("systemctl kill --signal=KILL 'provision-run-*.service'");
    assert_eq!(left.wait()?.code(), Some(6), "a run that is killed has failed");
    let value = host.inside("cat /etc/provision/secrets/shop/values/page");
    let plan = without.planned(&host);
    assert_eq!(plan, ["stack/up", "stack/proof"], "the rest of it");
    without.provision(&["up", &host.name, "--yes"]).expect(0).said(&["its secrets have changed"]);
    assert!(host.inside("docker exec shop-client-1 env").contains(&format!("PAGE={value}")));
    without.provision(&["up", &host.name, "--yes"]).expect(0).said(&["nothing to change"]);

    // A playbook that does not have it any more.
    without.settings("");
    without
        .provision(&secrets(&["rotate", "page", "--yes"]))
        .expect(2)
        .said(&["of the stack shop, and the playbook"]);

    let journals = host.inside("cat /var/lib/provision/runs/*/journal /var/lib/provision/runs/*/plan.json; journalctl -o cat --no-pager");
    let arguments = host.inside("cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    for value in ["von-aussen.1", "neu~2", value.trim()] {
        assert!(!journals.contains(value) && !arguments.contains(value), "{value} is written down");
    }
    Ok(())
}

/// Values that some place misreads if they stand there as they are.
const NASTY: [(&str, &str); 9] = [
    ("key", "AKIA/ab+cd="),
    ("long", "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4"),
    ("pem", "-----BEGIN PRIVATE KEY-----\nMIIE/v+=\n\tAB\n-----END PRIVATE KEY-----\n"),
    ("quotes", r#"it's "quoted" `twice`"#),
    ("dollar", "$HOME ${HOME} $$ $(id) a$"),
    ("hash", "# a #b \\n \\ \\\\"),
    ("space", "  both ends  "),
    ("unicode", "schön 🔑 \u{a0}end"),
    ("ends", "\\\"\r\n'"),
];

const ANY_TEXT: &str = r#"
name: nasty
services:
  app:
    image: busybox:1.36
    command: [sleep, infinity]
    stop_signal: SIGKILL
    env_file: /etc/provision/secrets/nasty/app.env
    secrets: [SECRETS]
secrets:
"#;

/// What a container sees is what was given, whichever way it gets there.
fn any_text() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let names: Vec<_> = NASTY.iter().map(|(name, _)| *name).collect();
    let mut compose = ANY_TEXT.replace("SECRETS", &names.join(", "));
    let (mut files, mut lines) = (String::new(), String::new());
    for name in &names {
        compose.push_str(&format!("  {name}: {{file: /etc/provision/secrets/nasty/{name}}}\n"));
        files.push_str(&format!("  {{ path = \"{name}\", lines = [\"{{{name}}}\"] }},\n"));
        lines.push_str(&format!("\"V_{name}={{{name}}}\", \"U_{name}=db://u:{{{name}}}@h/d\", "));
    }
    let folder = Folder::empty();
    folder.write("compose.yaml", &compose);
    folder.settings(&format!(
        "[steps.secrets]\ngiven = {names:?}\nfiles = [\n{files}  {{ path = \"app.env\", lines = [{lines}] }},\n]\n"
    ));
    let folder = NASTY.iter().take(8).fold(folder, |folder, (name, value)| {
        let variable: &'static str = Box::leak(format!("PROVISION_SECRET_{}", name.to_uppercase()).into());
        folder.with(variable, value)
    });
    let (name, value) = NASTY[8];
    piped(&folder, &format!("{value}\n"), &["secrets", &host.name, "set", name]).expect(0);
    folder.provision(&["up", &host.name, "--yes"]).expect(0);
    let container = host.inside("docker inspect -f '{{json .Config.Env}}' nasty-app-1");
    let seen: Vec<String> = serde_json::from_str(&container)?;
    let variable = |name: String| {
        let start = format!("{name}=");
        seen.iter().find_map(|entry| entry.strip_prefix(&start)).map(str::to_owned)
    };
    for (name, value) in NASTY {
        assert_eq!(variable(format!("V_{name}")).as_deref(), Some(value), "{name} in the environment");
        let address = variable(format!("U_{name}")).unwrap_or_default();
        let encoded = address.strip_prefix("db://u:").and_then(|rest| rest.strip_suffix("@h/d"));
        assert_eq!(encoded.map(decoded).as_deref(), Some(value), "{name} in an address: {address}");
        let bytes = host.inside(&format!("docker exec nasty-app-1 od -An -v -tx1 /run/secrets/{name}"));
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!(" {byte:02x}")).collect::<String>();
        assert_eq!(bytes.replace('\n', ""), hex(value.as_bytes()), "{name} as a file");
        let shown = folder.provision(&["secrets", &host.name, "show", name]).stdout;
        assert_eq!(shown.strip_suffix('\n').filter(|_| !value.ends_with('\n')).unwrap_or(&shown), value);
    }
    folder.provision(&["up", &host.name, "--yes"]).expect(0).said(&["nothing to change"]);
    Ok(())
}

/// A percent-encoded text.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (byte, length) = match rest.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if first == '%' => (byte, 3),
            _ => (first as u8, first.len_utf8()),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
