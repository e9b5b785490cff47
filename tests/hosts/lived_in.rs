//! Servers that have been in use for a year: what is the application's, a person's or another
//! project's stays theirs.

mod bytes;
mod files;

use libtest_mimic::Failed;

use super::Story;
use super::lab::{Did, Folder, Host, Layer};

const STORIES: &[Story] = &[
    ("lived_in::another_project_of_that_name", another_project_of_that_name),
    ("lived_in::jobs_that_have_ended", jobs_that_have_ended),
    ("lived_in::a_source_that_fails", a_source_that_fails),
    ("lived_in::three_stacks_share_a_host", three_stacks_share_a_host),
    ("lived_in::tags_that_move", tags_that_move),
    ("lived_in::an_older_engine", an_older_engine),
    ("lived_in::every_byte", bytes::every_byte),
];

pub fn stories() -> Vec<Story> {
    [STORIES, files::STORIES].concat()
}

/// Started by hand, or by provision from another folder.
fn another_project_of_that_name() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    host.inside(
        "mkdir -p /opt/shop/docker && cd /opt/shop/docker && \
         printf 'services:\n  web: {image: \"nginx:1.27\", ports: [\"8080:80\"]}\n  db: {image: \"redis:8\"}\n' >compose.yaml && \
         docker compose up -d --wait 2>&1",
    );
    let containers = || host.inside("docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort");
    let before = containers();
    let folder = Folder::empty();
    folder.write(
        "compose.yaml",
        "name: docker\nservices: {web: {image: \"nginx:1.27\", ports: [\"8081:80\"]}}\n",
    );
    let up = |folder: &Folder| folder.provision(&["up", "--yes", &host.name]);
    up(&folder).expect(3).said(&[
        "another project named `docker` runs on the host; nothing was changed",
        "it comes from /opt/shop/docker on the host: db, web",
        "name = \"docker-2\"",
    ]);
    assert_eq!(containers(), before);
    folder.settings("[steps.stack]\nname = \"docker-2\"\n");
    up(&folder).expect(0);
    let now = containers();
    assert!(before.lines().all(|theirs| now.contains(theirs)), "theirs are as they were: {before}{now}");
    up(&folder).expect(0).said(&["nothing to change"]);

    // The same between two folders that provision sends.
    let other = Folder::empty();
    other.write("compose.yaml", "name: docker-2\nservices: {cache: {image: \"redis:8\"}}\n");
    let running = containers();
    up(&other).expect(3).said(&["another project named `docker-2` runs on the host", "it comes from /"]);
    assert_eq!(containers(), running);
    // The same application from another computer is no other project.
    let copy = Folder::empty();
    copy.write("compose.yaml", &std::fs::read_to_string(folder.path().join("compose.yaml"))?);
    copy.settings("[steps.stack]\nname = \"docker-2\"\n");
    up(&copy).expect(0).said(&["nothing to change"]);
    Ok(())
}

/// What has ended with 0, and is restarted only when it fails, is done.
fn jobs_that_have_ended() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.write(
        "compose.yaml",
        r#"
name: jobs
services:
  web: {image: "nginx:1.27", restart: unless-stopped}
  plain: {image: "busybox:1.36", command: ["true"]}
  onfail: {image: "busybox:1.36", command: ["true"], restart: on-failure}
  often: {image: "busybox:1.36", command: ["true"], restart: "on-failure:3"}
  policy: {image: "busybox:1.36", command: ["true"], deploy: {restart_policy: {condition: on-failure}}}
"#,
    );
    let up = || folder.provision(&["up", "--yes", &host.name]);
    up().expect(0);
    up().expect(0).said(&["nothing to change"]);
    folder.write(
        "compose.yaml",
        "name: jobs\nservices:\n  fails: {image: \"busybox:1.36\", command: [\"sh\", \"-c\", \"exit 4\"], restart: \"on-failure:1\"}\n",
    );
    up().expect(6).said(&["fails ended with exit code 4"]);
    Ok(())
}

