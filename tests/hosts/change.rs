//! What a second `up` does: when the folder, the settings or the host have changed.

mod recreated;

use libtest_mimic::Failed;
use serde_json::Value;

use super::Story;
use super::lab::{Did, Folder, Host, Layer, eventually, ids};

pub const STORIES: &[Story] = &[
    ("change::files_of_the_folder", files_of_the_folder),
    ("change::secrets_stay_where_they_are", secrets_stay_where_they_are),
    ("change::what_others_set_up_is_kept", what_others_set_up_is_kept),
    ("change::nothing_leaves_before_its_replacement", nothing_leaves_before_its_replacement),
    ("change::a_version_that_is_required", a_version_that_is_required),
    ("change::a_plan_for_later", a_plan_for_later),
    ("change::two_at_once", two_at_once),
    ("change::what_is_said", what_is_said),
    ("change::what_an_old_compose_leaves", recreated::by_an_old_compose),
    ("change::what_a_new_compose_leaves", recreated::by_a_new_compose),
    ("change::docker_is_restarted", recreated::docker_is_restarted),
];

/// A service with one file mounted into it: the file is replaced, and the mount must follow.
const MOUNTED: &str = "
name: one
services:
  web:
    image: nginx:1.27
    ports: [\"8081:80\"]
    volumes: [\"./web.conf:/etc/nginx/conf.d/default.conf:ro\"]
    restart: unless-stopped
  cache:
    image: redis:8
    restart: unless-stopped
";

fn answering(text: &str) -> String {
    format!("server {{ listen 80; location / {{ return 200 \"{text}\\n\"; }} }}\n")
}

/// The files that a planned change writes or removes.
fn files(changes: &[Value], id: &str) -> Vec<String> {
    let change = changes.iter().find(|change| change["id"] == id).expect("the change");
    let files = change["files"].as_array().expect("files");
    files.iter().map(|file| file["path"].as_str().expect("a path").to_owned()).collect()
}

/// The id of the last run, and what `show` says of it.
fn last_run(folder: &Folder, host: &Host) -> (String, Did) {
    let runs = folder.provision(&["runs", &host.name]);
    runs.expect(0);
    let id = runs.stdout.split_whitespace().next().expect("a run").to_owned();
    let shown = folder.provision(&["show", &id]);
    shown.expect(0);
    (id, shown)
}

fn files_of_the_folder() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.write("compose.yaml", MOUNTED);
    folder.write("web.conf", &answering("first"));
    folder.write("notes.txt", "for us\n");
    folder.provision(&["up", &host.name, "--yes"]).expect(0);
    assert!(host.get(8081)?.contains("first"));
    let started = || host.inside("docker inspect -f '{{.State.StartedAt}}' one-cache-1");
    let cache = started();

    // A file is changed here: it alone is sent, and who mounts it is started again.
    folder.write("web.conf", &answering("second"));
    let plan = folder.provision(&["plan", &host.name]);
    plan.expect(0);
    for line in [
        "-server { listen 80; location / { return 200 \"first",
        "+server { listen 80; location / { return 200 \"second",
    ] {
        assert!(plan.stdout.contains(line), "{}", plan.stdout);
    }
    let did = folder.provision(&["up", &host.name, "--yes", "--json"]);
    did.expect(0);
    assert_eq!(did.ended("applied"), ["stack/bundle", "stack/up"]);
    assert_eq!(files(&did.plan(), "stack/bundle"), ["/srv/one/web.conf"]);
    assert!(host.get(8081)?.contains("second"));
    assert_eq!(started(), cache, "who does not mount the file goes on");

    // A line of the Compose file is changed: the service that it is about is recreated, and no other.
    let labelled = MOUNTED.replacen("  web:\n", "  web:\n    labels: { a: b }\n", 1);
    folder.write("compose.yaml", &labelled);
    let plan = folder.provision(&["plan", &host.name]);
    assert!(plan.stdout.contains("may interrupt web\n"), "{}", plan.stdout);
    folder.provision(&["up", &host.name, "--yes"]).expect(0);
    assert_eq!(host.inside("docker inspect -f '{{.Config.Labels.a}}' one-web-1"), "b\n");
    assert_eq!(started(), cache, "it is defined as before");
    folder.write("compose.yaml", MOUNTED);

    // It is changed there, by hand: that is said, replaced and kept.
    host.inside("sed -i s/second/by-hand/ /srv/one/web.conf");
    let plan = folder.provision(&["plan", &host.name]);
    plan.expect(0);
    assert!(plan.stdout.contains("/srv/one/web.conf, which was edited on the host"), "{}", plan.stdout);
    assert!(
        plan.stdout.contains("-server { listen 80; location / { return 200 \"by-hand"),
        "{}",
        plan.stdout
    );
    folder.provision(&["up", &host.name, "--yes"]).expect(0);
    assert!(host.get(8081)?.contains("second"));
    let (_, shown) = last_run(&folder, &host);
    let kept =
        shown.stdout.lines().find(|line| line.ends_with("/kept/srv/one/web.conf")).expect("what was kept");
    assert!(host.inside(&format!("cat {kept}")).contains("by-hand"));

    // It is removed here.
    std::fs::remove_file(folder.path().join("notes.txt"))?;
    let plan = folder.provision(&["plan", &host.name]);
    assert!(plan.stdout.contains("remove 1 file from /srv/one"), "{}", plan.stdout);
    folder.provision(&["up", &host.name, "--yes"]).expect(0);
    assert_eq!(host.inside("ls /srv/one"), "compose.yaml\nweb.conf\n");

    // A container is stopped by hand.
    host.inside("docker stop one-web-1");
    let did = folder.provision(&["up", &host.name, "--yes", "--json"]);
    did.expect(0);
    assert_eq!(did.ended("applied"), ["stack/up"]);
    assert!(host.get(8081)?.contains("second"));

    // A service is switched off: to Compose its container is no orphan.
    folder.write("compose.yaml", &MOUNTED.replace("  cache:\n", "  cache:\n    profiles: [store]\n"));
    let plan = folder.provision(&["plan", &host.name]);
    assert!(plan.stdout.contains("removes the containers of cache"), "{}", plan.stdout);
    folder.provision(&["up", &host.name, "--yes"]).expect(0);
    assert_eq!(host.inside("docker ps -a --format '{{.Names}}'"), "one-web-1\n");
    folder.write("compose.yaml", MOUNTED);
    folder.provision(&["up", &host.name, "--yes"]).expect(0);

    // A service is no longer wanted.
    folder.write("compose.yaml", MOUNTED.split("  cache:").next().expect("a part"));
    folder.provision(&["up", &host.name, "--yes"]).expect(0);
    assert_eq!(host.inside("docker ps -a --format '{{.Names}}'"), "one-web-1\n");
    assert_eq!(folder.planned(&host), Vec::<String>::new());
    Ok(())
}

/// What stands in `.env` and in files of secrets is shown by nothing and lies about nowhere.
fn secrets_stay_where_they_are() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.write(
        "compose.yaml",
        "
name: one
services:
  web:
    image: nginx:1.27
    ports: [\"8081:80\"]
    env_file: web.env
    environment:
      TOKEN: ${TOKEN}
    secrets: [key]
    restart: unless-stopped
secrets:
  key:
    file: ./key.txt
",
    );
    let (mut said, mut planned) = (String::new(), String::new());
    for word in ["first", "second"] {
        folder.write(".env", &format!("TOKEN=hunter2-{word}\n"));
        folder.write("web.env", &format!("PASSWORD=hunter2-{word}\n"));
        folder.write("key.txt", &format!("hunter2-{word}\n"));
        for arguments in [
            &["plan", &host.name, "-v"] as &[_],
            &["plan", &host.name, "--markdown"],
            &["plan", &host.name, "--json", "--out", "saved.plan"],
            &["up", &host.name, "--yes", "-v"],
            &["up", &host.name, "--yes", "--json"],
            &["facts", &host.name],
            &["facts", &host.name, "--raw"],
        ] {
            let did = folder.provision(arguments);
            did.expect(0);
            said += &did.stdout;
            said += &did.stderr;
            if arguments[0] != "facts" {
                planned += &did.stdout;
            }
        }
        planned += &std::fs::read_to_string(folder.path().join("saved.plan"))?;
        said += &std::fs::read_to_string(folder.path().join("saved.plan"))?;
        said += &last_run(&folder, &host).1.stdout;
        assert_eq!(host.inside("docker exec one-web-1 cat /run/secrets/key"), format!("hunter2-{word}\n"));
        assert_eq!(
            host.inside("docker exec one-web-1 printenv TOKEN PASSWORD"),
            format!("hunter2-{word}\n").repeat(2)
        );
    }
    assert!(said.contains("content hidden"));
    assert!(!said.contains("hunter2"), "{said}");
    // Nor what a short secret could be guessed from.
    for file in [".env", "web.env", "key.txt"] {
        let sum = host.inside(&format!("sha256sum /srv/one/{file}"));
        let sum = sum.split(' ').next().expect("a sum");
        assert!(!planned.contains(sum), "the hash of {file} is shown");
    }

    // On the host: for root alone, and in no journal.
    for file in [".env", "web.env", "key.txt"] {
        assert_eq!(host.inside(&format!("stat -c '%a %U' /srv/one/{file}")), "600 root\n");
    }
    assert_eq!(host.inside("journalctl --no-pager | grep -c hunter2 || true"), "0\n");
    assert_eq!(host.inside("grep -l hunter2 /var/lib/provision/runs/*/journal || true"), "");
    let open = host.inside("grep -rl hunter2 /var/lib/provision /srv /tmp /run/provision* 2>/dev/null | xargs -r stat -c '%a %n' | grep -v '^600' || true");
    assert_eq!(open, "", "readable for others");
    Ok(())
}

/// Docker as somebody else has set it up: settings are merged, a second entry for its repository goes.
fn what_others_set_up_is_kept() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let folder = Folder::empty();
    // As the manuals of some years had it: another file, another key.
    host.inside(
        "mkdir -p /usr/share/keyrings /etc/docker
         /usr/lib/apt/apt-helper download-file http://10.91.0.1:8080/linux/debian/gpg /usr/share/keyrings/docker.asc
         echo 'deb [arch=amd64 signed-by=/usr/share/keyrings/docker.asc] http://10.91.0.1:8080/linux/debian trixie stable' >/etc/apt/sources.list.d/docker.list
         echo '{\"dns\": [\"10.91.0.1\"], \"log-opts\": {\"max-size\": \"7m\", \"labels\": \"site\"}, \"debug\": true}' >/etc/docker/daemon.json",
    );
    folder.settings("[steps.docker.daemon]\nshutdown-timeout = 20\n");
    let up = ["up", &host.name, "--yes", "--playbook", "docker"];
    let plan = folder.provision(&["plan", &host.name, "--playbook", "docker"]);
    assert!(plan.stdout.contains("/etc/apt/sources.list.d/docker.list names it already"), "{}", plan.stdout);
    folder.provision(&up).expect(0);

    host.root("apt-get update 2>&1");
    assert!(host.inside("cat /etc/apt/sources.list.d/docker.list").starts_with("# deb "));
    let daemon: Value = serde_json::from_str(&host.inside("cat /etc/docker/daemon.json"))?;
    assert_eq!(daemon["dns"], serde_json::json!(["10.91.0.1"]));
    assert_eq!(daemon["debug"], true);
    assert_eq!(daemon["log-opts"]["labels"], "site");
    assert_eq!(daemon["log-opts"]["max-size"], "7m", "what stands there goes before our defaults");
    assert_eq!(daemon["shutdown-timeout"], 20);
    assert_eq!(daemon["registry-mirrors"], serde_json::json!(["http://10.91.0.1:5000"]));
    let (_, shown) = last_run(&folder, &host);
    assert!(shown.stdout.contains("/kept/etc/docker/daemon.json"), "{}", shown.stdout);
    assert!(shown.stdout.contains("/kept/etc/apt/sources.list.d/docker.list"), "{}", shown.stdout);
    folder.provision(&up).expect(0).said(&["nothing to change"]);

    // Somebody follows the manual after us: apt refuses all work, and is mended.
    host.inside("mv /etc/apt/sources.list.d/docker.list /root/ && sed 's/^# //' /root/docker.list >/etc/apt/sources.list.d/docker.list");
    assert!(!host.try_root("apt-get update").status.success(), "two keys for one repository");
    let did = folder.provision(&["up", &host.name, "--yes", "--playbook", "docker", "--json"]);
    did.expect(0);
    assert_eq!(did.ended("applied"), ["docker/repository"]);
    host.root("apt-get update 2>&1");

    // What the daemon would not start with is not written.
    folder.settings("[steps.docker.daemon]\nshutdown-timeout = \"soon\"\n");
    folder.provision(&up).expect(6).said(&["dockerd does not accept the new daemon.json"]);
    assert_eq!(serde_json::from_str::<Value>(&host.inside("cat /etc/docker/daemon.json"))?, daemon);
    host.ssh("docker version");
    Ok(())
}

