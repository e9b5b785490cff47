//! Files of the stack's folder that containers write to, that change places, that need an owner.

use std::os::unix::fs::PermissionsExt;

use libtest_mimic::Failed;

use crate::Story;
use crate::lab::{Folder, Host, Layer, eventually};

pub const STORIES: &[Story] = &[
    ("lived_in::what_containers_write", what_containers_write),
    ("lived_in::files_and_folders_that_change_places", files_and_folders_that_change_places),
    ("lived_in::permissions_that_travel", permissions_that_travel),
    ("lived_in::links_that_a_container_lays", links_that_a_container_lays),
    ("lived_in::a_service_that_is_not_root", a_service_that_is_not_root),
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
