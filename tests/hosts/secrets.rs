//! Secrets that a person gives or changes, with a small stack.

use std::io::Write;
use std::process::Stdio;

use libtest_mimic::Failed;

use super::Story;
use super::lab::{Did, Folder, Host, Layer, eventually};

pub const STORIES: &[Story] = &[("secrets::given", given)];

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
    without.provision(&secrets(&["rotate", "page", "--yes"])).expect(3).said(&["run `provision up` first"]);
    without.provision(&secrets(&["rotate", "pago", "--yes"])).expect(2).said(&["did you mean `page`?"]);
    without.provision(&secrets(&["rotate", "cache", "--yes"])).expect(2).said(&["set cache"]);
    for (value, expected) in [("", "is empty"), ("a b", "alone may stand"), ("a\nb", "a control character")] {
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
