//! Registry API v2: manifests, configurations, tokens.

use ureq::Body;
use ureq::http::Response;

use super::Availability;
use super::auth::{Challenge, Token};
use super::cache::{Cache, digest_of};
use super::client::{Call, Client, Home, brief};
use super::credentials::{Known, Login};
use super::manifest::{ACCEPT, Choice, Manifest, RawPlatform};
use super::origin::Origin;
use super::platform::Platform;
use super::reference::{DOCKER_HUB, Reference, is_digest};

/// The most that is read of one answer.
const MAX_BODY: u64 = 4 * 1024 * 1024;

/// The most that is read of a token server's answer.
const MAX_TOKEN_ANSWER: u64 = 64 * 1024;

/// The longest token: it has to fit a header of what it is for.
const MAX_TOKEN: usize = 16 * 1024;

/// A server that may have an image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    base: String,
    /// The name under which a login is kept.
    pub registry: String,
    insecure: bool,
    /// Whether the ones behind it are only asked when this one is silent.
    pub last_unless_silent: bool,
}

impl Endpoint {
    #[cfg(test)]
    pub fn base(&self) -> &str {
        &self.base
    }

    pub fn new(scheme: &str, registry: &str, insecure: bool) -> Endpoint {
        Endpoint {
            base: format!("{scheme}://{registry}"),
            registry: registry.to_owned(),
            insecure,
            last_unless_silent: true,
        }
    }

    pub fn docker_hub() -> Endpoint {
        Endpoint {
            base: "https://registry-1.docker.io".to_owned(),
            registry: DOCKER_HUB.to_owned(),
            insecure: false,
            last_unless_silent: true,
        }
    }

    pub fn mirror(url: &str) -> Endpoint {
        Endpoint {
            base: url.trim_end_matches('/').to_owned(),
            registry: host(url).to_owned(),
            insecure: url.starts_with("http://"),
            last_unless_silent: false,
        }
    }
}

/// Asks one server for an image.
pub(super) fn check(
    client: &Client,
    endpoint: &Endpoint,
    known: Known,
    image: &Reference,
    platform: &Platform,
    cache: &mut Cache,
) -> Availability {
    let repository = image.repository.as_str();
    let mut session = RegistrySession {
        client,
        endpoint,
        known,
        repository,
        authorization: None,
        login: false,
        withheld: false,
        cache,
    };
    match session.find(image, platform) {
        Ok(answer) => answer,
        Err(Fault::Missing) => Availability::Missing,
        Err(Fault::Denied(reason)) => Availability::Denied { reason },
        Err(Fault::Unreachable(reason)) => Availability::Unreachable { reason },
    }
}

enum Fault {
    Missing,
    Denied(String),
    Unreachable(String),
}

struct Answer {
    digest: Option<String>,
    body: Vec<u8>,
}

struct RegistrySession<'a> {
    client: &'a Client,
    endpoint: &'a Endpoint,
    known: Known,
    repository: &'a str,
    authorization: Option<String>,
    /// Whether the token came from a login.
    login: bool,
    /// Whether there is a login that was not sent.
    withheld: bool,
    cache: &'a mut Cache,
}

