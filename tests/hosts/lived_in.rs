//! Servers that have been in use for a year: what is the application's, a person's or another
//! project's stays theirs.

mod bytes;

use std::os::unix::fs::PermissionsExt;

use libtest_mimic::Failed;

use super::Story;
use super::lab::{Did, Folder, Host, Layer, eventually};

pub const STORIES: &[Story] = &[
    ("lived_in::what_containers_write", what_containers_write),
    ("lived_in::files_and_folders_that_change_places", files_and_folders_that_change_places),
    ("lived_in::permissions_that_travel", permissions_that_travel),
    ("lived_in::another_project_of_that_name", another_project_of_that_name),
    ("lived_in::jobs_that_have_ended", jobs_that_have_ended),
    ("lived_in::a_source_that_fails", a_source_that_fails),
    ("lived_in::links_that_a_container_lays", links_that_a_container_lays),
    ("lived_in::three_stacks_share_a_host", three_stacks_share_a_host),
    ("lived_in::tags_that_move", tags_that_move),
    ("lived_in::a_service_that_is_not_root", a_service_that_is_not_root),
    ("lived_in::an_older_engine", an_older_engine),
    ("lived_in::every_byte", bytes::every_byte),
];

/// An application that keeps a row a second in a file of its folder.
const NOTES: &str = r#"
name: notes
services:
  app:
    image: busybox:1.36
    command: ["sh", "-c", "while :; do date >>/data/app.db; sleep 1; done"]
    stop_signal: SIGKILL
    volumes: ["./data:/data", "./conf:/conf:ro"]
    restart: unless-stopped
"#;

/// It is sent once, and nothing that happens to it here reaches what is there.
fn what_containers_write() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.write("compose.yaml", NOTES);
    folder.write("data/app.db", "dev row\n");
    folder.write("conf/level", "1\n");
    let up = || folder.provision(&["up", "--yes", &host.name]);
    let rows = || host.inside("cat /srv/notes/data/app.db");
    up().expect(0).said(&["/srv/notes/data/app.db"]);
    eventually("the application writes", || rows().lines().count() > 2);
    let started = || host.inside("docker inspect -f '{{.Id}} {{.State.StartedAt}}' notes-app-1");
    let before = (rows(), started());
    let is_kept = |what: &str| {
        assert!(rows().starts_with(&before.0), "{what}: {}", rows());
    };
    up().expect(0).said(&["nothing to change"]);

    folder.write("data/app.db", "another row of ours\n");
    let plan = folder.provision(&["plan", &host.name]);
    for text in [
        "data/app.db: kept, the application's since the first run",
        "app mounts it read-write (compose.yaml:",
    ] {
        let plan: String = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plan.contains(text), "{text}: {plan}");
    }
    up().expect(0).said(&["warning: data/app.db has changed here and is kept", "nothing to change"]);
    is_kept("changed here");
    std::fs::remove_file(folder.path().join("data/app.db"))?;
    up().expect(0).said(&["nothing to change"]);
    is_kept("removed here");
    assert_eq!(started(), before.1, "and nothing was started again");

    // With another change beside it, and the way back that a failure names.
    folder.write("conf/level", "2\n");
    up().expect(0);
    is_kept("sent something else");
    assert_eq!(host.inside("ls /var/lib/provision/stacks/notes/previous"), "compose.yaml\nconf\n");

    // What comes later is sent once, too; what the application removes stays removed.
    folder.write("data/later", "ours\n");
    up().expect(0);
    assert_eq!(host.inside("cat /srv/notes/data/later"), "ours\n");
    host.inside("rm /srv/notes/data/later");
    up().expect(0).said(&["nothing to change"]);

    // A person who means it says so.
    folder.write("data/app.db", "from here\n");
    folder.settings("[steps.stack]\noverwrite = [\"data/*.db\"]\n");
    up().expect(0).said(&["overwrites /srv/notes/data/app.db, which containers may have written to"]);
    assert!(rows().starts_with("from here\n"), "{}", rows());
    let kept = host.inside("cat /var/lib/provision/runs/*/kept/srv/notes/data/app.db");
    assert!(kept.starts_with(&before.0), "the previous version is kept");

    // A file that was edited there is named when it goes.
    host.inside("echo by hand >/srv/notes/conf/level");
    std::fs::remove_file(folder.path().join("conf/level"))?;
    folder.write("conf/other", "");
    up().expect(0).said(&["removes /srv/notes/conf/level, which was edited on the host"]);
    Ok(())
}