/// The distribution's Docker works until its replacement is at hand, whatever goes wrong before.
fn nothing_leaves_before_its_replacement() -> Result<(), Failed> {
    let host = Host::make("debian12-docker");
    let folder = Folder::empty();
    host.inside("systemctl start docker && docker version");
    let before = host.inside("dpkg-query -W");
    let up = ["up", &host.name, "--yes", "--playbook", "docker"];
    let still_there = || {
        let now = host.inside("dpkg-query -W docker.io containerd runc");
        now.lines().all(|line| before.contains(line))
            && host.inside("docker version --format '{{.Server.Version}}'").starts_with("20.10")
    };

    folder.write("provision.toml", "[steps.docker]\nmirror = \"http://10.91.0.1:8080/nowhere\"\n");
    folder
        .provision(&up)
        .expect(6)
        .said(&["key of Docker's repository", "http://10.91.0.1:8080/nowhere/linux/debian/gpg"]);
    assert!(still_there());

    folder.settings("version = \">=99\"\n");
    folder.provision(&up).expect(6).said(&["no version of docker-ce fits \">=99\"", "5:26.1.5"]);
    assert!(still_there());

    folder.settings("");
    let plan = folder.provision(&["plan", &host.name, "--playbook", "docker"]);
    assert!(plan.stdout.contains("removes docker.io"), "{}", plan.stdout);
    folder.provision(&up).expect(0);
    assert!(host.ssh("docker compose version --short").starts_with("2."));
    assert!(host.inside("docker version --format '{{.Server.Version}}'").starts_with("26.1"));
    folder.provision(&up).expect(0).said(&["nothing to change"]);
    Ok(())
}

