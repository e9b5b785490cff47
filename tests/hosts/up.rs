//! The whole journey, on each kind of host and by each way to it.

use std::process::Command;

use libtest_mimic::Failed;

use super::Story;
use super::lab::{Did, Folder, Host, Layer, eventually, ids, ssh_config};

pub const STORIES: &[Story] = &[
    ("up::debian12", || journey("debian12")),
    ("up::debian12_docker", debian12_docker),
    ("up::debian13", debian13),
    ("up::debian13_docker", debian13_docker),
    ("up::debian13_sudo", || journey("debian13-sudo")),
    ("up::ubuntu2204", || journey("ubuntu2204")),
    ("up::ubuntu2404", || journey("ubuntu2404")),
    ("up::ubuntu2604", || journey("ubuntu2604")),
    ("up::ubuntu2604_sudo", || journey("ubuntu2604-sudo")),
    ("up::on_the_host_itself", on_the_host_itself),
    ("up::each_way_to_a_host", each_way_to_a_host),
    ("up::one_exec_however_many_steps", one_exec_however_many_steps),
    ("up::a_database_of_ones_own", a_database_of_ones_own),
];

fn journey(kind: &str) -> Result<(), Failed> {
    travel(&Host::make(kind)).map(|_| ())
}

/// Plan, up, look, up again; what was changed.
fn travel(host: &Host) -> Result<Vec<String>, Failed> {
    let folder = Folder::with_stack().with("PROVISION_SUDO_PASSWORD", "lab-secret");

    let planned = folder.plan(&host.name);
    let did = folder.provision(&["up", &host.name, "--yes", "--json"]);
    did.expect(0);
    assert_eq!(planned, did.plan(), "`plan` showed what `up` planned");
    let applied = did.ended("applied");
    assert_eq!(ids(&planned), applied, "what was planned is what was done, change by change");
    assert_eq!(did.ended("already-so"), Vec::<String>::new(), "and no change was idle");

    let page = host.get(8080)?;
    assert!(page.contains("three services, one page"), "{page}");
    assert!(host.inside("docker ps --format '{{.Names}}'").contains("three-web-1"));
    // The group docker is for those whose sudo asks nothing.
    let members = host.inside("getent group docker | cut -d: -f4");
    let asks = !host.inside("ls /etc/sudoers.d").contains("90-deploy");
    assert_eq!(members.trim(), if asks { "" } else { "deploy" });

    nothing_left(&folder, &host.name);
    Ok(applied)
}

fn nothing_left(folder: &Folder, host: &str) {
    let did = folder.provision(&["up", host]);
    did.expect(0).said(&["nothing to change"]);
    assert_eq!(did.stdout, "");
    assert_eq!(ids(&folder.plan(host)), Vec::<String>::new());
}

fn debian13() -> Result<(), Failed> {
    let host = Host::make("debian13");
    travel(&host)?;

    // What was made lasts.
    host.lab("reboot");
    eventually("the stack is back after a reboot", || host.get(8080).is_ok());
    eventually("nothing is to be changed after a reboot", || Folder::with_stack().planned(&host).is_empty());
    Ok(())
}

/// The distribution's Docker is too old to have Compose: docker.com's takes its place.
fn debian12_docker() -> Result<(), Failed> {
    let host = Host::make("debian12-docker");
    let applied = travel(&host)?;
    assert!(applied.contains(&"docker/engine".to_owned()), "{applied:?}");
    assert!(!host.try_root("dpkg -s docker.io | grep '^Status: install ok installed'").status.success());
    assert!(host.root("dpkg -s docker-ce").contains("Status: install ok installed"));
    Ok(())
}

/// The distribution's Docker is good enough, and stays.
fn debian13_docker() -> Result<(), Failed> {
    let host = Host::make("debian13-docker");
    let before = host.inside("dpkg-query -W 'docker*' containerd runc");
    let applied = travel(&host)?;
    assert!(!applied.iter().any(|id| id == "docker/engine" || id == "docker/repository"), "{applied:?}");
    assert_eq!(host.inside("dpkg-query -W 'docker*' containerd runc"), before);
    Ok(())
}

/// `local` plans and does the very same that is planned and done from outside.
fn on_the_host_itself() -> Result<(), Failed> {
    let host = Host::make("debian13-sudo");
    let folder = Folder::with_stack().with("PROVISION_SUDO_PASSWORD", "lab-secret");
    let from_outside = folder.plan(&host.name);

    let copied = Command::new("scp")
        .arg("-qrF")
        .arg(ssh_config())
        .arg(folder.path())
        .arg(format!("{}:stack", host.name))
        .status()?;
    assert!(copied.success());
    let copied = Command::new("scp")
        .arg("-qF")
        .arg(ssh_config())
        .arg(env!("CARGO_BIN_EXE_provision"))
        .arg(format!("{}:provision", host.name))
        .status()?;
    assert!(copied.success());
    let here = |arguments: &str| {
        host.ssh(&format!("cd stack && PROVISION_SUDO_PASSWORD=lab-secret ../provision {arguments}"))
    };

    let planned = Did::of(here("plan local --json")).plan();
    assert_eq!(planned, from_outside);
    let did = Did::of(here("up local --yes --json"));
    assert_eq!(did.ended("applied"), ids(&from_outside));
    assert!(host.get(8080)?.contains("three services, one page"));
    assert!(host.inside("docker ps --format '{{.Names}}'").contains("three-web-1"));

    assert!(here("up local 2>&1").contains("nothing to change"));
    nothing_left(&folder, &host.name);
    Ok(())
}

