//! What a plan shows of addresses with passwords, and where they go on the host.

use crate::facts::Route;
use crate::plan::{FileChange, Plan};
use crate::report::{Verbosity, render_plan, render_plan_markdown};
use crate::run::compile;
use crate::steps::tests::{bare, options, with_docker};
use crate::steps::{Claims, Docker, Model, Packages, Step, User, plan};

const SETTINGS: &str = r#"
[packages]
install = ["curl"]
proxy = "http://puser:PW1@proxy.example:3128"
[docker]
proxy = "http://puser:PW2@proxy.example:3128"
mirror = "https://muser:PW3@mirror.example/docker"
registry_mirrors = ["https://ruser:PW4@registry.example"]
[docker.daemon]
proxies = { ftp-proxy = "http://u:PW5@proxy.example" }
"#;

fn planned() -> Plan {
    let options = options(SETTINGS);
    let steps: Vec<Box<dyn Step>> = vec![
        Box::new(Packages::new(options.packages)),
        Box::new(Docker::new(options.docker)),
        Box::new(User::new(options.user)),
    ];
    let mut model = Model { facts: bare(), ..Model::default() };
    model.claims = Claims::read(&model.facts, "shop").expect("claims");
    plan("web1", "compose", &steps, &mut model).expect("a plan")
}

#[test]
fn no_output_has_a_password() {
    let plan = planned();
    let outputs = [
        render_plan(&plan, false, Verbosity::Verbose),
        render_plan_markdown(&plan),
        serde_json::to_string(&plan).expect("JSON"),
    ];
    for output in &outputs {
        assert!(!output.contains("PW"), "{output}");
    }
    assert!(outputs[0].contains("https://mirror.example/docker/linux/debian"), "{}", outputs[0]);
    assert!(compile(&plan).is_ok_and(|archive| !archive.is_empty()));
}

#[test]
fn on_the_host_they_are_roots_alone() {
    let plan = planned();
    let files: Vec<&FileChange> = plan.changes().flat_map(|change| &change.files).collect();
    let with_password: Vec<_> = files
        .iter()
        .filter(|file| {
            file.content.as_deref().is_some_and(|text| String::from_utf8_lossy(text).contains("PW"))
        })
        .map(|file| format!("{:04o} {}", file.mode, file.path))
        .collect();
    assert_eq!(
        with_password,
        [
            "0600 /etc/docker/daemon.json",
            "0600 /etc/apt/auth.conf.d/provision-docker.conf",
            "0600 /var/lib/provision/claims/shop.json"
        ]
    );
    let login = files.iter().find(|file| file.path.ends_with("provision-docker.conf")).expect("a login");
    let text = String::from_utf8_lossy(login.content.as_deref().expect("content"));
    assert!(text.contains("machine https://mirror.example login muser password PW3\n"), "{text}");
}

#[test]
fn a_key_that_comes_in_the_clear_is_a_warning() {
    const FINGERPRINT: &str = "key_fingerprint = \"9DC8 5822 9FC7 DD38 854A E2D8 8D81 803C 0EBF CD88\"\n";
    for (settings, expected) in [
        ("mirror = \"http://mirror.example/docker\"\n".to_owned(), true),
        (format!("mirror = \"http://mirror.example/docker\"\n{FINGERPRINT}"), false),
        ("mirror = \"http://m.example\"\nkey = \"https://m.example/key\"\n".into(), false),
        ("mirror = \"https://m.example\"\nkey = \"http://m.example/key\"\n".into(), true),
        ("mirror = \"https://mirror.example/docker\"\n".into(), false),
        (String::new(), false),
    ] {
        let options = options(&format!("[docker]\n{settings}"));
        let steps: Vec<Box<dyn Step>> = vec![Box::new(Docker::new(options.docker))];
        let mut model = Model { facts: bare(), ..Model::default() };
        let plan = plan("web1", "compose", &steps, &mut model).expect("a plan");
        let warned =
            plan.steps.iter().flat_map(|step| &step.warnings).any(|text| text.contains("plain http"));
        assert_eq!(warned, expected, "{settings}");
    }
}

