use super::*;

#[test]
fn resolves_without_the_disk() {
    let cases = [
        ("", "./data", Some("data")),
        ("", "data//x/./y/", Some("data/x/y")),
        ("", ".", Some("")),
        ("", "a/../b", Some("b")),
        ("", "..", None),
        ("", "a/../../b", None),
        ("deploy", "../site", Some("site")),
        ("deploy/", "../../site", None),
        ("deploy", ".", Some("deploy")),
    ];
    for (base, path, expected) in cases {
        let found = match resolve(base, path) {
            Resolved::Inside(path) => Some(path),
            Resolved::Outside => None,
            Resolved::OnHost => panic!("{path} is on the host"),
        };
        assert_eq!(found.as_deref(), expected, "{base} {path}");
    }
    for path in ["/var/run/docker.sock", "~/x"] {
        assert!(matches!(resolve("", path), Resolved::OnHost), "{path}");
    }
}

#[test]
fn home_is_that_of_root() {
    for (path, expected) in [
        ("~", Some("/root")),
        ("~/x", Some("/root/x")),
        ("~//x/", Some("/root/x/")),
        ("~ann/x", Some("/root/ann/x")),
        ("/proc/self/root/root", Some("/root")),
        ("/proc/self/root/root/x", Some("/root/x")),
        ("/proc/self/root/rooted", None),
        ("/root/x", None),
        ("x/~", None),
    ] {
        let mut found = path.to_owned();
        assert_eq!(leave_home(&mut found), expected.is_some(), "{path}");
        assert_eq!(found, expected.unwrap_or(path), "{path}");
    }
}

#[test]
fn covers_what_lies_below() {
    let mount = |source: &str| bind(source, "/x", true, true);
    for (source, path, expected) in [
        ("data", "data/app.db", true),
        ("data", "data", true),
        ("data", "database", false),
        ("data", "other/data/x", false),
        ("", "anything/at/all", true),
        ("a/b", "a", false),
    ] {
        assert_eq!(mount(source).covers(path), expected, "{source} {path}");
    }
}

#[test]
fn knows_a_file_by_its_name() {
    for (source, target, expected) in [
        ("nginx.conf", "/etc/nginx/nginx.conf", true),
        ("conf", "/etc/nginx/nginx.conf", true),
        ("conf", "/etc/nginx/conf.d", false),
        ("conf.d", "/etc/nginx/conf.d", false),
        ("data", "/data", false),
        ("data.json/", "/data", false),
        ("Caddyfile", "/etc/caddy/Caddyfile", true),
        (".htpasswd", "/x", true),
        (".cache", "/cache", false),
        ("v1.2", "/srv/v1.2", false),
        ("db/app.sqlite3", "/data/app.sqlite3", true),
    ] {
        assert_eq!(bind(source, target, true, true).looks_like_a_file(), expected, "{source} {target}");
    }
}