/// Root's own login, an address, a jump host, and several at once.
fn each_way_to_a_host() -> Result<(), Failed> {
    let (one, two) = (Host::on(Layer::DebianImages), Host::on(Layer::DebianImages));
    let folder = Folder::with_stack();
    let config = folder.path().join("ssh_config");
    let key = ssh_config().with_file_name("id_ed25519");
    folder.write(
        "ssh_config",
        &format!(
            "Include {lab}\n\
             Host 10.91.0.* inner\n  IdentityFile {key}\n  UserKnownHostsFile {known}\n\
             Host inner\n  HostName {address}\n  User deploy\n  ProxyJump {jump}\n",
            lab = ssh_config().display(),
            key = key.display(),
            known = folder.path().join("known_hosts").display(),
            address = two.address,
            jump = one.name,
        ),
    );
    folder.write(".provisionignore", "ssh_config\nknown_hosts\n");
    let config = config.to_str().expect("a path");

    let root = format!("root@{}", one.name);
    let address = format!("ssh://deploy@{}:22", two.address);
    let did = folder.provision(&["up", "-F", config, "--yes", &root, &address]);
    did.expect(0).said(&[&root, &address, "SHA256:"]);
    for host in [&one, &two] {
        assert!(host.get(8080)?.contains("three services, one page"));
    }
    // Root needs no group, deploy does.
    assert!(!one.inside("id -nG deploy").contains("docker"));
    assert!(two.inside("id -nG deploy").contains("docker"));
    folder.provision(&["up", "-F", config, &root, &address]).expect(0).said(&["nothing to change"]);

    folder.write("site/index.html", "<h1>by the jump host</h1>\n");
    folder.provision(&["up", "-F", config, "inner", "--yes"]).expect(0);
    assert!(two.get(8080)?.contains("by the jump host"));
    let log = two.inside("journalctl -t sshd -t sshd-session -o cat --no-pager");
    assert!(log.contains(&format!("Accepted publickey for deploy from {} ", one.address)), "{log}");
    Ok(())
}

/// With nothing to change, `up` is one login and one exec, whatever is asked.
///
/// A playbook takes each step once, so what is many here are steps together with
/// options, packages, members and files: each of them is a question.
fn one_exec_however_many_steps() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::with_stack();
    folder.write("few.toml", "steps = [\"machine\", \"packages\"]\n");
    folder.write(
        "many.toml",
        r#"
steps = ["machine", "packages", "docker", "user", "firewall", "stack"]

[options.firewall]
allow = [8080, "8443-8445", { port = 53, protocol = "udp", from = ["10.91.0.0/24", "fd91::/64"] }]

[options.machine]
cpus = 1
memory = "512 MB"
disk = "1 GB"

[options.packages]
install = ["ca-certificates", "curl", "less", "procps", "tzdata", "sudo", "iproute2", "kmod", "dbus", "udev"]

[options.docker]
version = ">=20"
hold = true

[options.docker.daemon]
debug = false
shutdown-timeout = 20

[options.user]
members = ["games", "nobody"]
"#,
    );
    for number in 0..40 {
        folder.write(&format!("files/{number}.txt"), &format!("file {number}\n"));
    }
    for playbook in ["few.toml", "many.toml"] {
        folder.provision(&["up", &host.name, "--yes", "--playbook", playbook]).expect(0);
    }

    host.count_execs();
    let mut counts = Vec::new();
    for playbook in ["few.toml", "many.toml"] {
        let before = host.execs();
        folder.provision(&["up", &host.name, "--playbook", playbook]).expect(0).said(&["nothing to change"]);
        let after = host.execs();
        counts.push((after.0 - before.0, after.1 - before.1));
    }
    assert_eq!(counts, [(1, 1), (1, 1)], "logins and execs");
    Ok(())
}

/// A Compose project that is not Prefect's gets a database on the host by two lines, with an address, a
/// password and the extensions.
fn a_database_of_ones_own() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.settings("[steps.postgres]\nmode = \"host\"\ndatabase = \"notes\"\n");
    folder.write(
        "compose.yaml",
        "
name: notes
services:
  app:
    image: postgres:17
    init: true
    entrypoint: [sleep, infinity]
    stop_grace_period: 1s
    restart: unless-stopped
    env_file: /etc/provision/secrets/notes/postgres.env
    extra_hosts: [\"host.docker.internal:host-gateway\"]
",
    );
    let did = folder.provision(&["up", &host.name, "--yes", "--json"]);
    did.expect(0);
    let changes = ids(&did.plan());
    assert_eq!(changes.iter().filter(|id| id.ends_with("/images")).count(), 1, "pulled once: {changes:?}");
    let asks = |sql: &str| {
        host.inside(&format!("docker exec notes-app-1 sh -c 'psql \"$DATABASE_URL\" -Atc \"{sql}\"'"))
    };
    assert_eq!(
        asks("SELECT length(uuid_generate_v4()::text), similarity(current_user, current_database())"),
        "36|1\n"
    );
    asks("CREATE TABLE rows (n int); INSERT INTO rows VALUES (7)");
    folder.provision(&["up", &host.name]).expect(0).said(&["nothing to change"]);
    let password = |host: &Host| host.inside("cat /etc/provision/secrets/notes/postgres_password");
    let before = password(&host);
    folder.provision(&["secrets", &host.name, "rotate", "postgres", "--yes"]).expect(0);
    assert_ne!(password(&host), before);
    assert_eq!(asks("SELECT n FROM rows"), "7\n", "the data is there, by the new password");
    Ok(())
}