/// Docker makes a folder where a mounted file is missing; a file becomes a folder, and the reverse.
fn files_and_folders_that_change_places() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.write(
        "compose.yaml",
        "name: mnt\nservices:\n  web:\n    image: nginx:1.27\n    ports: [\"8080:80\"]\n    restart: unless-stopped\n    volumes:\n      - ./nginx.conf:/etc/nginx/conf.d/default.conf:ro\n      - ./site:/site:ro\n",
    );
    folder.write("site/page", "first\n");
    let up = |more: &[&str]| folder.provision(&[&["up", "--yes", &host.name], more].concat());
    let left = || host.inside("cd /srv/mnt && find . -type f -not -name compose.yaml | sort");
    let did = up(&[]);
    did.expect(3)
        .said(&["compose.yaml:8: web mounts nginx.conf, which is not in the folder", "nothing was changed"]);
    assert_eq!(host.inside("ls /srv"), "");

    // Somebody insists, and Docker makes its folder.
    assert_ne!(up(&["--force"]).code, 0);
    assert_eq!(host.inside("stat -c %F /srv/mnt/nginx.conf"), "directory\n");
    folder.write("nginx.conf", "server { listen 80; location / { return 200 \"it is a file\\n\"; } }\n");
    let did = up(&[]);
    did.expect(0);
    assert!(!did.stderr.contains("edited on the host"), "{}", did.stderr);
    eventually("the page is there", || host.get(8080).is_ok_and(|page| page.contains("it is a file")));
    up(&[]).expect(0).said(&["nothing to change"]);
    assert_eq!(left(), "./nginx.conf\n./site/page\n");

    // A folder becomes a file, and a file a folder.
    std::fs::remove_dir_all(folder.path().join("site"))?;
    folder.write("site", "a file now\n");
    up(&[]).expect(0);
    assert_eq!(host.inside("docker exec mnt-web-1 cat /site"), "a file now\n");
    up(&[]).expect(0).said(&["nothing to change"]);
    std::fs::remove_file(folder.path().join("site"))?;
    folder.write("site/page", "a folder again\n");
    up(&[]).expect(0);
    assert_eq!(host.inside("docker exec mnt-web-1 cat /site/page"), "a folder again\n");
    up(&[]).expect(0).said(&["nothing to change"]);
    assert_eq!(left(), "./nginx.conf\n./site/page\n");

    // What somebody has put into such a folder is not removed.
    host.inside("rm /srv/mnt/nginx.conf; mkdir /srv/mnt/nginx.conf; touch /srv/mnt/nginx.conf/theirs");
    up(&[]).expect(3).said(&[
        "/srv/mnt/nginx.conf is a folder that holds theirs (not sent by provision",
        "sudo mv -n /srv/mnt/nginx.conf /srv/mnt/nginx.conf.before",
    ]);
    host.inside("ls /srv/mnt/nginx.conf/theirs && rm -r /srv/mnt/nginx.conf");
    up(&[]).expect(0);
    // Nor among files of ours, and what a link leads to is not written to.
    std::fs::remove_dir_all(folder.path().join("site"))?;
    folder.write("site", "a file once more\n");
    host.inside("touch /srv/mnt/site/theirs");
    up(&[]).expect(3).said(&["/srv/mnt/site is a folder that holds theirs"]);
    assert_eq!(host.inside("ls /srv/mnt/site"), "page\ntheirs\n");
    std::fs::remove_file(folder.path().join("site"))?;
    folder.write("site/page", "another page\n");
    host.inside("mv /srv/mnt/site /srv/elsewhere && ln -s /srv/elsewhere /srv/mnt/site");
    up(&[]).expect(3).said(&["/srv/mnt/site is a symbolic link"]);
    assert_eq!(host.inside("cat /srv/elsewhere/page"), "a folder again\n");
    Ok(())
}

/// What was given here travels and is kept; what only that concerns interrupts nothing.
fn permissions_that_travel() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.write(
        "compose.yaml",
        "name: kept\nservices:\n  app:\n    image: busybox:1.36\n    user: \"1000:1000\"\n    command: [sleep, 1d]\n    \
         stop_signal: SIGKILL\n    volumes: [\"./uploads:/uploads\", \"./keys:/keys:ro\"]\n",
    );
    folder.write("keys/list", "one\n");
    std::fs::create_dir(folder.path().join("uploads"))?;
    let chmod = |path: &str, mode: u32| {
        std::fs::set_permissions(folder.path().join(path), std::fs::Permissions::from_mode(mode))
    };
    chmod("uploads", 0o777)?;
    chmod("keys", 0o700)?;
    let up = || folder.provision(&["up", "--yes", &host.name]);
    let modes = || host.inside("cd /srv/kept && stat -c '%a %n' keys keys/list uploads uploads/*");
    let started = || host.inside("docker inspect -f '{{.Id}} {{.State.StartedAt}}' kept-app-1");
    up().expect(0).said(&["app runs as 1000 and cannot enter keys/ (0700 root:root)"]);
    host.inside("docker exec kept-app-1 touch /uploads/theirs");
    assert_eq!(modes(), "700 keys\n644 keys/list\n777 uploads\n644 uploads/theirs\n");
    up().expect(0).said(&["nothing to change"]);

    let before = started();
    host.inside("chmod 755 /srv/kept/keys && chmod 700 /srv/kept/uploads && chown 1000 /srv/kept/uploads");
    chmod("keys/list", 0o640)?;
    folder.write("uploads/ours", "sent once\n");
    let did = up();
    did.expect(0).said(&["keys/ 0755 → 0700", "keys/list 0644 → 0640", "1 change made"]);
    assert!(!did.stderr.contains("interrupt"), "{}", did.stderr);
    assert_eq!(modes(), "700 keys\n640 keys/list\n700 uploads\n644 uploads/ours\n644 uploads/theirs\n");
    assert_eq!(started(), before, "and nothing was started again");
    up().expect(0).said(&["nothing to change"]);
    // Sent by an earlier provision, of which the host has no list of folders.
    host.inside("rm /var/lib/provision/stacks/kept/folders && chmod 750 /srv/kept/uploads");
    up().expect(0).said(&["nothing to change"]);
    Ok(())
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
    up("docker").expect(3).said(&["apt cannot read all of its sources", &format!("{odd}:2")]);
    host.inside(&format!("rm {odd}"));
    up("docker").expect(0).said(&[&format!("{file} names a source that fails and is passed over")]);
    up("docker").expect(0).said(&["nothing to change"]);
    assert_eq!(host.inside(&format!("cat {file}")), line, "it is as it was");

    // What is wanted from it cannot be had, and the file is named.
    folder.write("own.toml", "steps = [\"packages\"]\n[options.packages]\ninstall = [\"no-such-package\"]\n");
    host.inside("find /var/lib/apt/lists -type f -delete");
    up("./own.toml").expect(6).said(&["the package lists could not be refreshed", file, "take the line out"]);
    Ok(())
}