impl RegistrySession<'_> {
    fn find(&mut self, image: &Reference, platform: &Platform) -> Result<Availability, Fault> {
        let (digest, body) = self.manifest(image.identifier())?;
        let manifest: Manifest = self.json(&body)?;
        let found = |manifest: Option<Manifest>, login| {
            let bytes = manifest.as_ref().map(Manifest::bytes);
            let layers = manifest.map(Manifest::into_layers).unwrap_or_default();
            Ok(Availability::Found { digest: Some(digest.clone()), bytes, layers, login })
        };
        if let Some(config) = &manifest.config {
            let config: RawPlatform = {
                let blob = self.blob(&config.digest.clone())?;
                self.json(&blob)?
            };
            let made_for = Platform::from(config);
            return match platform.runs(&made_for) {
                Some(_) => found(Some(manifest), self.login),
                None => Ok(Availability::WrongArchitecture { available: vec![brief(&made_for.to_string())] }),
            };
        }
        match manifest.choose(platform) {
            Some(Choice::Child(child)) if !is_digest(&child) => {
                Err(self.nonsense("something that is no digest"))
            }
            Some(Choice::Child(child)) => {
                // The weight is worth a request, but not a failure.
                let manifest = self.manifest(&child).ok().and_then(|(_, body)| {
                    let manifest: Manifest = serde_json::from_slice(&body).ok()?;
                    manifest.config.is_some().then_some(manifest)
                });
                found(manifest, self.login)
            }
            Some(Choice::None(available)) => Ok(Availability::WrongArchitecture { available }),
            None => Err(self.nonsense("neither an image's manifest nor an index")),
        }
    }

    /// A manifest and its digest. The digest is asked for first: that does not
    /// count as a pull, and the rest may be in the cache.
    fn manifest(&mut self, identifier: &str) -> Result<(String, Vec<u8>), Fault> {
        let path = format!("manifests/{identifier}");
        let named = match identifier.contains(':') {
            true => Some(identifier.to_owned()),
            false => self.send("HEAD", &path)?.digest,
        };
        if let Some(digest) = &named
            && let Some(body) = self.cache.get(digest)
        {
            // For a digest, the cache says what it is, but not whether it is still there.
            if identifier.contains(':') {
                self.send("HEAD", &path)?;
            }
            return Ok((digest.clone(), body));
        }
        let answer = self.send("GET", &path)?;
        let digest = digest_of(&answer.body);
        if identifier.starts_with("sha256:") && identifier != digest {
            return Err(self.nonsense("something that does not have the digest asked for"));
        }
        self.cache.put(&digest, &answer.body);
        Ok((digest, answer.body))
    }

    fn blob(&mut self, digest: &str) -> Result<Vec<u8>, Fault> {
        if !is_digest(digest) {
            return Err(self.nonsense("something that is no digest"));
        }
        if let Some(body) = self.cache.get(digest) {
            return Ok(body);
        }
        let answer = self.send("GET", &format!("blobs/{digest}"))?;
        if digest.starts_with("sha256:") && digest_of(&answer.body) != digest {
            return Err(self.nonsense("something that does not have the digest asked for"));
        }
        self.cache.put(digest, &answer.body);
        Ok(answer.body)
    }

    /// One request, with a token if the registry wants one.
    fn send(&mut self, method: &str, path: &str) -> Result<Answer, Fault> {
        let url = format!("{}/v2/{}/{path}", self.endpoint.base, self.repository);
        let mut response = self.request(method, &url)?;
        if response.status() == 401 && self.authorization.is_none() {
            self.authorize(&response)?;
            response = self.request(method, &url)?;
        }
        let status = response.status().as_u16();
        let header = response.headers().get("docker-content-digest");
        let digest = header.and_then(|h| h.to_str().ok()).map(str::to_owned);
        match status {
            200 => {}
            404 => return Err(Fault::Missing),
            401 | 403 => return Err(self.denied(&format!("the registry answers {status}"))),
            429 => {
                let reason = format!(
                    "{} limits how often it may be asked (429); log in, or try again later",
                    self.endpoint.registry
                );
                return Err(Fault::Unreachable(reason));
            }
            // Some registries do not know HEAD; GET will tell.
            _ if method == "HEAD" => return Ok(Answer { digest: None, body: Vec::new() }),
            _ => {
                let reason = format!("{} answers {status}", self.endpoint.registry);
                return Err(Fault::Unreachable(reason));
            }
        }
        let body = match method {
            "HEAD" => Vec::new(),
            _ => self.body(response, MAX_BODY)?,
        };
        Ok(Answer { digest, body })
    }

    fn request(&self, method: &str, url: &str) -> Result<Response<Body>, Fault> {
        let authorization = self.authorization.as_deref();
        let call = Call { method, url: url.to_owned(), authorization, accept: Some(ACCEPT), form: None };
        self.client.call(&self.home()?, call).map_err(Fault::Unreachable)
    }

    /// The place that a person named.
    fn home(&self) -> Result<Home, Fault> {
        let origin = Origin::of(&self.endpoint.base)
            .ok_or_else(|| Fault::Unreachable(format!("{} is no address", host(&self.endpoint.base))))?;
        Ok(Home { origin, insecure: self.endpoint.insecure })
    }

    /// Answers a 401.
    fn authorize(&mut self, response: &Response<ureq::Body>) -> Result<(), Fault> {
        let headers = response.headers().get_all("www-authenticate");
        let challenges = headers.iter().filter_map(|h| h.to_str().ok());
        let mut challenges: Vec<_> = challenges.filter_map(Challenge::parse).collect();
        challenges.sort_by_key(|c| *c == Challenge::Basic);
        match challenges.into_iter().next() {
            Some(Challenge::Bearer { realm, service, scope }) => {
                let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.repository));
                let token = self.token(&realm, service.as_deref(), &scope)?;
                self.authorization = Some(format!("Bearer {token}"));
                Ok(())
            }
            Some(Challenge::Basic) => match &self.known {
                Known::Login(Login::Basic(encoded)) if self.home()?.origin.is_private_talk() => {
                    self.authorization = Some(format!("Basic {encoded}"));
                    self.login = true;
                    Ok(())
                }
                Known::Login(_) => {
                    self.withheld = true;
                    Err(self.denied("the registry wants a login"))
                }
                _ => Err(self.denied("the registry wants a user and a password")),
            },
            None => Err(self.denied("the registry does not say which login it wants")),
        }
    }

    fn token(&mut self, realm: &str, service: Option<&str>, scope: &str) -> Result<String, Fault> {
        let home = self.home()?;
        let there = Origin::of(realm).ok_or_else(|| self.nonsense("no address to log in at"))?;
        let protected = home.may_log_in_at(&there);
        let service = service.unwrap_or_default();
        let mut call =
            Call { method: "GET", url: realm.to_owned(), authorization: None, accept: None, form: None };
        let basic;
        match &self.known {
            Known::Login(_) if !protected => self.withheld = true,
            Known::Login(Login::Identity(token)) => {
                self.login = true;
                call.form = Some([
                    ("grant_type", "refresh_token"),
                    ("service", service),
                    ("client_id", "provision"),
                    ("scope", scope),
                    ("refresh_token", token.as_str()),
                ]);
            }
            Known::Login(Login::Basic(encoded)) => {
                self.login = true;
                basic = format!("Basic {encoded}");
                call.authorization = Some(&basic);
            }
            _ => {}
        }
        if call.form.is_none() {
            let mark = if realm.contains('?') { '&' } else { '?' };
            call.url = format!("{realm}{mark}service={}&scope={}", encoded(service), encoded(scope));
        }
        let response = self.client.call(&home, call).map_err(Fault::Unreachable)?;
        let shown = brief(&there.shown());
        match response.status().as_u16() {
            200 => {}
            status @ (400 | 401 | 403) => return Err(self.denied(&format!("{shown} answers {status}"))),
            status => return Err(Fault::Unreachable(format!("{shown} answers {status}"))),
        }
        let body = self.body(response, MAX_TOKEN_ANSWER)?;
        let token: Token = self.json(&body)?;
        let fits =
            |token: &String| token.len() <= MAX_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
        token.value().filter(fits).ok_or_else(|| self.nonsense("no token"))
    }

    fn body(&self, response: Response<Body>, limit: u64) -> Result<Vec<u8>, Fault> {
        let reader = response.into_body().into_with_config().limit(limit);
        reader.read_to_vec().map_err(|error| {
            let error = error.to_string();
            let error = brief(error.trim_start_matches("io: "));
            Fault::Unreachable(format!("{}: {error}", host(&self.endpoint.base)))
        })
    }

    fn json<T: serde::de::DeserializeOwned>(&self, body: &[u8]) -> Result<T, Fault> {
        serde_json::from_slice(body)
            .map_err(|e| self.nonsense(&format!("something that cannot be read ({})", brief(&e.to_string()))))
    }

    fn denied(&self, what: &str) -> Fault {
        if self.withheld && !self.login {
            let reason = format!("{what}, and yours is not sent over a connection that is not encrypted");
            return Fault::Unreachable(reason);
        }
        let tried = match (&self.known, self.login) {
            (_, true) => "the login in Docker's config.json was not accepted",
            (Known::Helper, _) => {
                "the login is kept by a credential helper, which is not run; it was asked \
                 without a login"
            }
            _ => "it was asked without a login",
        };
        Fault::Denied(format!("{what}; {tried}"))
    }

    fn nonsense(&self, what: &str) -> Fault {
        Fault::Unreachable(format!("{} sent {what}", self.endpoint.registry))
    }
}

/// The `host[:port]` of a URL.
fn host(url: &str) -> &str {
    let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = bare.split(['/', '?']).next().unwrap_or(bare);
    authority.rsplit('@').next().unwrap_or(authority)
}

/// As a value in an address's query.
fn encoded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                safe.push(char::from(byte))
            }
            other => safe.push_str(&format!("%{other:02X}")),
        }
    }
    safe
}

/// Asks a token server; whether the login went with it.
#[cfg(test)]
pub(super) fn token_for_test(
    client: &Client,
    endpoint: &Endpoint,
    known: Known,
    realm: &str,
) -> Option<bool> {
    let mut cache = Cache::new(None);
    let mut session = RegistrySession {
        client,
        endpoint,
        known,
        repository: "a",
        authorization: None,
        login: false,
        withheld: false,
        cache: &mut cache,
    };
    session.token(realm, None, "x").ok().map(|_| session.login)
}
