//! Tokens and logins.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::stack::images::auth::Challenge;
use crate::stack::images::credentials::{Known, Login};

/// A registry behind a token server on the same port. Tokens are given for
/// `accepted`: an `Authorization` header or a form.
fn guarded(accepted: Option<&'static str>) -> Server {
    Server::start(move |r| {
        if r.path.starts_with("/token") {
            let shown = r.header("authorization").unwrap_or(&r.body);
            return match accepted {
                Some(accepted) if shown != accepted => Reply::status(401),
                _ => Reply::ok("application/json", r#"{"access_token":"opensesame"}"#),
            };
        }
        match r.header("authorization") {
            Some("Bearer opensesame") => registry(r),
            _ => {
                let host = r.header("host").unwrap_or_default();
                let challenge = format!(
                    "Bearer realm=\"http://{host}/token\",service=\"the, registry\",scope=\"repository:team/app:pull\""
                );
                Reply::status(401)
                    .header("www-authenticate", "Basic realm=\"x\"")
                    .header("www-authenticate", &challenge)
            }
        }
    })
}

/// A `config.json` with what stands under the server's name.
fn with_login(server: &Server, auth: serde_json::Value) -> (tempfile::TempDir, Lookup) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let mut auths = serde_json::Map::new();
    auths.insert(format!("http://{}/v2/", server.address), auth);
    std::fs::write(&path, serde_json::json!({"auths": auths}).to_string()).unwrap();
    (folder, Lookup { docker_config: Some(path), ..lookup() })
}

#[test]
fn a_token_without_a_login() {
    let server = guarded(Some(""));
    assert_eq!(lookup().check(&image(&server, "app:multi"), &amd64()), found(false));
    let log = server.take_log();
    assert_eq!(log[1], "GET /token?service=the%2C%20registry&scope=repository%3Ateam%2Fapp%3Apull");
    assert_eq!(log.iter().filter(|l| l.contains("/token")).count(), 1, "{log:?}");
}

#[test]
fn a_token_for_a_login() {
    let encoded = STANDARD.encode("user:pass");
    let server = guarded(Some("Basic dXNlcjpwYXNz"));
    let (_folder, lookup) = with_login(&server, serde_json::json!({"auth": encoded}));
    assert_eq!(lookup.check(&image(&server, "app:multi"), &amd64()), found(true));
}

#[test]
fn a_token_for_a_token() {
    let form = "grant_type=refresh_token&service=the%2C+registry&client_id=provision\
                &scope=repository%3Ateam%2Fapp%3Apull&refresh_token=id%2Ftoken";
    let server = guarded(Some(form));
    let (_folder, lookup) = with_login(&server, serde_json::json!({"identitytoken": "id/token"}));
    assert_eq!(lookup.check(&image(&server, "app:multi"), &amd64()), found(true));
}

#[test]
fn user_and_password() {
    let server = Server::start(|r| match r.header("authorization") {
        Some("Basic dXNlcjpwYXNz") => registry(r),
        _ => Reply::status(401).header("www-authenticate", "Basic realm=\"x\""),
    });
    let auth = serde_json::json!({"auth": STANDARD.encode("user:pass")});
    let (_folder, lookup) = with_login(&server, auth);
    assert_eq!(lookup.check(&image(&server, "app:multi"), &amd64()), found(true));
}