/// A container that may write to a folder of the stack lays links there: nothing outside is written.
fn links_that_a_container_lays() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.write(
        "compose.yaml",
        "name: sym\nservices:\n  web:\n    image: nginx:1.27\n    volumes: [\"./config:/config\"]\n    restart: unless-stopped\n",
    );
    folder.write("config/app.yml", "first\n");
    folder.write("config/deep/x.yml", "first\n");
    folder.settings("[steps.stack]\noverwrite = [\"config/\", \"*.yml\"]\n");
    let up = || folder.provision(&["up", "--yes", &host.name]);
    up().expect(0);
    host.inside("mkdir /root/target; echo theirs >/root/target/x.yml; echo motd >/etc/motd");
    let inside = |command: &str| host.inside(&format!("docker exec sym-web-1 sh -c '{command}'"));
    inside(
        "ln -s /etc/motd /config/app.yml.provision-new; rm /config/app.yml; ln -s /etc/motd /config/app.yml",
    );
    folder.write("config/app.yml", "second\n");
    up().expect(0);
    assert_eq!(host.inside("cat /etc/motd; cat /srv/sym/config/app.yml"), "motd\nsecond\n");
    inside("rm -r /config/deep; ln -s /root/target /config/deep");
    folder.write("config/deep/x.yml", "second\n");
    up().expect(3).said(&["/srv/sym/config/deep is a symbolic link, and config/deep/x.yml is to be placed"]);
    assert_eq!(host.inside("cat /root/target/x.yml; ls /root/target"), "theirs\nx.yml\n");
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

/// Secrets belong to root unless settings say whose they are.
fn a_service_that_is_not_root() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    let folder = Folder::empty();
    folder.write(
        "compose.yaml",
        "name: quiet\nservices:\n  app:\n    image: busybox:1.36\n    user: \"1000:1000\"\n    command: [sh, -c, \
         \"cat /run/secrets/token /etc/app/tls.key && echo READ && sleep 1d\"]\n    secrets: [token]\n    \
         volumes: [\"./tls.key:/etc/app/tls.key:ro\"]\n    restart: unless-stopped\n    stop_signal: SIGKILL\n\
         secrets:\n  token:\n    file: ./secrets/token\n",
    );
    folder.write("tls.key", "key\n");
    folder.write("secrets/token", "token\n");
    let plan = folder.provision(&["plan", &host.name]);
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for path in ["secrets/token", "tls.key"] {
        let warning = format!("app runs as 1000 and cannot read {path} (0600 root:root)");
        assert!(flat(&plan.stdout).contains(&warning), "{}", plan.stdout);
    }
    folder.settings(
        "[steps.stack]\npermissions = [{ path = \"secrets/\", owner = \"1000\" }, { path = \"*.key\", owner = \"1000\", mode = \"0400\" }]\n",
    );
    let up = || folder.provision(&["up", "--yes", &host.name]);
    let did = up();
    did.expect(0);
    assert!(!did.stderr.contains("cannot read"), "{}", did.stderr);
    eventually("it reads them", || host.inside("docker logs quiet-app-1 2>&1").contains("READ"));
    let owners = || host.inside("cd /srv/quiet; stat -c '%a %u:%g %n' secrets/token tls.key compose.yaml");
    assert_eq!(owners(), "600 1000:1000 secrets/token\n400 1000:1000 tls.key\n644 0:0 compose.yaml\n");
    up().expect(0).said(&["nothing to change"]);
    host.inside("chown 0:0 /srv/quiet/tls.key");
    up().expect(0).said(&["1 file"]);
    assert!(owners().contains("400 1000:1000 tls.key"));
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