/// A third party's apt source that is gone: it is named, and stands in nobody's way who wants nothing
/// from it.
fn a_source_that_fails() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let file = "/etc/apt/sources.list.d/pve-enterprise.list";
    let line = "deb http://10.91.0.1:8080/gone/pve trixie pve-enterprise\n";
    host.inside(&format!("printf '{line}' >{file}"));
    let folder = Folder::empty();
    let up = |playbook: &str| folder.provision(&["up", "--yes", "--playbook", playbook, &host.name]);
    // One that apt cannot even read stops all of apt: the plan says so.
    let odd = "/etc/apt/sources.list.d/odd.list";
    host.inside(&format!("printf '# ours\\ndeb http://10.91.0.1:8080/odd trixie\\n' >{odd}"));
    assert!(host.inside("apt-get check 2>&1 || true").contains("Malformed"));
    up("docker").expect(3).said(&["apt cannot use its sources", &format!("{odd}:2: apt cannot read it")]);
    // Nor does it where two entries for one suite name different keys.
    let other = "/etc/apt/sources.list.d/other.sources";
    host.inside(&format!(
        "rm {odd}; sed 's,^Signed-By:.*,Signed-By: /etc/other.gpg,' /etc/apt/sources.list.d/debian.sources >{other}; \
         grep Signed-By {other}"
    ));
    assert!(host.inside("apt-get check 2>&1 || true").contains("Conflicting values"));
    up("docker").expect(3).said(&["it has another `Signed-By` than", other]);
    // What Debian's installer leaves of its disc is passed over, too.
    let disc = "/etc/apt/sources.list";
    host.inside(&format!(
        "rm {other}; echo 'deb cdrom:[Debian GNU/Linux 13.1.0 _Trixie_ - Official amd64 DVD]/ trixie main' >{disc}"
    ));
    // A suite that does not exist, at the address that the host's other suites come from.
    let suite = "/etc/apt/sources.list.d/suite.sources";
    host.inside(&format!(
        "sed 's/^Suites:.*/Suites: nosuch/' /etc/apt/sources.list.d/debian.sources >{suite}"
    ));
    let passed_over = |file: &str| format!("{file} names a source that fails and is passed over");
    let did = up("docker");
    did.expect(0).said(&[&passed_over(file), &passed_over(disc), &passed_over(suite)]);
    assert!(!did.stderr.contains("debian.sources"), "{}", did.stderr);
    up("docker").expect(0).said(&["nothing to change"]);
    assert_eq!(host.inside(&format!("cat {file}")), line, "it is as it was");

    // What is wanted from it cannot be had, and the file is named.
    folder.write("own.toml", "steps = [\"packages\"]\n[options.packages]\ninstall = [\"no-such-package\"]\n");
    host.inside("find /var/lib/apt/lists -type f -delete");
    up("./own.toml").expect(6).said(&["the package lists could not be refreshed", file, "remove the line"]);
    Ok(())
}

