//! A stack that cannot be had, read or brought up.

use libtest_mimic::Failed;

use crate::Story;
use crate::lab::{Folder, Host, Layer, eventually};

pub const STORIES: &[Story] = &[
    ("trouble::images_that_cannot_be_had", images_that_cannot_be_had),
    ("trouble::a_registry_that_only_the_host_reaches", a_registry_that_only_the_host_reaches),
    ("trouble::an_image_that_does_not_fit", an_image_that_does_not_fit),
    ("trouble::a_compose_file_with_errors", a_compose_file_with_errors),
    ("trouble::a_project_that_only_compose_refuses", a_project_that_only_compose_refuses),
    ("trouble::a_container_that_is_never_well", a_container_that_is_never_well),
];

/// The stack of three services, on a host that has Docker already.
fn three(more: &str) -> Folder {
    let folder = Folder::with_stack();
    folder.settings(&format!("{more}\n[steps.packages]\ninstall = []\n"));
    folder
}

fn edit(folder: &Folder, from: &str, to: &str) {
    let path = folder.path().join("compose.yaml");
    let text = std::fs::read_to_string(&path).expect("compose.yaml");
    assert!(text.contains(from), "{from}");
    folder.write("compose.yaml", &text.replace(from, to));
}

/// Refused before the first change, on a host without Docker.
fn images_that_cannot_be_had() -> Result<(), Failed> {
    let host = Host::make("debian13");
    let packages = host.packages();
    let what = "an image cannot be had; nothing was changed";

    let folder = Folder::with_stack();
    edit(&folder, "image: redis:8", "image: redis:no-such-tag");
    folder
        .provision(&["up", "--yes", &host.name])
        .fails(3, &[what, "redis:no-such-tag: ", "fix the names in compose.yaml"]);

    let folder = Folder::with_stack();
    edit(&folder, "image: redis:8", "image: armonly:1");
    folder
        .provision(&["up", "--yes", &host.name])
        .fails(3, &[what, "armonly:1 is not made for amd64, only for linux/arm64"]);

    let folder = Folder::with_stack();
    folder.settings("daemon = { insecure-registries = [\"10.91.0.1:5000\"] }\n");
    edit(&folder, "image: redis:8", "image: 10.91.0.1:5000/no-such-image:1");
    edit(&folder, "image: nginx:1.27", "image: armonly:1");
    folder.provision(&["up", "--yes", &host.name]).fails(
        3,
        &[
            "2 images cannot be had; nothing was changed",
            "10.91.0.1:5000/no-such-image:1: the registry does not have it",
            "armonly:1 is not made for amd64",
        ],
    );
    host.is_untouched(&packages);
    Ok(())
}

/// Not known here is not missing there: a warning, and the host's own word counts.
fn a_registry_that_only_the_host_reaches() -> Result<(), Failed> {
    let host = Host::make("debian13-docker");
    // A daemon that has just read that file would not look at it again for five seconds.
    host.inside("echo '10.91.0.1 registry.internal' >>/etc/hosts; systemctl restart docker");
    let folder = three("daemon = { insecure-registries = [\"registry.internal:5000\"] }");
    edit(&folder, "image: redis:8", "image: registry.internal:5000/library/redis:no-such-tag");
    let did = folder.provision(&["up", "--yes", &host.name]);
    did.fails(
        6,
        &[
            "warning: registry.internal:5000/library/redis:no-such-tag could not be looked up from here",
            "error: registry.internal:5000/library/redis:no-such-tag could not be pulled",
            "the stack was not touched",
            "continues from there",
        ],
    );
    assert_eq!(host.inside("ls /srv; docker ps -aq"), "");

    edit(&folder, "redis:no-such-tag", "redis:8");
    let did = folder.provision(&["up", "--yes", &host.name]);
    did.expect(0).said(&[
        "registry.internal:5000/library/redis:8 could not be looked up from here",
        "continuing from there",
    ]);
    assert!(host.get(8080)?.contains("three services, one page"));
    Ok(())
}

/// The disk is large enough by what was asked for, and not for the images: it is refused, and where it is
/// forced, Docker says so.
fn an_image_that_does_not_fit() -> Result<(), Failed> {
    let host = Host::make("debian13-docker");
    let folder = three("[steps.machine]\ndisk = \"10 MB\"");
    let docker = |how: &str| {
        host.inside(&format!("systemctl stop docker.socket docker; {how}; systemctl start docker"))
    };
    docker("mount -t tmpfs -o size=60m tmpfs /var/lib/docker");
    folder.provision(&["up", "--yes", &host.name]).fails(
        3,
        &[
            "at /var/lib/docker, of at least 132 MB: images of 44 MB are to be downloaded",
            "continue with --force",
        ],
    );
    folder.provision(&["up", "--yes", "--force", &host.name]).fails(
        6,
        &[
            "nginx:1.27 could not be pulled",
            "no space left on device",
            "free some space",
            "the stack was not touched",
            "continues from there",
        ],
    );
    assert_eq!(host.inside("ls /srv"), "");

    docker("umount /var/lib/docker");
    folder.provision(&["up", "--yes", &host.name]).expect(0).said(&["continuing from there"]);
    Ok(())
}

