mod server;

use std::time::Duration;

use server::{Reply, Request, Server};

use super::*;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn amd64() -> Platform {
    Platform::from_dpkg("amd64")
}

fn lookup() -> Lookup {
    Lookup { timeout: Duration::from_secs(5), docker_config: None, ..Lookup::default() }
}

fn manifest(config: &str, layers: &[u64]) -> String {
    let config = cache::digest_of(config.as_bytes());
    let layers: Vec<_> =
        layers.iter().map(|size| serde_json::json!({"digest": "sha256:0", "size": size})).collect();
    serde_json::json!({"schemaVersion": 2, "config": {"digest": config, "size": 1}, "layers": layers})
        .to_string()
}

fn config(architecture: &str) -> String {
    serde_json::json!({"os": "linux", "architecture": architecture}).to_string()
}

fn index(children: &[(&str, &str)]) -> String {
    let children = children.iter().map(|(platform, manifest)| {
        let platform = Platform::parse(platform);
        serde_json::json!({
            "digest": cache::digest_of(manifest.as_bytes()),
            "platform": {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant},
        })
    });
    serde_json::json!({"schemaVersion": 2, "manifests": children.collect::<Vec<_>>()}).to_string()
}

/// A registry with `app:multi` (amd64, arm64) and `app:arm` (one manifest).
fn registry(request: &Request) -> Reply {
    let arm = manifest(&config("arm64"), &[7]);
    let amd = manifest(&config("amd64"), &[100, 20]);
    let multi = index(&[("linux/arm64/v8", &arm), ("unknown/unknown", "x"), ("linux/amd64", &amd)]);
    let by_digest = |text: &str| format!("/v2/team/app/manifests/{}", cache::digest_of(text.as_bytes()));
    let blob = format!("/v2/team/app/blobs/{}", cache::digest_of(config("arm64").as_bytes()));
    let path = request.path.as_str();
    match path {
        "/v2/team/app/manifests/multi" => Reply::manifest(INDEX, &multi),
        "/v2/team/app/manifests/arm" => Reply::manifest(MANIFEST, &arm),
        _ if path == by_digest(&multi) => Reply::manifest(INDEX, &multi),
        _ if path == by_digest(&arm) => Reply::manifest(MANIFEST, &arm),
        _ if path == by_digest(&amd) => Reply::manifest(MANIFEST, &amd),
        _ if path == blob => Reply::ok("application/octet-stream", &config("arm64")),
        _ => Reply::status(404),
    }
}

fn image(server: &Server, rest: &str) -> Reference {
    Reference::parse(&format!("{}/team/{rest}", server.address)).unwrap()
}

fn found(login: bool) -> Availability {
    let arm = manifest(&config("arm64"), &[7]);
    let amd = manifest(&config("amd64"), &[100, 20]);
    let multi = index(&[("linux/arm64/v8", &arm), ("unknown/unknown", "x"), ("linux/amd64", &amd)]);
    let digest = Some(cache::digest_of(multi.as_bytes()));
    let manifest: manifest::Manifest = serde_json::from_str(&amd).unwrap();
    Availability::Found { digest, bytes: Some(120), layers: manifest.into_layers(), login }
}

#[test]
fn an_image_for_several_architectures() {
    let server = Server::start(registry);
    assert_eq!(lookup().check(&image(&server, "app:multi"), &amd64()), found(false));
    let answer = lookup().check(&image(&server, "app:multi"), &Platform::from_dpkg("arm64"));
    assert!(matches!(answer, Availability::Found { bytes: Some(7), .. }), "{answer:?}");
    let available = vec!["linux/arm64/v8".to_owned(), "linux/amd64".to_owned()];
    let answer = lookup().check(&image(&server, "app:multi"), &Platform::from_dpkg("s390x"));
    assert_eq!(answer, Availability::WrongArchitecture { available });
}

#[test]
fn an_image_for_one_architecture() {
    let server = Server::start(registry);
    let answer = lookup().check(&image(&server, "app:arm"), &Platform::from_dpkg("arm64"));
    assert!(matches!(answer, Availability::Found { bytes: Some(7), .. }), "{answer:?}");
    let answer = lookup().check(&image(&server, "app:arm"), &amd64());
    assert_eq!(answer, Availability::WrongArchitecture { available: vec!["linux/arm64".into()] });
}