#[test]
fn refusals_say_what_was_tried() {
    let denied = |server: &Server, lookup: Lookup| {
        let answer = lookup.check(&image(server, "app:multi"), &amd64());
        format!("{answer:?}").replace(&server.address, "ADDRESS")
    };
    let mut shown = Vec::new();
    let server = guarded(Some("none"));
    shown.push(denied(&server, lookup()));
    let (_folder, wrong) = with_login(&server, serde_json::json!({"auth": STANDARD.encode("a:b")}));
    shown.push(denied(&server, wrong));
    let (folder, helped) = with_login(&server, serde_json::json!({}));
    let path = folder.path().join("config.json");
    let helpers = serde_json::json!({"credHelpers": {(server.address.as_str()): "pass"}});
    std::fs::write(path, helpers.to_string()).unwrap();
    shown.push(denied(&server, helped));
    let basic = Server::start(|_| Reply::status(401).header("www-authenticate", "Basic realm=\"x\""));
    shown.push(denied(&basic, lookup()));
    // Docker Hub gives a token for what does not exist, and refuses it then.
    let hub = Server::start(|r| match r.path.starts_with("/token") {
        true => Reply::ok("application/json", r#"{"token":"x"}"#),
        false => {
            let host = r.header("host").unwrap_or_default();
            let challenge = format!("Bearer realm=\"http://{host}/token\"");
            Reply::status(401).header("www-authenticate", &challenge)
        }
    });
    shown.push(denied(&hub, lookup()));
    assert!(hub.take_log()[1].ends_with("scope=repository%3Ateam%2Fapp%3Apull"));
    let empty = Server::start(|r| match r.path.starts_with("/token") {
        true => Reply::ok("application/json", "{}"),
        false => {
            let host = r.header("host").unwrap_or_default();
            let challenge = format!("Bearer realm=\"http://{host}/token\"");
            Reply::status(401).header("www-authenticate", &challenge)
        }
    });
    shown.push(denied(&empty, lookup()));
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn challenges() {
    let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| {
        Some(Challenge::Bearer {
            realm: realm.into(),
            service: service.map(Into::into),
            scope: scope.map(Into::into),
        })
    };
    let table = [
        (
            r#"Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push""#,
            bearer("https://a/t", Some("s"), Some("repository:a/b:pull,push")),
        ),
        (r#"bearer service=s , realm="a\"b""#, bearer("a\"b", Some("s"), None)),
        (r#"Bearer realm="x"#, bearer("x", None, None)),
        (r#"Bearer service="x""#, None),
        (r#"BASIC realm="x""#, Some(Challenge::Basic)),
        ("Basic", Some(Challenge::Basic)),
        ("Negotiate", None),
        ("", None),
    ];
    for (header, expected) in table {
        assert_eq!(Challenge::parse(header), expected, "{header}");
    }
}

#[test]
fn logins_in_config_json() {
    let text = serde_json::json!({
        "auths": {
            "https://index.docker.io/v1/": {"auth": STANDARD.encode("hub:pw")},
            "ghcr.io": {"auth": STANDARD.encode("gh:pw"), "identitytoken": ""},
            "id.example": {"auth": STANDARD.encode("00000000:"), "identitytoken": "t"},
            "kept.example": {},
            "broken.example": {"auth": "no base64"},
            "reg.example:5000": {"auth": STANDARD.encode("r:pw")},
        },
        "credHelpers": {"ecr.example": "ecr-login"},
        "credsStore": "desktop",
        "HttpHeaders": {"User-Agent": "x"},
    });
    let credentials = Credentials::parse(&text.to_string());
    let basic = |text: &str| Known::Login(Login::Basic(STANDARD.encode(text)));
    let table = [
        ("docker.io", basic("hub:pw")),
        ("ghcr.io", basic("gh:pw")),
        ("id.example", Known::Login(Login::Identity("t".into()))),
        ("kept.example", Known::Helper),
        ("ecr.example", Known::Helper),
        ("broken.example", Known::Helper),
        ("reg.example:5000", basic("r:pw")),
        ("reg.example", Known::Nothing),
    ];
    for (registry, expected) in table {
        assert_eq!(credentials.of(registry), expected, "{registry}");
    }
    assert_eq!(Credentials::parse("no JSON").of("docker.io"), Known::Nothing);
    let shown = format!("{:?}", credentials.of("docker.io"));
    assert_eq!(shown, "Login(Basic(…))");
}

#[test]
fn a_login_does_not_travel_in_the_clear() {
    let taker = Server::start(|_| Reply::ok("application/json", r#"{"token":"x"}"#));
    let realm = format!("http://{}/token", taker.address);
    let client = Client::new(Duration::from_secs(5), Duration::from_secs(5));
    // As a registry behind https would say it.
    let endpoint = Endpoint::new("https", "reg.example", false);
    let known = Known::Login(Login::Basic("dXNlcjpwYXNz".into()));
    let login = registry::token_for_test(&client, &endpoint, known, &realm);
    assert_eq!(login, None);
    assert!(taker.take_log().is_empty());
}

/// A registry that sends everything to `there`.
fn sending_to(there: String, how: fn(&str) -> Reply) -> Server {
    Server::start(move |_| how(&there))
}

#[test]
fn a_registry_does_not_send_us_about() {
    let taker = Server::start(|_| Reply::ok("application/json", r#"{"token":"x"}"#));
    type Sends = fn(&str) -> Reply;
    let ways: [(&str, Sends); 3] = [
        ("realm", |there| {
            let challenge = format!("Bearer realm=\"http://{there}/token\"");
            Reply::status(401).header("www-authenticate", &challenge)
        }),
        ("redirect", |there| Reply::status(307).header("location", &format!("http://{there}/v2/"))),
        ("a redirect without a scheme", |there| {
            Reply::status(302).header("location", &format!("//{there}/v2/"))
        }),
    ];
    for (way, reply) in ways {
        let server = sending_to(taker.address.clone(), reply);
        let (_folder, lookup) =
            with_login(&server, serde_json::json!({"auth": STANDARD.encode("user:pass")}));
        let answer = lookup.check(&image(&server, "app:multi"), &amd64());
        let Availability::Unreachable { reason } = answer else { panic!("{way}: {answer:?}") };
        assert!(reason.contains("another server and not encrypted"), "{way}: {reason}");
        assert!(taker.take_log().is_empty(), "{way}");
    }
}

/// A redirect within the registry keeps the login; one that ends a login does not.
#[test]
fn redirects_within_a_registry() {
    let server = Server::start(|r| match (r.path.strip_prefix("/moved"), r.header("authorization")) {
        (_, None) => Reply::status(401).header("www-authenticate", "Basic realm=\"x\""),
        (None, _) => Reply::status(307).header("location", &format!("/moved{}", r.path)),
        (Some(path), Some(_)) => registry(&Request { path: path.to_owned(), ..r.clone() }),
    });
    let (_folder, lookup) = with_login(&server, serde_json::json!({"auth": STANDARD.encode("user:pass")}));
    assert_eq!(lookup.check(&image(&server, "app:multi"), &amd64()), found(true));
}

#[test]
fn what_a_token_server_sends_is_bounded() {
    let long = format!(r#"{{"token":"{}"}}"#, "x".repeat(20_000));
    let huge = format!(r#"{{"token":"{}"}}"#, "x".repeat(200_000));
    for (body, what) in [
        (long, "no token"),
        (huge, "larger than"),
        (r#"{"token":"a\r\nb: c"}"#.to_owned(), "no token"),
        (format!(r#"{{"token":{}}}"#, "[".repeat(50_000)), "cannot be read"),
        (format!(r#"{{"token":["{}"]}}"#, "x".repeat(9_000)), "cannot be read"),
    ] {
        let server = Server::start(move |r| match r.path.starts_with("/token") {
            true => Reply::ok("application/json", &body),
            false => {
                let host = r.header("host").unwrap_or_default();
                Reply::status(401)
                    .header("www-authenticate", &format!("Bearer realm=\"http://{host}/token\""))
            }
        });
        let answer = lookup().check(&image(&server, "app:multi"), &amd64());
        let Availability::Unreachable { reason } = answer else { panic!("{answer:?}") };
        assert!(reason.contains(what) && reason.len() < 400, "{reason}");
    }
}