/// The network that Docker's bridge has had for a year, beside a wide route: nothing new covers anything.
#[test]
fn the_present_bridge_is_no_new_network() {
    let route = |network: &str, device: &str, by_gateway| Route {
        network: network.parse().expect("a network"),
        device: device.into(),
        by_gateway,
    };
    let mut facts = with_docker("28.3.2");
    facts.routes = vec![route("172.17.0.0/16", "docker0", false), route("172.16.0.0/12", "eth0", true)];
    facts.identity.ssh_client = "172.17.5.5".parse().ok();
    let planned = |settings: &str| {
        let mut model = Model { facts: facts.clone(), ..Model::default() };
        Docker::new(options(settings).docker).plan(&mut model).map(|step| step.changes.len())
    };
    assert_eq!(planned("").ok(), Some(0));
    // Another one is.
    assert!(planned("docker.daemon.bip = '172.18.0.1/16'").is_err());
}

#[test]
fn docker_keeps_what_it_has() {
    const SNAPSHOTTER: &str = "features = { containerd-snapshotter = true }";
    let planned = |storage: Option<&str>, settings: &str, force: bool| {
        let mut facts = storage.map_or_else(bare, |storage| {
            let mut facts = with_docker("28.5.2");
            if let Some(docker) = &mut facts.docker {
                docker.storage = storage.into();
            }
            facts
        });
        facts.files.entry("/etc/docker/daemon.json".into()).or_default();
        let options = options(&format!("[docker.daemon]\n{settings}\n"));
        let mut model = Model { facts, force, ..Model::default() };
        model.claims = Claims::read(&model.facts, "shop").expect("claims");
        let steps: Vec<Box<dyn Step>> = vec![Box::new(Docker::new(options.docker))];
        plan("web1", "compose", &steps, &mut model).map_err(|refusal| refusal.what)
    };
    for (storage, settings, refused) in [
        (Some("overlay2"), SNAPSHOTTER, Some("features.containerd-snapshotter")),
        (Some("overlayfs"), SNAPSHOTTER, None),
        (Some("overlayfs"), "features = { containerd-snapshotter = false }", Some("containerd-snapshotter")),
        (Some("overlay2"), "data-root = \"/srv/docker\"", Some("data-root")),
        (Some("overlay2"), "data-root = \"/var/lib/docker/\"", None),
        (Some("overlay2"), "storage-driver = \"vfs\"", Some("storage-driver")),
        (Some("overlay2"), "storage-driver = \"overlay2\"", None),
        (Some(""), "storage-driver = \"overlay2\"", Some("storage-driver")),
        (Some("overlay2"), "debug = true", None),
        (None, SNAPSHOTTER, None),
        (None, "data-root = \"/srv/docker\"", None),
    ] {
        let what = planned(storage, settings, false).err();
        match refused {
            Some(words) => {
                assert!(what.as_deref().is_some_and(|what| what.contains(words)), "{settings}: {what:?}")
            }
            None => assert_eq!(what, None, "{storage:?} {settings}"),
        }
    }
    let forced = planned(Some("overlay2"), SNAPSHOTTER, true).expect("a plan");
    let reasons: Vec<_> = forced.changes().map(|change| change.reason.as_str()).collect();
    assert!(
        reasons.contains(&"Docker starts without the images and containers that it has now"),
        "{reasons:?}"
    );
}

#[test]
fn what_decides_where_data_lies_is_not_taken_back() {
    let mut facts = with_docker("28.5.2");
    let text = r#"{"features": {"containerd-snapshotter": true}, "debug": true}"#;
    crate::steps::tests::put(&mut facts, "/etc/docker/daemon.json", text);
    let claim = format!(r#"{{"docker": {{"daemon": {text}}}}}"#);
    crate::steps::tests::put(&mut facts, "/var/lib/provision/claims/shop.json", &claim);
    let mut model = Model { facts, ..Model::default() };
    model.claims = Claims::read(&model.facts, "shop").expect("claims");
    let steps: Vec<Box<dyn Step>> = vec![Box::new(Docker::new(options("").docker))];
    let plan = plan("web1", "compose", &steps, &mut model).expect("a plan");
    let titles: Vec<_> = plan.changes().map(|change| change.title.as_str()).collect();
    assert!(titles.contains(&"remove debug from daemon.json"), "{titles:?}");
}
