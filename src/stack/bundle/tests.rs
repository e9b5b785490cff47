use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::*;
use crate::stack::compose::Project;

mod choice;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn collect(folder: &tempfile::TempDir) -> Result<Bundle, BundleError> {
    Bundle::collect(folder.path(), &Choice::default())
}

fn paths(bundle: &Bundle) -> Vec<&str> {
    bundle.files.iter().map(|f| f.path.as_str()).collect()
}

fn refusal(folder: &tempfile::TempDir) -> String {
    let text = collect(folder).unwrap_err().to_string();
    let real = folder.path().canonicalize().unwrap();
    let text = text.replace(&real.display().to_string(), "FOLDER");
    text.replace(&folder.path().display().to_string(), "FOLDER")
}

#[test]
fn what_is_taken() {
    let folder = folder(&[
        ("compose.yaml", "services: {}"),
        (".env", "A=1"),
        (".gitignore", ".env"),
        (".git/config", "x"),
        ("sub/.git/config", "x"),
        ("provision.toml", "x"),
        ("sub/provision.toml", "kept"),
        (".provisionignore", "# a comment\n\n/data\n*.log\ncache/\nsub/deep/**/x\n./one\n"),
        (".provision-state/a", "x"),
        (".DS_Store", "x"),
        ("notes.txt~", "x"),
        ("sub/.a.swp", "x"),
        ("data/x", "x"),
        ("sub/data/x", "kept"),
        ("a.log", "x"),
        ("sub/a.log", "x"),
        ("sub/cache/x", "x"),
        ("cache", "kept: a file"),
        ("sub/deep/1/2/x", "x"),
        ("sub/deep/1/2/y", "kept"),
        ("one", "x"),
        ("sub/one", "kept"),
        ("given/x", "x"),
        ("a-b", ""),
        ("a/b", ""),
        ("ü", ""),
    ]);
    let bundle =
        Bundle::collect(folder.path(), &Choice { ignore: &["given".to_owned()], ..Choice::default() })
            .unwrap();
    assert_eq!(
        paths(&bundle),
        [
            ".env",
            ".gitignore",
            "a-b",
            "a/b",
            "cache",
            "compose.yaml",
            "sub/data/x",
            "sub/deep/1/2/y",
            "sub/one",
            "sub/provision.toml",
            "ü",
        ]
    );
}

#[test]
fn modes_and_secrets() {
    let folder = folder(&[
        ("plain", ""),
        ("run.sh", ""),
        (".env", ""),
        (".env.production", ""),
        ("db.env", ""),
        ("tls/site.key", ""),
        ("tls/site.pem", ""),
        ("tls/site.crt", ""),
        ("secrets/token", ""),
        ("secrets/run", ""),
        ("named.txt", ""),
        ("environment", ""),
    ]);
    for name in ["run.sh", "secrets/run"] {
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o775)).unwrap();
    }
    fs::set_permissions(folder.path().join("plain"), fs::Permissions::from_mode(0o600)).unwrap();
    let other = self::folder(&[("compose.yaml", "services: {a: {image: a}}")]);
    let mut project = Project::load(other.path(), Some("a")).unwrap();
    project.sensitive = vec!["./named.txt".to_owned()];
    let choice = Choice { project: Some(&project), ..Choice::default() };
    let bundle = Bundle::collect(folder.path(), &choice).unwrap();
    let shown: Vec<String> =
        bundle.files.iter().map(|f| format!("{:o} {} {}", f.mode, f.sensitive, f.path)).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

/// Under whatever name a link stands.
#[test]
fn a_link_to_a_secret_is_one() {
    let folder = folder(&[(".env", "P=hunter2"), ("secrets/app", "x"), ("plain", "y")]);
    for (name, target) in
        [("settings.txt", ".env"), ("app.conf", "secrets/app"), ("same", "plain"), ("all", "secrets")]
    {
        symlink(target, folder.path().join(name)).unwrap();
    }
    let bundle = collect(&folder).unwrap();
    let secret: Vec<_> = bundle.files.iter().filter(|file| file.sensitive).map(|file| &*file.path).collect();
    assert_eq!(secret, [".env", "all/app", "app.conf", "secrets/app", "settings.txt"]);
}

#[test]
fn names_that_hide_something_are_refused() {
    for name in ["a\u{200f}.txt", "\u{202e}gnp.sh", "a\u{200b}b"] {
        let refused = refusal(&folder(&[("compose.yaml", ""), (name, "")]));
        assert!(refused.contains("hides or reorders text"), "{refused}");
        assert!(!refused.contains(name), "{refused}");
    }
}

#[test]
fn debug_hides_what_is_sensitive() {
    let folder = folder(&[(".env", "P=hunter2"), ("plain", "shown nowhere either")]);
    let shown = format!("{:?}", collect(&folder).unwrap());
    assert!(!shown.contains("hunter2") && !shown.contains("112, 117"), "{shown}");
    let secret = collect(&folder).unwrap().file(".env").unwrap().sha256.clone();
    assert!(!shown.contains(&secret), "{shown}");
}