/// Before any connection: the host does not even exist.
fn a_compose_file_with_errors() -> Result<(), Failed> {
    let cases = [
        ("services:\n  web:\n    image: nginx\n   ports: [1]\n", "compose.yaml:4", "not valid YAML"),
        (
            "services:\n  web:\n    image: nginx\n    depends_on: [db]\n",
            "compose.yaml:4",
            "service \"web\" depends on \"db\", which is not there",
        ),
        ("services:\n  web:\n    imagee: nginx\n", "compose.yaml:3", "write `image`, or remove it"),
        (
            "services:\n  web:\n    image: nginx\n    ports: [\"99999:80\"]\n",
            "compose.yaml:4",
            "\"99999:80\" is not a port",
        ),
        ("services:\n  web:\n    image: ${WHICH:?name one}\n", "compose.yaml:3", "WHICH is required"),
    ];
    for (text, place, what) in cases {
        let folder = Folder::empty();
        folder.write("compose.yaml", text);
        let did = folder.provision(&["up", "--yes", "no-such-host.invalid"]);
        did.expect(2).said(&[place, what]);
        assert_eq!(did.stderr.matches("error:").count(), 1, "{}", did.stderr);
        assert!(!did.stderr.contains("no-such-host"), "no connection was tried\n{}", did.stderr);
    }
    Ok(())
}

/// What our reader accepts and the host's Compose does not stops the plan.
fn a_project_that_only_compose_refuses() -> Result<(), Failed> {
    let host = Host::on(Layer::Three);
    let folder = three("");
    folder.provision(&["up", "--yes", &host.name]).expect(0);
    let stack =
        || host.inside("docker ps --no-trunc -a --format '{{.ID}} {{.State}}'; cat /srv/three/compose.yaml");
    let before = stack();

    // Right in a later Compose than the one that is there.
    for (odd, what) in
        [("use_api_socket: true", "use_api_socket"), ("pre_start: [{command: x}]", "pre_start")]
    {
        let folder = three("");
        edit(&folder, "image: redis:8", &format!("image: redis:8\n    {odd}"));
        for arguments in [&["up", "--yes", &host.name] as &[_], &["plan", &host.name]] {
            let did = folder.provision(arguments);
            did.expect(3).said(&[
                "on the host does not accept the project; nothing was changed",
                "compose.yaml:",
                what,
                "correct it there",
            ]);
            assert!(!did.stderr.contains("/provision-compose"), "the file is named as here\n{}", did.stderr);
        }
        assert_eq!(stack(), before);
    }
    assert_eq!(folder_of_checks(&host), "", "no file of ours stays there");
    assert_eq!(three("").provision(&["runs", &host.name]).stdout.lines().count(), 1, "nothing was begun");
    assert!(host.get(8080)?.contains("three services, one page"));
    folder.provision(&["up", &host.name]).expect(0).said(&["nothing to change"]);
    Ok(())
}

fn folder_of_checks(host: &Host) -> String {
    host.inside("find /run /dev/shm /tmp -maxdepth 1 -name 'provision*'")
}

fn a_container_that_is_never_well() -> Result<(), Failed> {
    let host = Host::on(Layer::Three);
    let good = three("");
    good.provision(&["up", "--yes", &host.name]).expect(0);
    let text = std::fs::read_to_string(good.path().join("compose.yaml"))?;
    // The same folder each time: another one, while that is there, is another project.
    let whole = || {
        good.write("compose.yaml", &text);
        &good
    };

    let unhealthy = whole();
    edit(unhealthy, "retries: 10", "retries: 2");
    edit(unhealthy, "\"CMD\", \"redis-cli\", \"ping\"", "\"CMD-SHELL\", \"echo no database; exit 3\"");
    // Nobody waits for it, so that Compose itself has nothing to say.
    edit(unhealthy, "      cache:\n        condition: service_healthy\n", "");
    let previous = "/var/lib/provision/stacks/three/previous";
    let did = unhealthy.provision(&["up", "--yes", &host.name]);
    did.fails(
        6,
        &[
            "error: the stack is not healthy: cache is unhealthy",
            "Ready to accept connections",
            "cache | exit code 3: no database",
            "sudo docker compose -p three logs cache",
            previous,
            "continues from there",
        ],
    );

    // The page is gone with its command; the former bundle stays the last one that was well.
    let dying = whole();
    edit(
        dying,
        "image: nginx:1.27",
        "image: nginx:1.27\n    command: [sh, -c, \"echo cannot go on; exit 3\"]",
    );
    let did = dying.provision(&["up", "--yes", &host.name]);
    did.fails(
        6,
        &[
            // Restarting or ending, whichever is seen first.
            "error: the stack is not healthy: web keeps ",
            "web | cannot go on",
            "sudo docker compose -p three logs web",
            previous,
        ],
    );
    assert!(host.get(8080).is_err());

    // A one-shot that others wait for.
    let job = whole();
    edit(job, "echo prepared: $$GREETING", "echo cannot prepare; exit 5");
    job.provision(&["up", "--yes", &host.name]).fails(
        6,
        &[
            "error: the stack did not start: prepare ended with exit code 5",
            "prepare | cannot prepare",
            previous,
        ],
    );

    // A container that cannot even be made to run.
    let broken = whole();
    edit(broken, "image: nginx:1.27", "image: nginx:1.27\n    entrypoint: [/no/such/program]");
    let did = broken.provision(&["up", "--yes", &host.name]);
    did.fails(6, &["/no/such/program", previous]);

    // By the command that was named.
    host.ssh(did.behind("back to it, on the host: "));
    eventually("the stack that ran before is back", || host.get(8080).is_ok());
    assert!(host.get(8080)?.contains("three services, one page"));
    whole().provision(&["up", "--yes", &host.name]).expect(0);
    good.provision(&["up", &host.name]).expect(0).said(&["nothing to change"]);
    Ok(())
}