/// From one engine to a newer one, on a host that is in use: its stack, its data and its firewall stay.
fn a_version_that_is_required() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let folder = Folder::with_stack();
    let up = ["up", &host.name, "--yes"];
    let installed = || host.inside("dpkg-query -W -f '${Version} ' docker-ce docker-ce-cli");
    let of_docker = |version: &str| {
        folder.settings(&format!("version = \"{version}\"\nhold = true\n[steps.firewall]\nallow = [8080]\n"));
    };

    of_docker("=26.1.5");
    folder.provision(&up).expect(0);
    assert_eq!(installed(), "5:26.1.5-1~debian.13~trixie 5:26.1.5-1~debian.13~trixie ");
    assert!(host.inside("apt-mark showhold").contains("docker-ce\n"));
    folder.provision(&up).expect(0).said(&["nothing to change"]);
    host.inside(
        "docker exec three-cache-1 redis-cli set kept yes && docker exec three-cache-1 redis-cli save",
    );
    let in_use = || {
        host.inside(
            "docker ps -a --format '{{.ID}} {{.Names}}' | sort; docker volume ls -q; docker images -q | sort",
        )
    };
    let (before, rules) = (in_use(), host.inside("ufw status"));

    of_docker(">=28");
    let plan = folder.provision(&["plan", &host.name]);
    let step = "Engine 26.1.5 is installed, >=28 is wanted";
    assert!(plan.stdout.contains(step), "{}", plan.stdout);
    let did = folder.provision(&["up", &host.name, "--yes", "--json"]);
    did.expect(0);
    assert_eq!(did.ended("applied"), ["docker/engine"]);
    assert_eq!(installed(), "5:28.5.2-1~debian.13~trixie 5:28.5.2-1~debian.13~trixie ");
    assert!(host.inside("docker version --format '{{.Server.Version}}'").starts_with("28.5"));
    assert!(host.inside("apt-mark showhold").contains("docker-ce\n"));
    assert_eq!(in_use(), before, "containers, volumes and images are the same ones");
    assert_eq!(host.inside("ufw status"), rules);
    assert!(host.get(8080)?.contains("three services, one page"));
    assert_eq!(host.inside("docker exec three-cache-1 redis-cli get kept"), "yes\n");
    folder.provision(&up).expect(0).said(&["nothing to change"]);

    // One that is not to be had: what is there is not taken for it.
    of_docker(">=99");
    let offered = "the host's repositories offer: 5:28.5.2-1~debian.13~trixie 5:28.5.1-1~debian.13~trixie";
    folder.provision(&up).expect(6).said(&["no version of docker-ce fits \">=99\"", offered]);
    Ok(())
}