#[test]
fn the_hash_holds_content_mode_and_path_and_nothing_else() {
    let files = [("a", "1"), ("b/c", "2")];
    let first = folder(&files);
    let hash = collect(&first).unwrap().hash();
    assert_eq!(hash, "a1b4b64e3e75721671f086bacd1669a17059c5da1558c52c976a8eb8846fc714");
    assert_eq!(collect(&folder(&files)).unwrap().hash(), hash);
    assert_ne!(collect(&folder(&[("a", "1"), ("b/d", "2")])).unwrap().hash(), hash);
    assert_ne!(collect(&folder(&[("a", "1"), ("b/c", "3")])).unwrap().hash(), hash);
    fs::set_permissions(first.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_ne!(collect(&first).unwrap().hash(), hash);
    assert_eq!(collect(&first).unwrap().size(), 2);
}

#[test]
fn links_within_the_folder_are_followed() {
    let folder = folder(&[("real/a", "1"), ("real/b", "2"), ("x/y", "3")]);
    symlink("real/a", folder.path().join("link")).unwrap();
    symlink("../real", folder.path().join("x/linked")).unwrap();
    symlink("link", folder.path().join("again")).unwrap();
    symlink("../none", folder.path().join("x/out.log")).unwrap();
    let ignore = ["*.log".to_owned()];
    let bundle = Bundle::collect(folder.path(), &Choice { ignore: &ignore, ..Choice::default() }).unwrap();
    assert_eq!(paths(&bundle), ["again", "link", "real/a", "real/b", "x/linked/a", "x/linked/b", "x/y"]);
    assert_eq!(bundle.file("again").unwrap().content, b"1");
    // The folder itself may be reached through a link.
    let outside = tempfile::tempdir().unwrap();
    let link = outside.path().join("stack");
    symlink(folder.path(), &link).unwrap();
    assert_eq!(
        Bundle::collect(&link, &Choice { ignore: &ignore, ..Choice::default() }).unwrap().hash(),
        bundle.hash()
    );
}

#[test]
fn refusals() {
    let mut shown = Vec::new();
    let outside = folder(&[("x", "")]);
    let out = folder(&[]);
    symlink(outside.path().join("x"), out.path().join("link")).unwrap();
    let text =
        refusal(&out).replace(&outside.path().canonicalize().unwrap().display().to_string(), "OUTSIDE");
    shown.push(text);
    let dangling = folder(&[("a/b", "")]);
    symlink("none", dangling.path().join("a/link")).unwrap();
    shown.push(refusal(&dangling));
    let circle = folder(&[("a/b", "")]);
    symlink("..", circle.path().join("a/up")).unwrap();
    shown.push(refusal(&circle));
    let mutual = folder(&[("a/x", ""), ("b/x", "")]);
    symlink("../b", mutual.path().join("a/b")).unwrap();
    symlink("../a", mutual.path().join("b/a")).unwrap();
    shown.push(refusal(&mutual));
    let socket = folder(&[]);
    let _listener = UnixListener::bind(socket.path().join("docker.sock")).unwrap();
    shown.push(refusal(&socket));
    let newline = folder(&[("a\nb", "")]);
    shown.push(refusal(&newline));
    let bytes = folder(&[]);
    fs::write(bytes.path().join(OsStr::from_bytes(b"caf\xe9")), "").unwrap();
    shown.push(refusal(&bytes));
    shown.push(refusal(&folder(&[(".provisionignore", "ok\n!not")])));
    shown.push(refusal(&folder(&[(".provisionignore", "a[")])));
    let none = Bundle::collect(Path::new("/nonexistent/stack"), &Choice::default()).unwrap_err();
    shown.push(none.to_string());
    let file = folder(&[("x", "")]);
    let not_a_folder = Bundle::collect(&file.path().join("x"), &Choice::default()).unwrap_err().to_string();
    shown.push(not_a_folder.replace(&file.path().display().to_string(), "FOLDER"));
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn too_much_names_the_largest() {
    let folder = folder(&[("small", "x"), ("data/a", ""), ("data/b", ""), ("dump.sql", ""), ("log", "")]);
    let grow = |name: &str, size: u64| {
        let file = fs::File::options().write(true).open(folder.path().join(name)).unwrap();
        file.set_len(size).unwrap();
    };
    grow("data/a", 30 << 20);
    grow("data/b", 20 << 20);
    grow("dump.sql", 10 << 20);
    grow("log", 5 << 20);
    insta::assert_snapshot!(refusal(&folder), @"the folder FOLDER holds 68 MB that would be sent, more than 67 MB; the largest: data/ (2 files, 52 MB), dump.sql (10 MB), log (5.2 MB); add what the stack does not need to .provisionignore, one pattern a line");
    fs::write(folder.path().join(".provisionignore"), "data/\n").unwrap();
    assert_eq!(paths(&collect(&folder).unwrap()), ["dump.sql", "log", "small"]);
}
