//! Owners and permissions, and who is kept out by them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Many images make all that they mount their own user's when they start.
#[test]
fn another_owner_is_no_change_where_containers_write() {
    let text = "services:\n  app:\n    image: a\n    volumes: [\".:/app\", \"./ro:/ro:ro\"]\n";
    let mut case = Case::new(&[("compose.yaml", text), (".env", "A=1\n")]);
    case.sent();
    for file in [".env", "compose.yaml"] {
        if let Some(Some(there)) = case.facts.files.get_mut(&format!("/srv/notes/{file}")) {
            there.owner = "999:999".into();
        }
    }
    assert!(case.bundle().is_none());
    case.write(".env", "A=2\n");
    assert_eq!(paths(&case.bundle().expect("a file").files), ["/srv/notes/.env"]);
}

#[test]
fn owners_and_permissions_of_files() {
    let mut case = Case::new(&[
        (
            "compose.yaml",
            "services:\n  app:\n    image: a\n    user: \"1000:1000\"\n    secrets: [token]\n    volumes: \
             [\"./tls:/tls:ro\", \"./page:/page:ro\"]\n  root:\n    image: a\n    volumes: [\"./tls:/tls:ro\"]\n\
             secrets:\n  token:\n    file: ./secrets/token\n",
        ),
        ("tls/tls.key", "key\n"),
        ("page", "page\n"),
        ("secrets/token", "token\n"),
    ]);
    let unreadable = |case: &Case| {
        let warnings = case.plan().expect("a plan").warnings;
        warnings.into_iter().filter(|warning| warning.contains("cannot read")).collect::<Vec<_>>()
    };
    assert_eq!(
        unreadable(&case),
        ["secrets/token", "tls/tls.key"].map(|path| format!(
            "app runs as 1000 and cannot read {path} (0600 root:root); set `permissions = [{{ path = \"{path}\", \
             owner = \"1000\" }}]` in [steps.stack]"
        ))
    );
    case.sent();
    assert!(case.bundle().is_none());
    let settings =
        "permissions = [{ path = \"secrets/\", owner = \"1000\" }, { path = \"*.key\", mode = \"0444\" }]";
    case.options = toml::from_str(settings).expect("options");
    let change = case.bundle().expect("other owners");
    let owners: Vec<_> =
        change.files.iter().map(|file| format!("{:o} {} {}", file.mode, file.owner, file.path)).collect();
    assert_eq!(owners, ["600 1000:1000 /srv/notes/secrets/token", "444 root:root /srv/notes/tls/tls.key"]);
    assert!(unreadable(&case).is_empty());
    case.sent();
    assert!(case.bundle().is_none(), "it has that owner by another name");
    for bad in ["owner = \"deploy\"", "owner = \"-1\"", "mode = \"9\"", "mode = \"4755\"", "mode = \"+77\""] {
        let text = format!("permissions = [{{ path = \"x\", {bad} }}]");
        assert!(toml::from_str::<StackOptions>(&text).is_err(), "{bad}");
    }
}

#[test]
fn a_user_that_cannot_write_in_its_folder_is_told() {
    let mut case = Case::new(&[
        (
            "compose.yaml",
            "services:
  app: {image: a, user: \"1000\", volumes: [\"./data:/data\", \"./up:/up\", \"./in:/in:ro\", \"./new:/new\"]}
  root: {image: a, volumes: [\"./data:/data\"]}
",
        ),
        ("data/x", "1\n"),
        ("up/x", "1\n"),
        ("in/x", "1\n"),
    ]);
    fs::set_permissions(case.folder.path().join("up"), fs::Permissions::from_mode(0o777)).expect("a folder");
    let told = |case: &Case| {
        let warnings = case.plan().expect("a plan").warnings;
        warnings.into_iter().filter(|warning| warning.contains("cannot write")).collect::<Vec<_>>()
    };
    assert_eq!(
        told(&case),
        [
            "app runs as 1000 and cannot write in data/ (0755 root:root); set `permissions = [{ path = \"data/\", \
             owner = \"1000\" }]` in [steps.stack]",
            "app runs as 1000 and cannot write in new/ (0755 root:root); make the folder here (mkdir -p new) and \
             set `permissions = [{ path = \"new/\", owner = \"1000\" }]` in [steps.stack]"
        ]
    );
    // On the host it counts what is there.
    case.sent();
    folder_on_host(&mut case.facts, "/srv/notes/new");
    folder_on_host(&mut case.facts, "/srv/notes/data");
    if let Some(Some(there)) = case.facts.files.get_mut("/srv/notes/data") {
        there.ids = "1000:1000".into();
    }
    assert_eq!(
        told(&case),
        ["app runs as 1000 and cannot write in new/ (0755 0:0); on the host: sudo chown 1000 /srv/notes/new"]
    );
}
