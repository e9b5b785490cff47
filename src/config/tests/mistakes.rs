//! Every mistake with all that is shown of it.

use std::fmt::Write;

use super::*;

/// What a person sees of a mistake, with the folder's name left out.
fn refused(files: &[(&str, &str)], playbook: Option<&str>, config: Option<&str>) -> String {
    let folder = folder(files);
    let error = load(folder.path(), playbook, config.map(Path::new)).expect_err("a mistake");
    show(&error).replace(&folder.path().display().to_string(), "FOLDER")
}

fn project(text: &str) -> String {
    refused(&[("compose.yaml", ""), ("provision.toml", text)], None, None)
}

fn playbook(text: &str) -> String {
    refused(&[("site.toml", text)], Some("./site.toml"), None)
}

/// All messages below each other, each under what was written.
fn sheet(texts: &[&str], say: fn(&str) -> String) -> String {
    texts.iter().fold(String::new(), |mut sheet, text| {
        let _ = writeln!(sheet, "{}\n→ {}\n", text.escape_debug(), say(text));
        sheet
    })
}

#[test]
fn mistakes_in_keys() {
    let sheet = sheet(
        &[
            "[steps.docker]\nverison = \">=27\"",
            "[steps.docker]\nwait = 3",
            "[steps.docker]\ncolour = 3",
            "[steps.dcoker]\nversion = \"27\"",
            "[steps.nginx]",
            "host = [\"one\"]",
            "[steps.docker]\nproxi = \"http://me:secret@proxy:3128\" # or https://token@b/c@d",
            "colour = 1",
            "wait = 3",
            "[docker]\nversion = \"27\"",
            "[options.docker]\nversion = \"27\"",
            "description = \"Ours\"",
            "hosts = [\"one\"]\n\n  steps.stack = { path = \"app\", waits = 3 }",
            "[steps.docker]\nhold = true\nhold = false",
            "[steps.docker]\n\"a\\u001b[31m`b\" = 1",
        ],
        project,
    );
    insta::assert_snapshot!(sheet);
}

#[test]
fn mistakes_in_values() {
    let sheet = sheet(
        &[
            "[steps.stack]\nwait = \"soon\"",
            "[steps.firewall]\nallow = \"ssh\"",
            "[steps.firewall]\nallow = [443, \"smtp\"]",
            "[steps.firewall]\nallow = [{ port = 443, form = [] }]",
            "[steps.firewall]\nallow = [{ port = 443, from = \"10.0.0.0/8\" }]",
            "[steps.firewall]\nallow = [{ port = 443, from = [\"10.0.0.1/8\"] }]",
            "[steps.stack]\nwait = -5",
            "[steps.stack]\nwait = 1.5",
            "[steps.stack]\nwait = 99999999999999999999999999999999999999999999",
            "[steps.docker]\nlock_wait = []",
            "[steps.docker]\nhold = \"yes\"",
            "[steps.docker]\nversion = 27",
            "[steps.docker]\nversion = \"latest\"",
            "[steps.docker]\nsource = \"distro\"",
            "[steps.docker]\nsource = \"Docker\"",
            "[steps.docker]\nsource = \"docker-ce\"",
            "[steps.docker]\nsource = 1",
            "[steps.docker]\nsource = { docker = 1 }",
            "[steps.docker]\nregistry_mirrors = [[\"a\"]]",
            "[steps.docker]\ndaemon = []",
            "[steps.docker]\ndaemon.since = 2024-01-01",
            "[steps.docker]\ndaemon.factor = [inf]",
            "[steps.machine]\nmemory = \"4gb\"",
            "[steps.machine]\nmemory = 4",
            "[steps.packages]\ninstall = \"curl\"",
            "[steps.packages]\ninstall = [\"curl\", 3]",
            "[steps.stack]\npath = 3",
            "steps = [\"docker\"]",
            "[[steps.docker]]",
            "steps.docker = [\"docker\"]",
            "playbook = [\"docker\"]",
            "playbook = \"compsoe\"",
            "playbook = \"kubernetes\"",
            "playbook = \"ours.toml\"",
            "playbook = \"compose.toml\"",
            "playbook = \"\"",
            "hosts = \"one\"",
            "hosts = [\"me@one\", \"me@two:2222\"]",
            "hosts = [\"-oProxyCommand=x\"]",
            "hosts = [\"a\\u0007\"]",
            "hosts = [1]",
        ],
        project,
    );
    insta::assert_snapshot!(sheet);
}