fn a_plan_for_later() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::with_stack();
    // It lies in the folder of the stack and is no part of it; nor is the playbook.
    folder.write("mine.toml", "steps = [\"packages\", \"docker\", \"stack\"]\n");
    let mine = folder
        .provision(&["plan", &host.name, "--playbook", "mine.toml", "--json", "--out", "saved.plan"])
        .plan();
    assert!(!files(&mine, "stack/bundle").iter().any(|file| file.ends_with(".toml")), "{mine:?}");
    std::fs::remove_file(folder.path().join("mine.toml"))?;
    folder.provision(&["plan", &host.name, "--out", "saved.plan"]).expect(0);
    folder.provision(&["up", &host.name, "--plan", "saved.plan"]).expect(10);
    assert_eq!(host.inside("ls /var/lib/provision 2>/dev/null || true"), "", "nothing was begun");

    let did = folder.provision(&["up", &host.name, "--plan", "saved.plan", "--yes", "--json"]);
    did.expect(0);
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(folder.path().join("saved.plan"))?)?;
    let steps = saved["hosts"][0]["steps"].as_array().expect("steps").iter();
    let changes: Vec<_> =
        steps.flat_map(|step| step["changes"].as_array().expect("changes").clone()).collect();
    assert_eq!(ids(&changes), did.ended("applied"));
    assert!(host.get(8080)?.contains("three services, one page"));
    // What was done already is no reason to refuse.
    folder.provision(&["up", &host.name, "--plan", "saved.plan"]).expect(0).said(&["nothing to change"]);

    // The folder has changed, or the host, or it is another host.
    folder.write("site/index.html", "<h1>another page</h1>\n");
    folder.provision(&["plan", &host.name, "--out", "saved.plan"]).expect(0);
    host.inside("echo by hand >/srv/three/site/index.html");
    let refused = folder.provision(&["up", &host.name, "--plan", "saved.plan", "--yes"]);
    refused
        .expect(3)
        .said(&["has changed since the plan was saved", &format!("provision plan {}", host.name)]);
    assert_eq!(host.inside("cat /srv/three/site/index.html"), "by hand\n");
    folder
        .provision(&["up", &format!("root@{}", host.name), "--plan", "saved.plan", "--yes"])
        .expect(3)
        .said(&["is not for root@"]);
    folder.write("saved.plan", "{}");
    folder.provision(&["up", &host.name, "--plan", "saved.plan", "--yes"]).expect(2).said(&["saved.plan"]);
    folder.provision(&["up", &host.name, "--yes"]).expect(0);
    assert!(host.get(8080)?.contains("another page"));

    // The host remembers.
    let runs = folder.provision(&["runs", &host.name]);
    runs.expect(0);
    assert_eq!(runs.stdout.lines().filter(|line| line.contains(" completed ")).count(), 2, "{}", runs.stdout);
    let (id, shown) = last_run(&folder, &host);
    for text in [&id as &str, "stack/bundle", "applied", "completed", "/kept/srv/three/site/index.html"] {
        assert!(shown.stdout.contains(text), "{text}: {}", shown.stdout);
    }
    // From a folder that did not start it, the host has to be named.
    let elsewhere = Folder::empty();
    elsewhere.provision(&["show", &id]).expect(2).said(&["--host"]);
    assert_eq!(elsewhere.provision(&["show", &id, "--host", &host.name]).expect(0).stdout, shown.stdout);
    elsewhere
        .provision(&["show", "20200101-000000-0000", "--host", &host.name])
        .expect(2)
        .said(&["remembers no run"]);
    Ok(())
}