/// Each asks for a port, a member and a setting of its own; any order ends in all of them.
fn three_stacks_share_a_host() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    host.inside("useradd shop; useradd blog; useradd wiki; usermod -aG docker wiki");
    host.inside("mkdir -p /etc/docker; echo '{\"max-concurrent-uploads\": 3}' >/etc/docker/daemon.json; systemctl reload docker");
    let daemon = || host.inside("cat /etc/docker/daemon.json");
    let members = || host.inside("getent group docker | cut -d: -f4");
    let before = (daemon(), members());
    let stacks: Vec<_> = [("shop", 8081), ("blog", 8082), ("wiki", 8083)]
        .into_iter()
        .map(|(name, port)| {
            let folder = Folder::empty();
            folder.write(
                "compose.yaml",
                &format!(
                    "name: {name}\nservices:\n  web:\n    image: nginx:1.27\n    ports: [\"{port}:80\"]\n"
                ),
            );
            folder.settings(&format!(
                "[steps.firewall]\nallow = [{port}]\n[steps.user]\nmembers = [\"{name}\"]\n\
                 [steps.docker.daemon]\ninsecure-registries = [\"{name}.internal:5000\"]\n"
            ));
            (name, port, folder)
        })
        .collect();
    let up = |folder: &Folder| folder.provision(&["up", "--yes", &host.name]);
    let answers = || {
        let answer = |port: &u16| host.get(*port).is_ok_and(|page| page.contains("nginx"));
        [8081, 8082, 8083].iter().filter(|port| answer(port)).copied().collect::<Vec<_>>()
    };

    // What somebody runs here by hand is not shut by the first that asks for a firewall.
    host.inside("docker run -d --name theirs -p 9000:80 nginx:1.27");
    let (_, _, shop) = &stacks[0];
    up(shop).expect(3).said(&[
        "these rules would close 9000/tcp, which is in use on the host; nothing was changed",
        "theirs",
        "`allow = [8081, 9000]`",
        "`shut = [9000]`",
    ]);
    assert_eq!(members(), before.1);
    host.inside(
        "mkdir -p /etc/provision; printf '[steps.firewall]\nallow = [9000]\n' >/etc/provision/host.toml",
    );
    let plan = shop.provision(&["plan", &host.name]);
    plan.expect(0);
    assert!(plan.stdout.contains("8081/tcp, 9000/tcp for /etc/provision/host.toml and nothing else"));

    for (_, _, folder) in &stacks {
        up(folder).expect(0);
    }
    for (name, _, folder) in stacks.iter().rev().chain(&stacks) {
        up(folder).expect(0).said(&["nothing to change"]);
        assert_eq!(answers(), [8081, 8082, 8083], "after {name}");
    }
    assert!(host.get(9000)?.contains("nginx"));
    let plan = shop.provision(&["plan", &host.name]);
    plan.expect(0);
    let held = "claims of other stacks: blog (8082 open; blog, deploy in the group docker";
    assert!(plan.stdout.contains(held), "{}", plan.stdout);
    for name in ["shop", "blog", "wiki"] {
        assert!(daemon().contains(&format!("{name}.internal:5000")), "{}", daemon());
        assert!(members().contains(name), "{}", members());
    }

    // Two that want one setting to be different.
    shop.settings("[steps.docker.daemon]\nmax-concurrent-downloads = 2\n[steps.firewall]\nallow = [8081]\n");
    up(shop).expect(0);
    let (_, _, blog) = &stacks[1];
    let blogs = std::fs::read_to_string(blog.path().join("provision.toml"))?;
    blog.settings("[steps.docker.daemon]\nmax-concurrent-downloads = 9\n");
    up(blog).expect(3).said(&["shop and blog want different values of `max-concurrent-downloads`"]);
    std::fs::write(blog.path().join("provision.toml"), blogs)?;
    up(blog).expect(0).said(&["nothing to change"]);

    // One after the other stops asking, and takes its own away.
    let nothing = "[steps.user]\nlogin = false\n";
    shop.write("provision.toml", nothing);
    up(shop).expect(0).said(&["remove the claim of shop"]);
    assert_eq!(answers(), [8082, 8083]);
    assert!(!members().contains("shop") && members().contains("blog"), "{}", members());
    assert!(!daemon().contains("shop.internal") && daemon().contains("blog.internal"), "{}", daemon());
    for (_, _, folder) in &stacks {
        up(folder).expect(0).said(&["nothing to change"]);
    }
    for (_, _, folder) in &stacks[1..] {
        folder.write("provision.toml", nothing);
        up(folder).expect(0);
    }
    assert_eq!(members(), before.1, "wiki was a member before any of them");
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text);
    assert_eq!(json(&daemon())?, json(&before.0)?);
    assert_eq!(host.inside("ls /var/lib/provision/claims"), "");
    assert!(host.get(9000)?.contains("nginx"), "the host's own file still asks for it");
    Ok(())
}

