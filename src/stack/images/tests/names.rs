//! Names of images and of platforms.

use proptest::prelude::*;

use super::*;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn as_docker_reads_them() {
    let pinned = format!("nginx@{DIGEST}");
    let both = format!("ghcr.io/a/b:1@{DIGEST}");
    let table = [
        ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
        ("prefecthq/prefect:3", "docker.io/prefecthq/prefect:3", "prefecthq/prefect:3"),
        ("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
        ("registry-1.docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("ghcr.io/a/b/c:v1.0_x-y", "ghcr.io/a/b/c:v1.0_x-y", "ghcr.io/a/b/c:v1.0_x-y"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
        ("myhost/x", "docker.io/myhost/x:latest", "myhost/x:latest"),
        ("HOST/x", "HOST/x:latest", "HOST/x:latest"),
        ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b:1"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        ("a__b/c---d.e_f", "docker.io/a__b/c---d.e_f:latest", "a__b/c---d.e_f:latest"),
        (&pinned, &format!("docker.io/library/{pinned}"), &pinned),
        (&both, &both, &both),
        ("", "it is blank", ""),
        ("Nginx", "the repository has upper-case letters", ""),
        ("a:b:c", "the repository is made of letters, digits and single `.`, `_`, `-` or `/`", ""),
        ("a..b", "the repository is made of letters, digits and single `.`, `_`, `-` or `/`", ""),
        ("a//b", "the repository is made of letters, digits and single `.`, `_`, `-` or `/`", ""),
        ("-a", "the repository is made of letters, digits and single `.`, `_`, `-` or `/`", ""),
        ("a b", "the repository is made of letters, digits and single `.`, `_`, `-` or `/`", ""),
        ("ä", "the repository is made of letters, digits and single `.`, `_`, `-` or `/`", ""),
        ("https://ghcr.io/a", "it is a URL; write it without what stands before the host", ""),
        ("reg_1.io/a", "the registry before the first slash is not a host name", ""),
        ("reg.io:x/a", "the registry's port is not a number up to 65535", ""),
        ("a:", "the tag is made of letters, digits, `_`, `.` and `-`, at most 128", ""),
        ("a:.b", "the tag is made of letters, digits, `_`, `.` and `-`, at most 128", ""),
        ("a@sha256:12", "the digest is not `sha256:` and 64 digits", ""),
        ("a@b", "the digest is not `sha256:` and 64 digits", ""),
        (DIGEST.strip_prefix("sha256:").unwrap(), "it is an image's id, which no registry knows", ""),
    ];
    for (text, full, short) in table {
        match Reference::parse(text) {
            Ok(reference) => {
                assert_eq!((reference.to_string().as_str(), reference.short().as_str()), (full, short));
                assert_eq!(Reference::parse(&reference.short()).as_ref(), Ok(&reference));
            }
            Err(error) => assert_eq!((error.problem, ""), (full, short), "{text}"),
        }
    }
}

#[test]
fn which_machine() {
    let loopback = |text: &str| Reference::parse(text).unwrap().is_loopback();
    assert!(loopback("localhost:5000/a") && loopback("127.9.9.9/a") && loopback("[::1]/a"));
    assert!(!loopback("nginx") && !loopback("10.0.0.1:5000/a") && !loopback("localhost.example/a"));
}

#[test]
fn platforms() {
    let shown = |p: Platform| p.to_string();
    assert_eq!(shown(Platform::from_dpkg("amd64")), "linux/amd64");
    assert_eq!(shown(Platform::from_dpkg("armhf")), "linux/arm/v7");
    assert_eq!(shown(Platform::from_dpkg("ppc64el")), "linux/ppc64le");
    assert_eq!(shown(Platform::parse("linux/arm64/v8")), "linux/arm64/v8");
    assert_eq!(shown(Platform::parse("x86_64")), "linux/amd64");
    assert_eq!(shown(Platform::parse("Linux/aarch64")), "linux/arm64");
    let table = [
        ("amd64", "linux/amd64", true),
        ("amd64", "linux/amd64/v3", true),
        ("amd64", "linux/386", true),
        ("amd64", "linux/arm64", false),
        ("amd64", "windows/amd64", false),
        ("arm64", "linux/arm64", true),
        ("arm64", "linux/arm64/v8", true),
        ("arm64", "linux/arm/v7", false),
        ("armhf", "linux/arm/v6", true),
        ("armel", "linux/arm/v7", false),
    ];
    for (host, image, expected) in table {
        let runs = Platform::from_dpkg(host).runs(&Platform::parse(image)).is_some();
        assert_eq!(runs, expected, "{host} {image}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics_and_names_come_back(text in "[a-zA-Z0-9.:/@_\\[\\]-]{0,40}|.{0,40}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
        }
    }
}