#[test]
fn an_image_by_digest() {
    let server = Server::start(registry);
    let Availability::Found { digest: Some(digest), .. } = found(false) else { panic!() };
    let pinned = image(&server, &format!("app:any@{digest}"));
    assert_eq!(lookup().check(&pinned, &amd64()), found(false));
    let other = format!("app@sha256:{}", "0".repeat(64));
    assert_eq!(lookup().check(&image(&server, &other), &amd64()), Availability::Missing);
}

#[test]
fn answers_that_are_none() {
    type Answer = fn(&Request) -> Reply;
    let table: [(&str, Answer); 12] = [
        ("missing", |_| Reply::status(404)),
        ("forbidden", |_| Reply::status(403)),
        ("unauthorized without a challenge", |_| Reply::status(401)),
        ("too many requests", |_| Reply::status(429)),
        ("broken", |_| Reply::status(500)),
        ("a web page", |_| Reply::ok("text/html", "<html>")),
        ("another JSON", |_| Reply::ok(MANIFEST, "{}")),
        ("an old manifest", |_| Reply::ok(MANIFEST, r#"{"schemaVersion":1,"fsLayers":[]}"#)),
        ("too long", |_| Reply::ok(MANIFEST, &" ".repeat(5 << 20))),
        ("no HTTP", |_| Reply::raw("SSH-2.0-OpenSSH\r\n")),
        ("nothing", |_| Reply::raw("")),
        ("redirects for ever", |r| Reply::status(307).header("location", &r.path)),
    ];
    let shown: Vec<String> = table
        .iter()
        .map(|(title, answer)| {
            let server = Server::start(*answer);
            let answer = lookup().check(&image(&server, "app:multi"), &amd64());
            let text = format!("[{title}] {answer:?}");
            text.replace(&server.address, "ADDRESS")
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn nobody_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let image = Reference::parse(&format!("{address}/app")).unwrap();
    let hurried = Lookup { timeout: Duration::from_millis(200), ..lookup() };
    let silent = hurried.check(&image, &amd64());
    assert!(
        matches!(&silent, Availability::Unreachable { reason } if reason.contains("timeout")),
        "{silent:?}"
    );
    drop(listener);
    let closed = lookup().check(&image, &amd64());
    assert!(
        matches!(&closed, Availability::Unreachable { reason } if reason.contains("refused")),
        "{closed:?}"
    );
    let unknown = Reference::parse("registry.invalid/app").unwrap();
    let unknown = lookup().check(&unknown, &amd64());
    assert!(matches!(unknown, Availability::Unreachable { .. }), "{unknown:?}");
}

#[test]
fn head_may_be_unknown() {
    let server = Server::start(|r| match r.method.as_str() {
        "HEAD" => Reply::status(405),
        _ => registry(r),
    });
    assert_eq!(lookup().check(&image(&server, "app:multi"), &amd64()), found(false));
}

#[test]
fn the_cache_spares_pulls() {
    let folder = tempfile::tempdir().unwrap();
    let lookup = Lookup { cache: Some(folder.path().join("new")), ..lookup() };
    let server = Server::start(registry);
    for name in ["app:multi", "app:arm"] {
        let image = image(&server, name);
        let first = lookup.check(&image, &amd64());
        server.take_log();
        assert_eq!(lookup.check(&image, &amd64()), first);
        let log = server.take_log();
        assert!(!log.is_empty() && log.iter().all(|line| line.starts_with("HEAD ")), "{log:?}");
    }
    // What was tampered with is asked for again.
    for file in std::fs::read_dir(folder.path().join("new")).unwrap() {
        std::fs::write(file.unwrap().path(), "{}").unwrap();
    }
    assert_eq!(lookup.check(&image(&server, "app:multi"), &amd64()), found(false));
}

#[test]
fn many_at_once_in_order() {
    let server = Server::start(|r| {
        std::thread::sleep(Duration::from_millis(20));
        registry(r)
    });
    let names: Vec<String> = (0..30)
        .map(|n| ["app:multi", "app:none", "app:arm"].get(n % 3).map(|n| (*n).to_owned()).unwrap())
        .chain((0..20).map(|n| format!("other{n}")))
        .collect();
    let images: Vec<_> = names.iter().map(|n| image(&server, n)).collect();
    let answers = lookup().check_all(&images, &amd64());
    assert_eq!(answers.len(), 50);
    for (name, answer) in names.iter().zip(&answers) {
        match name.as_str() {
            "app:multi" => assert_eq!(*answer, found(false)),
            "app:arm" => assert!(matches!(answer, Availability::WrongArchitecture { .. })),
            _ => assert_eq!(*answer, Availability::Missing),
        }
    }
    assert!(server.most_at_once() <= PARALLEL, "{}", server.most_at_once());
    let log = server.take_log();
    assert_eq!(log.iter().filter(|l| *l == "GET /v2/team/app/manifests/multi").count(), 1);
    assert_eq!(lookup().check_all(&[], &amd64()), []);
}

#[test]
fn mirrors_come_first() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lacking = Server::start(|_| Reply::status(404));
    let having = Server::start(|r| {
        registry(&Request { path: r.path.replace("/library/nginx/", "/team/app/"), ..r.clone() })
    });
    let mirrors = vec![
        format!("http://{dead}"),
        format!("http://{}/", lacking.address),
        format!("http://{}", having.address),
    ];
    let lookup = Lookup { mirrors, ..lookup() };
    let nginx = Reference::parse("nginx:multi").unwrap();
    assert_eq!(lookup.check(&nginx, &amd64()), found(false));
    assert_eq!(lacking.take_log(), ["HEAD /v2/library/nginx/manifests/multi"]);
    // Mirrors are Docker Hub's alone.
    let other = image(&having, "app:multi");
    assert_eq!(lookup.check(&other, &amd64()), found(false));
    assert!(lacking.take_log().is_empty());
    let bases: Vec<_> = lookup.endpoints(&nginx).iter().map(Endpoint::base).map(str::to_owned).collect();
    assert_eq!(bases.last().map(String::as_str), Some("https://registry-1.docker.io"));
}

#[test]
fn a_mirror_that_lacks_it_counts_where_the_registry_is_silent() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lacking = Server::start(|_| Reply::status(404));
    // The second stands for Docker Hub, which no test may ask.
    let mirrors = vec![format!("http://{}", lacking.address), format!("http://{dead}")];
    let lookup = Lookup { mirrors, ..lookup() };
    let image = Reference::parse("nginx:1").unwrap();
    let mut endpoints = lookup.endpoints(&image);
    endpoints.pop();
    let client = Client::new(lookup.timeout, lookup.total);
    let answer = lookup.ask_at(&endpoints, &client, &lookup.credentials(), &image, &amd64());
    assert!(
        matches!(&answer, Availability::NotMirrored { reason } if reason.contains("refused")),
        "{answer:?}"
    );
}

#[test]
fn which_scheme() {
    let lookup = Lookup { insecure: vec!["reg.lan:5000".into()], ..lookup() };
    let bases = |text: &str| {
        let image = Reference::parse(text).unwrap();
        let bases: Vec<_> = lookup.endpoints(&image).iter().map(Endpoint::base).map(str::to_owned).collect();
        bases.join(" ")
    };
    assert_eq!(bases("nginx"), "https://registry-1.docker.io");
    assert_eq!(bases("ghcr.io/a/b"), "https://ghcr.io");
    assert_eq!(bases("localhost:5000/a"), "http://localhost:5000");
    assert_eq!(bases("127.1.2.3/a"), "http://127.1.2.3");
    assert_eq!(bases("[::1]:5000/a"), "http://[::1]:5000");
    assert_eq!(bases("reg.lan:5000/a"), "https://reg.lan:5000 http://reg.lan:5000");
    assert_eq!(bases("reg.lan/a"), "https://reg.lan");
}

mod login;
mod names;