#[test]
fn mistakes_in_syntax() {
    let sheet = sheet(
        &[
            "playbook = compose",
            "playbook = \"compose",
            "playbook",
            "playbook: compose",
            "playbook = 'compose",
            "steps.docker = { hold = true",
            "hosts = [\"one\"",
            "hosts = []\nhosts.x = 1",
            "[steps.docker\nhold = true",
            "hosts = [\"one\"\n\"two\"]",
            "\u{1b}[31mred = 1",
            "[steps.docker]\nhold = true\n[steps.docker]\nhold = true",
            "a = \"\r\n",
            "{\n  \"playbook\": \"compose\"\n}",
        ],
        project,
    );
    insta::assert_snapshot!(sheet);
}

#[test]
fn mistakes_in_playbooks() {
    let sheet = sheet(
        &[
            "",
            "description = \"Ours\"",
            "steps = []",
            "\u{feff}steps = []",
            "steps = \"docker\"",
            "steps = [\"machine\", \"dokcer\"]",
            "steps = [\"nginx\"]",
            "steps = [\"machine\",\n  \"docker\",\n  \"docker\"]",
            "steps = [1]",
            "[steps.docker]\nhold = true",
            "steps = [\"docker\"]\n[options.docker]\nholds = true",
            "steps = [\"docker\"]\n[options]\ndocker = true",
            "steps = [\"docker\"]\noptions = 3",
            "steps = [\"docker\"]\nhosts = []",
            "steps = [\"docker\"]\n[docker]",
            "step = [\"docker\"]",
            "steps = [\"docker\"]\n[steps.docker]\nhold = true",
            "[steps.docker]\nhold = true\n[options]\n",
            "[steps]\n[options]\nsteps.docker = 1",
            "wait = 3",
        ],
        playbook,
    );
    insta::assert_snapshot!(sheet);
}

#[test]
fn mistakes_in_files() {
    let long = format!("hosts = [{}1, \"last\"]", "\"a-rather-long-name\", ".repeat(20));
    let large = " ".repeat((1 << 20) + 1);
    let none: &[(&str, &str)] = &[];
    let cases: Vec<String> = vec![
        refused(none, Some("compsoe"), None),
        refused(none, Some("traefik"), None),
        refused(none, Some(""), None),
        refused(&[("site.toml", "")], Some("site"), None),
        refused(none, Some("./site.toml"), None),
        refused(none, Some("docker.toml"), None),
        refused(none, Some("a\u{1b}/site.toml"), None),
        refused(none, Some("docker"), Some("deploy.toml")),
        refused(&[("deploy.toml/x", "")], Some("docker"), Some("deploy.toml")),
        refused(&[("provision.toml/x", "")], Some("docker"), None),
        refused(&[("etc/deploy.toml", "playbook = \"ours.toml\"")], None, Some("etc/deploy.toml")),
        refused(&[("provision.toml", &large)], Some("docker"), None),
        refused(&[("provision.toml", &long)], Some("docker"), None),
        refused(&[("provision.toml", "# ü 漢字\nhosts = [\"漢字\", 1]\r\n")], Some("docker"), None),
    ];
    let sheet = cases.join("\n\n");
    insta::assert_snapshot!(sheet);
    let folder = folder(&[]);
    fs::write(folder.path().join("provision.toml"), b"hosts = []\n# \xff\n").expect("a file");
    let error = load(folder.path(), Some("docker"), None).expect_err("a mistake");
    insta::assert_snapshot!(error, @"cannot read provision.toml: line 2 is not UTF-8; save the file as UTF-8");
}
