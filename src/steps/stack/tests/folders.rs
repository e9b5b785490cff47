//! Permissions of folders and files: what was given here travels, and is kept.

use std::os::unix::fs::PermissionsExt;

use super::*;

impl Case {
    fn chmod(&self, path: &str, mode: u32) {
        let path = self.folder.path().join(path);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    }

    fn made(&self, path: &str, mode: u32) {
        fs::create_dir_all(self.folder.path().join(path)).expect("a folder");
        self.chmod(path, mode);
    }

    fn on_host(&mut self, path: &str, mode: u32, owner: &str) {
        let path = format!("/srv/notes/{path}");
        if self.facts.files.get(&path).is_none_or(Option::is_none) {
            folder_on_host(&mut self.facts, &path);
        }
        if let Some(Some(there)) = self.facts.files.get_mut(&path) {
            (there.mode, there.owner, there.ids) = (mode, owner.into(), owner.into());
        }
    }

    fn folders(&self) -> String {
        self.bundle().map(|change| change.action.arguments["folders"].replace('\t', " ")).unwrap_or_default()
    }

    /// Its change, the services that a start interrupts, and whether there is one.
    fn told(&self) -> (Option<Change>, Option<Vec<String>>) {
        let planned = self.plan().expect("a plan");
        let of = |id: &str| planned.changes.iter().find(|change| change.id == id).cloned();
        let interrupted = of("stack/up").map(|start| {
            let services = start.risks.into_iter().find_map(|risk| match risk {
                Risk::InterruptsService { services } => Some(services),
                _ => None,
            });
            services.unwrap_or_default()
        });
        (of("stack/bundle"), interrupted)
    }
}

const APP: &str = "services:\n  web:\n    image: a\n    volumes: [\"./uploads:/u\", \"./keys:/keys:ro\", \"./site:/site:ro\"]\n  \
                   other:\n    image: a\n";

fn app() -> Case {
    let case =
        Case::new(&[("compose.yaml", APP), ("keys/tls/a.key", "k"), ("keys/list", "l"), ("site/a/b", "b")]);
    case.made("uploads", 0o777);
    case.made("keys", 0o700);
    case.made("unused", 0o777);
    case
}

#[test]
fn permissions_of_folders_travel_and_are_kept() {
    let mut case = app();
    // Nothing of what `mkdir` makes by itself, nor of what is in no one's way.
    assert_eq!(case.folders(), "700 root:root kept keys\n777 root:root seed uploads\n");
    let reason = case.bundle().expect("a change").reason;
    assert!(reason.contains("permissions: keys/ 0700, uploads/ 0777"), "{reason}");
    running(&mut case);
    assert!(case.bundle().is_none());

    // Edited on the host: set back, and said; it interrupts nothing.
    case.on_host("keys", 0o755, "root:root");
    let (change, start) = case.told();
    let change = change.expect("a change");
    assert_eq!(change.title, "set the permissions of 1 folder in /srv/notes");
    assert_eq!(change.reason, "the host has other permissions; permissions: keys/ 0755 → 0700");
    assert_eq!(
        change.risks,
        [Risk::ResetsPermissions { path: "/srv/notes/keys".into(), from: "0755".into(), to: "0700".into() }]
    );
    assert_eq!(start, None);
    assert!(change.action.arguments.contains_key("keeps"));
    case.sent();
    assert!(case.bundle().is_none());
    // So is another owner, in a folder that is as `mkdir` made it.
    case.on_host("site/a", 0o755, "deploy:deploy");
    assert_eq!(case.folders(), "755 root:root kept site/a\n");
    case.sent();

    // Changed here: set, and no one is accused.
    case.chmod("site/a", 0o750);
    let (change, start) = case.told();
    assert_eq!((change.expect("a change").risks, start), (vec![], None));
    case.sent();

    // The application's stays as the application has it, and so does one that it has removed below it.
    case.on_host("uploads", 0o700, "999:999");
    case.chmod("uploads", 0o755);
    assert!(case.bundle().is_none());
    case.made("uploads/inner", 0o777);
    assert_eq!(case.folders(), "777 root:root seed uploads/inner\n");
    let (change, start) = case.told();
    assert_eq!((change.expect("a change").title.as_str(), start), ("make 1 folder in /srv/notes", None));
    case.sent();
    case.facts.files.insert("/srv/notes/uploads/inner".into(), None);
    assert!(case.bundle().is_none());
    // What Docker would make is made with its permissions.
    case.facts.files.insert("/srv/notes/uploads".into(), None);
    assert_eq!(case.folders(), "755 root:root seed uploads\n");
}