/// Two persons, two folders, one moment: one run after the other, and nothing twice.
fn two_at_once() -> Result<(), Failed> {
    let host = Host::make("debian13-docker");
    let (one, two) = (Folder::with_stack(), Folder::with_stack());
    let children = [&one, &two].map(|folder| folder.spawn(&["up", &host.name, "--yes"]));
    let [first, second] = children.map(|child| child.wait_with_output().map(Did::from));
    let (first, second) = (first?, second?);
    first.expect(0);
    second.expect(0);
    let follows = |did: &Did| did.stderr.contains("following run");
    assert!(
        follows(&first) != follows(&second),
        "one follows the other\n{}\n---\n{}",
        first.stderr,
        second.stderr
    );
    let follower = if follows(&first) { &first } else { &second };
    follower.said(&["[1/7] install curl", "[7/7] start three", "nothing to change"]);
    let runs = one.provision(&["runs", &host.name]);
    assert_eq!(runs.stdout.lines().count(), 1, "nothing was run twice: {}", runs.stdout);

    // Each with something of its own to do: both are done. The stack is that of the folder whose run it was.
    let one = if follows(&first) { two } else { one };
    let other = Folder::empty();
    other.write("compose.yaml", MOUNTED);
    other.write("web.conf", &answering("the other one"));
    one.write("site/index.html", "<h1>the first one</h1>\n");
    let children = [&one, &other].map(|folder| folder.spawn(&["up", &host.name, "--yes"]));
    for child in children {
        Did::from(child.wait_with_output()?).expect(0);
    }
    assert!(host.get(8080)?.contains("the first one"));
    assert!(host.get(8081)?.contains("the other one"));
    assert_eq!(other.provision(&["runs", &host.name]).stdout.lines().count(), 3);
    for folder in [&one, &other] {
        folder.provision(&["up", &host.name]).expect(0).said(&["nothing to change"]);
    }
    Ok(())
}

