//! What user-data is made of, without a server.

use std::io::Read;

use base64::Engine;
use flate2::read::GzDecoder;

use super::release::BadSums;
use super::*;
use crate::stack::bundle::BundleFile;

fn file(path: &str, content: &str, sensitive: bool) -> BundleFile {
    let sha256 = crate::digest::sha256(content.as_bytes());
    BundleFile {
        path: path.into(),
        mode: 0o644,
        owner: String::new(),
        sha256,
        content: content.into(),
        sensitive,
        built: false,
        seed: false,
    }
}

fn archive() -> Archive {
    Archive {
        release_url: "https://files.example/v1".into(),
        sha256: [("x86_64".to_owned(), "a".repeat(64))].into(),
        settings: "playbook = \"compose\"\n".into(),
        beside: vec![("ca.pem", "authority\n".into())],
        stack: vec![file("compose.yaml", "services: {}\n", false)],
        stack_folders: Vec::new(),
        stack_archive: Some(StackArchive { url: "https://files.example/s".into(), sha256: "b".repeat(64) }),
    }
}

/// What stands behind the marker of the script: names, modes and contents.
fn unpacked(script: &str) -> Vec<(String, u32, String)> {
    let (_, encoded) = script.split_once("__ARCHIVE__\n").expect("a marker");
    let bytes = BASE64.decode(encoded.replace('\n', "")).expect("base64");
    let mut files = Vec::new();
    for entry in tar::Archive::new(GzDecoder::new(bytes.as_slice())).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        files.push((path, entry.header().mode().expect("a mode"), text));
    }
    files
}

#[test]
fn the_archive_holds_what_the_script_reads() {
    let script = render(&archive(), Format::Script, "it provisions itself").expect("a script");
    let files = unpacked(&script);
    let names: Vec<_> = files.iter().map(|(name, mode, _)| format!("{name} {mode:o}")).collect();
    assert_eq!(
        names,
        [
            "release 600",
            "archive 600",
            "unit 644",
            "settings/provision.toml 600",
            "settings/ca.pem 600",
            "settings/stack/ 755",
            "settings/stack/compose.yaml 644"
        ]
    );
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        files[0].2,
        format!("version {version}\nurl https://files.example/v1\nx86_64 {}\n", "a".repeat(64))
    );
    assert_eq!(files[1].2, format!("url https://files.example/s\nsha256 {}\n", "b".repeat(64)));
    assert_eq!(files[6].2, "services: {}\n");
    assert_eq!(
        script,
        render(&archive(), Format::Script, "it provisions itself").expect("the same"),
        "each time"
    );
}

#[test]
fn each_form_holds_the_script() {
    let script = render(&archive(), Format::Script, "x").expect("a script");
    assert!(script.starts_with("#!/bin/sh\n# Made by provision "), "{script}");

    let mime = render(&archive(), Format::Mime, "x").expect("a message");
    assert!(mime.contains(&script), "{mime}");
    assert_eq!(mime.matches("--=_provision_=").count(), 2, "{mime}");

    let config = render(&archive(), Format::CloudConfig, "x").expect("a cloud-config");
    assert!(config.starts_with("#cloud-config\n"), "{config}");
    let content = config.lines().find_map(|line| line.strip_prefix("  content: ")).expect("content");
    let bytes = BASE64.decode(content).expect("base64");
    let mut text = String::new();
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, script);
}

#[test]
fn a_summary_ends_no_line() {
    let script = render(&archive(), Format::Script, "playbook x\nrm -rf / ü").expect("a script");
    assert!(script.contains(": playbook x?rm -rf / ?\n"), "{script}");
}

#[test]
fn reads_what_sha256sum_writes() {
    let (sum, other) = ("0123456789abcdef".repeat(4), "F".repeat(64));
    let name = release::file_name("x86_64");
    let arm = release::file_name("aarch64");
    for (text, expected) in [
        (
            format!("{sum}  {name}\n{other} *{arm}\n"),
            Ok(vec![("aarch64", "f".repeat(64)), ("x86_64", sum.clone())]),
        ),
        (format!("{sum}  {name}\n"), Ok(vec![("x86_64", sum.clone())])),
        (format!("{sum}  provision-0.0.0-x86_64-linux\n"), Err(BadSums::NoFile)),
        ("<html>".into(), Err(BadSums::NoFile)),
        (format!("{} {name}", "g".repeat(64)), Err(BadSums::NoSum("g".repeat(64)))),
        (format!("123 {name}"), Err(BadSums::NoSum("123".into()))),
    ] {
        let sums = expected.map(|pairs| pairs.into_iter().map(|(key, sum)| (key.to_owned(), sum)).collect());
        assert_eq!(from_sums(&text), sums, "{text}");
    }
}

