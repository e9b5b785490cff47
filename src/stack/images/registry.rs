//! Registry API v2: manifests, configurations, tokens.

use std::time::Duration;

use ureq::Agent;
use ureq::config::{Config, ConfigBuilder, RedirectAuthHeaders};
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

use super::Availability;
use super::auth::{Challenge, Token};
use super::cache::{Cache, digest_of};
use super::credentials::{Known, Login};
use super::manifest::{ACCEPT, Choice, Manifest, RawPlatform};
use super::platform::Platform;
use super::reference::{DOCKER_HUB, Reference, loopback};

/// The most that is read of one answer.
const MAX_BODY: u64 = 4 * 1024 * 1024;

/// The agents; connections are shared among all requests.
pub(super) struct Client {
    strict: Agent,
    lax: Agent,
    /// For this machine itself: past every proxy.
    direct: Agent,
}

impl Client {
    pub fn new(timeout: Duration) -> Client {
        let (strict, lax) = (config(timeout, false), config(timeout, true));
        let direct = config(timeout, false).proxy(None);
        Client {
            strict: strict.build().new_agent(),
            lax: lax.build().new_agent(),
            direct: direct.build().new_agent(),
        }
    }

    fn agent(&self, url: &str, insecure: bool) -> &Agent {
        match (loopback(host(url)), insecure) {
            (true, _) => &self.direct,
            (false, true) => &self.lax,
            (false, false) => &self.strict,
        }
    }
}

fn config(timeout: Duration, lax: bool) -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).disable_verification(lax).build();
    Config::builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .redirect_auth_headers(RedirectAuthHeaders::SameHost)
        .max_redirects(5)
        .user_agent(concat!("provision/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
}

/// What fetches something over HTTP, by this computer's own authorities and proxy; an answer with
/// an error's status is an answer.
pub fn agent(timeout: Duration) -> Agent {
    config(timeout, false).build().new_agent()
}

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
    let mut session =
        Session { client, endpoint, known, repository, authorization: None, login: false, cache };
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

struct Session<'a> {
    client: &'a Client,
    endpoint: &'a Endpoint,
    known: Known,
    repository: &'a str,
    authorization: Option<String>,
    /// Whether the token came from a login.
    login: bool,
    cache: &'a mut Cache,
}

impl Session<'_> {
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
                None => Ok(Availability::WrongArchitecture { available: vec![made_for.to_string()] }),
            };
        }
        match manifest.choose(platform) {
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
        if let Some(body) = self.cache.get(digest) {
            return Ok(body);
        }
        let answer = self.send("GET", &format!("blobs/{digest}"))?;
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
            _ => self.body(response)?,
        };
        Ok(Answer { digest, body })
    }

    fn request(&self, method: &str, url: &str) -> Result<Response<ureq::Body>, Fault> {
        let agent = self.client.agent(url, self.endpoint.insecure);
        let request = match method {
            "HEAD" => agent.head(url),
            _ => agent.get(url),
        };
        let request = match &self.authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        request.header("accept", ACCEPT).call().map_err(|e| self.silent(url, &e))
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
                Known::Login(Login::Basic(encoded)) => {
                    self.authorization = Some(format!("Basic {encoded}"));
                    self.login = true;
                    Ok(())
                }
                _ => Err(self.denied("the registry wants a user and a password")),
            },
            None => Err(self.denied("the registry does not say which login it wants")),
        }
    }

    fn token(&mut self, realm: &str, service: Option<&str>, scope: &str) -> Result<String, Fault> {
        let protected = realm.starts_with("https://") || self.endpoint.insecure;
        let agent = self.client.agent(realm, self.endpoint.insecure);
        let service = service.unwrap_or_default();
        let result = match &self.known {
            // A login does not travel in the clear because a challenge says so.
            Known::Login(Login::Identity(token)) if protected => {
                self.login = true;
                agent.post(realm).send_form([
                    ("grant_type", "refresh_token"),
                    ("service", service),
                    ("client_id", "provision"),
                    ("scope", scope),
                    ("refresh_token", token),
                ])
            }
            known => {
                let request = agent.get(realm).query("service", service).query("scope", scope);
                match known {
                    Known::Login(Login::Basic(encoded)) if protected => {
                        self.login = true;
                        request.header("authorization", format!("Basic {encoded}")).call()
                    }
                    _ => request.call(),
                }
            }
        };
        let response = result.map_err(|e| self.silent(realm, &e))?;
        match response.status().as_u16() {
            200 => {}
            status @ (400 | 401 | 403) => {
                return Err(self.denied(&format!("{} answers {status}", host(realm))));
            }
            status => {
                return Err(Fault::Unreachable(format!("{} answers {status}", host(realm))));
            }
        }
        let body = self.body(response)?;
        let token: Token = self.json(&body)?;
        token.value().ok_or_else(|| self.nonsense("no token"))
    }

    fn body(&self, response: Response<ureq::Body>) -> Result<Vec<u8>, Fault> {
        let reader = response.into_body().into_with_config().limit(MAX_BODY);
        reader.read_to_vec().map_err(|e| self.silent(&self.endpoint.base, &e))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, body: &[u8]) -> Result<T, Fault> {
        serde_json::from_slice(body)
            .map_err(|e| self.nonsense(&format!("something that cannot be read ({e})")))
    }

    fn denied(&self, what: &str) -> Fault {
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

    fn silent(&self, url: &str, error: &ureq::Error) -> Fault {
        // `io: Connection refused`: what the library calls its layers is nobody's business.
        let error = error.to_string();
        Fault::Unreachable(format!("{}: {}", host(url), error.trim_start_matches("io: ")))
    }
}

/// The `host[:port]` of a URL.
fn host(url: &str) -> &str {
    let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
    bare.split(['/', '?']).next().unwrap_or(bare)
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
    let mut session = Session {
        client,
        endpoint,
        known,
        repository: "a",
        authorization: None,
        login: false,
        cache: &mut cache,
    };
    session.token(realm, None, "x").ok().map(|_| session.login)
}