/// Where things are said, and what a program can read of it.
fn what_is_said() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::with_stack();

    // Settings that are wrong: before any host is spoken to.
    folder.settings("mirorr = \"http://x\"\n");
    let did = folder.provision(&["up", &host.name]);
    did.expect(2).said(&["provision.toml:", "mirorr", "`mirror`"]);
    folder.settings("");
    folder.provision(&["up", &host.name, "--playbook", "dokcer"]).expect(2).said(&["dokcer", "docker"]);
    folder.provision(&["up", &host.name, "--playbook", "./mine.toml"]).expect(2).said(&["mine.toml"]);
    folder.provision(&["up"]).expect(2).said(&["no host is named"]);
    folder.provision(&["up", "-oProxyCommand=x"]).expect(2);
    folder.write("mine.toml", "steps = [\"machine\", \"docker\", \"stakc\"]\n");
    folder
        .provision(&["up", &host.name, "--playbook", "./mine.toml"])
        .expect(2)
        .said(&["mine.toml:1", "`stack`"]);

    // Nobody can be asked: the plan is told, and nothing is done.
    let did = folder.provision(&["up", &host.name]);
    did.expect(10).said(&["there is no terminal to ask on; nothing was changed", "--yes", "start three"]);
    assert_eq!(did.stdout, "");
    assert_eq!(host.inside("ls /var/lib/provision 2>/dev/null || true"), "", "nothing was begun");

    // A playbook of one's own.
    folder.write("mine.toml", "description = \"curl and less\"\nsteps = [\"packages\"]\n[options.packages]\ninstall = [\"curl\", \"less\"]\n");
    let did = folder.provision(&["up", &host.name, "--playbook", "mine.toml", "--yes", "--json"]);
    did.expect(0);
    assert_eq!(did.ended("applied"), ["packages/install"]);
    let plain = folder.provision(&["up", &host.name, "--playbook", "mine.toml", "-q"]);
    assert_eq!(plain.expect(0).stdout, "");

    // Events are lines of JSON, each with its host and moment, and nothing stands beside them.
    let did = folder.provision(&["up", &host.name, "--yes", "--json"]);
    did.expect(0);
    assert_eq!(did.stderr, "");
    for event in did.events() {
        assert_eq!(event["host"], host.name.as_str(), "{event}");
        assert!(event["at"].is_string() && event["event"].is_string(), "{event}");
    }
    let summary = did.events().pop().expect("an event");
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["addresses"][0]["address"], format!("http://{}:8080", host.address));
    assert_eq!(summary["addresses"][0]["reachable"], true);

    // stdout has what was asked for, and no colour where nobody sees it.
    for (arguments, starts) in [
        (&["plan", &host.name] as &[_], host.name.as_str()),
        (&["check", &host.name], "✓ distribution"),
        (&["facts", &host.name], "{"),
        (&["playbooks"], "docker "),
        (&["schema"], "{"),
    ] {
        let did = folder.provision(arguments);
        did.expect(0);
        assert!(did.stdout.starts_with(starts), "{arguments:?}: {}", did.stdout);
        assert!(!did.stdout.contains('\u{1b}') && !did.stderr.contains('\u{1b}'), "{arguments:?}");
    }
    eventually("the stack answers", || host.get(8080).is_ok_and(|page| page.contains("three services")));
    Ok(())
}