#[test]
fn knows_what_looks_like_a_secret() {
    for (name, value, expected) in [
        ("POSTGRES_PASSWORD", "x", true),
        ("db_password", "\"x\"", true),
        ("API_TOKEN", "x", true),
        ("SECRET_KEY_BASE", "x", true),
        ("DATABASE_URL", "postgres://app:x@db/app", true),
        ("POSTGRES_PASSWORD", "", false),
        ("POSTGRES_PASSWORD", "\"\"", false),
        ("POSTGRES_PASSWORD", "${FROM_ELSEWHERE}", false),
        ("POSTGRES_PASSWORD_FILE", "/run/secrets/db", false),
        ("SECRET_NAME", "db", false),
        ("USE_TOKEN", "true", false),
        ("DATABASE_URL", "postgres://app@db/app", false),
        ("DATABASE_URL", "postgres://app:${PASSWORD}@db/app", false),
        ("PORT", "8080", false),
        ("HOME_PAGE", "https://example.org/a:b@c", false),
    ] {
        assert_eq!(looks_secret(name, value), expected, "{name}={value}");
    }
}

#[test]
fn names_the_secrets_in_files() {
    let env = "# PASSWORD=no\nPORT=1\nexport DB_PASSWORD=x\n TOKEN = y\n";
    let files = [
        file(".env", env, true),
        file("web/prod.env", "KEY=1\n", true),
        file("tls/site.key", "x", true),
        file("notes", "PASSWORD=x", false),
    ];
    assert_eq!(secrets_in_files(&files), [".env:3: DB_PASSWORD", ".env:4: TOKEN", "tls/site.key"]);
}

#[test]
fn reads_env_files_as_compose_does() {
    for (env, expected) in [
        ("DB=hunter2\nDB_PASSWORD=${DB}\n", &[".env:2: DB_PASSWORD"][..]),
        ("DB_PASSWORD=${NOT_SET}\n", &[]),
        ("DB_PASSWORD=${NOT_SET:-hunter2}\n", &[".env:1: DB_PASSWORD"]),
        ("DB_PASSWORD='$literal'\n", &[".env:1: DB_PASSWORD"]),
        ("DB_PASSWORD: hunter2\n", &[".env:1: DB_PASSWORD"]),
        ("export\tDB_PASSWORD = 'a # b'\n", &[".env:1: DB_PASSWORD"]),
        ("DB_PASSWORD=\"\"\nX=1", &[]),
        ("A=\"one\ntwo\"\nAPI_TOKEN=\"x\ny\"\n", &[".env:3: API_TOKEN"]),
        // A line of a value is no variable.
        ("A='one\nDB_PASSWORD=no'\n", &[]),
        ("USER=a\nPW=b\nURL=postgres://$USER:$PW@db\n", &[".env:2: PW", ".env:3: URL"]),
        ("DB_PASSWORD=first\nDB_PASSWORD=\n", &[]),
        ("\u{feff}DB_PASSWORD=x\n", &[".env:1: DB_PASSWORD"]),
        // What cannot be read is looked through by lines.
        ("DB_PASSWORD=x\nthis is no variable\n", &[".env:1: DB_PASSWORD"]),
    ] {
        assert_eq!(secrets_in_files(&[file(".env", env, true)]), expected, "{env}");
    }
}

#[test]
fn looks_into_compose_files() {
    let compose = "services:\n  db:\n    environment:\n      POSTGRES_PASSWORD: hunter2\n      POSTGRES_USER: a\n  \
                   app:\n    environment:\n      - API_TOKEN=${TOKEN}\n      - DB_PASSWORD=${PW:-changeme}\n      \
                   - PASSWORD_FILE=/run/secrets/db\n    command: --db postgres://u:p@db/app\nsecrets:\n  \
                   db: {content: s3cret}\n  key: {environment: KEY}\n";
    let found = secrets_in_files(&[file("compose.yaml", compose, false)]);
    assert_eq!(
        found,
        [
            "compose.yaml:4: POSTGRES_PASSWORD",
            "compose.yaml:9: DB_PASSWORD",
            "compose.yaml:11: command",
            "compose.yaml:13: secret db"
        ]
    );
    assert!(secrets_in_files(&[file("compose.yaml", "services: {}\n", false)]).is_empty());
}