/// A host on which an earlier provision has sent the same: nothing is to be changed that was not meant.
#[test]
fn a_host_that_knows_of_no_folders() {
    let mut case = app();
    case.made("keys", 0o755);
    running(&mut case);
    case.facts.files.remove("/var/lib/provision/stacks/notes/folders");
    case.made("uploads/new", 0o777);
    assert!(case.bundle().is_none(), "{:?}", case.bundle());
    // What a person did to a folder there stays: it cannot be told from what provision did.
    case.on_host("site", 0o750, "root:web");
    case.on_host("keys", 0o2755, "root:root");
    assert!(case.bundle().is_none(), "{:?}", case.bundle());
    // Also when a file is sent, and afterwards.
    case.write("site/a/b", "c");
    case.sent();
    assert!(case.bundle().is_none(), "{:?}", case.bundle());
    // What was given here goes there, once, and interrupts nothing.
    case.chmod("keys", 0o700);
    let (change, start) = case.told();
    let change = change.expect("a change");
    assert_eq!((change.risks, start), (vec![], None));
    case.sent();
    assert!(case.bundle().is_none());
}

#[test]
fn permissions_of_files_travel() {
    let mut case = app();
    running(&mut case);
    for (path, mode) in [("site/a/b", 0o600), ("keys/list", 0o666)] {
        case.chmod(path, mode);
    }
    let (change, start) = case.told();
    let change = change.expect("a change");
    assert_eq!(paths(&change.files), ["/srv/notes/keys/list", "/srv/notes/site/a/b"]);
    assert!(
        change.reason.ends_with("permissions: keys/list 0644 → 0666, site/a/b 0644 → 0600"),
        "{}",
        change.reason
    );
    // The files stay the same ones: what mounts them sees it as it is.
    assert_eq!((start, change.risks), (None, vec![]));
    let hash = change.action.arguments["keeps"].clone();
    case.sent();
    put(&mut case.facts, "/var/lib/provision/stacks/notes/applied", &format!("{hash}\n"));
    assert_eq!(case.told().1, None);
    // A content with it is another matter.
    case.write("site/a/b", "c");
    assert_eq!(case.told().1, Some(vec!["web".to_owned()]));
}

#[test]
fn options_give_permissions_to_folders() {
    let mut case = app();
    case.options = toml::from_str(
        "permissions = [{ path = \"uploads/\", owner = \"1000\" }, { path = \"keys/\", mode = \"0640\" }]",
    )
    .expect("options");
    assert_eq!(
        case.folders(),
        "750 root:root kept keys\n750 root:root kept keys/tls\n777 1000:1000 seed uploads\n"
    );
    running(&mut case);
    assert!(case.bundle().is_none());
}

#[test]
fn a_folder_that_a_user_cannot_enter_is_named() {
    let case = app();
    case.write(
        "compose.yaml",
        &APP.replace("    image: a\n    volumes", "    image: a\n    user: \"33\"\n    volumes"),
    );
    let warnings = case.plan().expect("a plan").warnings;
    assert_eq!(
        warnings,
        [
            "web runs as 33 and cannot read keys/tls/a.key (0600 root:root); set `permissions = [{ path = \
             \"keys/tls/a.key\", owner = \"33\" }]` in [steps.stack]",
            "web runs as 33 and cannot enter keys/ (0700 root:root); set `permissions = [{ path = \"keys/\", owner = \
             \"33\" }]` in [steps.stack], or open it here: chmod 755 keys"
        ]
    );
}

/// One new file of the application's interrupts nothing, unless an image is built from it.
#[test]
fn a_seed_interrupts_nothing() {
    let mut case = app();
    case.write("made/Dockerfile", "FROM a\n");
    case.write("made/.dockerignore", "cache\n");
    let text = format!("{APP}  made: {{build: ./made, volumes: [\"./made:/app\"]}}\n");
    case.write("compose.yaml", &text);
    running(&mut case);
    case.write("uploads/first", "1");
    let (change, start) = case.told();
    assert_eq!(paths(&change.expect("a change").files), ["/srv/notes/uploads/first"]);
    assert_eq!(start, None);
    // With a file that is read, what reads that one is named.
    case.write("README.md", "x");
    assert_eq!(case.told().1, Some(vec![]));
    fs::remove_file(case.folder.path().join("README.md")).expect("a file");
    // Docker takes it along, or does not.
    case.write("made/cache/x", "1");
    assert_eq!(case.told().1, None);
    case.made("made/cache/empty", 0o777);
    assert_eq!(case.told().1, None);
    case.write("made/code.py", "1");
    assert_eq!(case.told().1, Some(vec!["made".to_owned()]));
    fs::remove_file(case.folder.path().join("made/code.py")).expect("a file");
    // Docker's folder is in its place: what mounts it is created again.
    folder_on_host(&mut case.facts, "/srv/notes/uploads/first");
    assert_eq!(case.told().1, Some(vec!["web".to_owned()]));
}