/// `pull_policy: always` and `--pull` take what a tag stands for now; without them the host's own
/// image is kept.
fn tags_that_move() -> Result<(), Failed> {
    let host = Host::on(Layer::Images);
    let folder = Folder::empty();
    let compose = |policy: &str| {
        folder.write(
            "compose.yaml",
            &format!(
                "name: tags\nservices:\n  web: {{image: \"nginx:1.27\", ports: [\"8080:80\"]{policy}}}\n  \
                 cache: {{image: \"redis:8\", restart: unless-stopped}}\n"
            ),
        );
    };
    let up = |more: &[&str]| folder.provision(&[&["up", "--yes", &host.name], more].concat());
    let runs = |image: &str| {
        let id = host.inside(&format!("docker image inspect -f '{{{{.Id}}}}' {image}"));
        host.inside("docker inspect -f '{{.Image}}' tags-web-1") == id
    };
    // As if the tag had stood for another version when the host pulled it.
    let move_back = || host.inside("docker tag nginx:1.30 nginx:1.27");
    host.inside("docker pull -q nginx:1.30");
    let cache = || host.inside("docker inspect -f '{{.Id}} {{.State.StartedAt}}' tags-cache-1");
    let is_moved = |did: &Did| {
        did.expect(0).said(&["pull nginx:1.27", "nginx:1.27 has moved: "]);
        assert!(runs("nginx:1.27") && !runs("nginx:1.30"), "{}", did.stderr);
        up(&[]).expect(0).said(&["nothing to change"]);
    };

    compose(", pull_policy: always");
    move_back();
    is_moved(&up(&[]));

    // Without a policy what the host has is taken, as Compose takes it.
    compose("");
    up(&[]).expect(0);
    move_back();
    up(&[]).expect(0).said(&["web was created from a different image with the same tag"]);
    assert!(runs("nginx:1.30"));
    up(&[]).expect(0).said(&["nothing to change"]);
    let before = cache();
    let did = up(&["--pull"]);
    is_moved(&did);
    did.said(&["may interrupt web\n"]);
    assert_eq!(cache(), before, "only what has moved is made anew");
    up(&["--pull"]).expect(0).said(&["nothing to change"]);
    Ok(())
}

/// An Engine that its owner has pinned stays as it is; only the plugins that are missing are installed.
fn an_older_engine() -> Result<(), Failed> {
    let host = Host::make("debian13");
    host.inside(
        "set -e; apt-get -q update; apt-get install -q -y --no-install-recommends curl; mkdir -p /etc/apt/keyrings; \
         curl -fsS http://10.91.0.1:8080/linux/debian/gpg -o /etc/apt/keyrings/docker.asc; \
         echo 'deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.asc] http://10.91.0.1:8080/linux/debian trixie stable' \
         >/etc/apt/sources.list.d/docker.list; apt-get -q update",
    );
    let old = host.inside("apt-cache madison docker-ce | awk '{print $3}' | tail -n 1").trim().to_owned();
    let newest = host.inside("apt-cache madison docker-ce | awk '{print $3}' | head -n 1").trim().to_owned();
    assert_ne!(old, newest, "the lab's repository has several");
    host.inside(&format!(
        "set -e; printf 'Package: docker-ce*\nPin: version {old}\nPin-Priority: 1001\n' >/etc/apt/preferences.d/docker.pref; \
         mkdir -p /etc/docker; echo '{{\"registry-mirrors\": [\"http://10.91.0.1:5000\"]}}' >/etc/docker/daemon.json; \
         DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends docker-ce={old} docker-ce-cli={old} containerd.io; \
         docker run -d --name serves --restart unless-stopped nginx:1.27"
    ));
    let state = || {
        host.inside(
            "dpkg-query -W docker-ce docker-ce-cli containerd.io; cat /etc/apt/sources.list.d/docker.list; \
             ls /etc/apt/sources.list.d; systemctl show docker -p ActiveEnterTimestamp; \
             docker inspect -f '{{.Id}} {{.State.StartedAt}}' serves",
        )
    };
    let before = state();
    let folder = Folder::empty();
    folder
        .write("compose.yaml", "name: new\nservices: {web: {image: \"nginx:1.27\", ports: [\"8080:80\"]}}\n");
    let did = folder.provision(&["up", "--yes", &host.name]);
    did.expect(0).said(&["the Engine stays as it is"]);
    assert!(!did.stderr.contains("restarts Docker"), "{}", did.stderr);
    assert_eq!(state(), before);
    assert!(host.get(8080)?.contains("nginx"));
    folder.provision(&["up", "--yes", &host.name]).expect(0).said(&["nothing to change"]);
    Ok(())
}
