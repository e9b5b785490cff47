//! Whether the registries have a stack's images, for the host's architecture.
//!
//! Asked from this computer before the first change, so that a missing image or
//! one of the wrong architecture is found while nothing is lost. The host may
//! still see its registries otherwise: through another proxy, with another login.

mod auth;
mod cache;
mod client;
mod credentials;
mod manifest;
mod origin;
mod platform;
mod reference;
mod registry;
mod weight;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache::Cache;
use client::Client;
pub use client::agent;
use credentials::Credentials;
pub use platform::Platform;
pub use reference::{DOCKER_HUB, Reference, ReferenceError};
use registry::Endpoint;
pub use weight::{Layer, Weight};

/// How many images are asked for at a time.
const PARALLEL: usize = 6;

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// The registry has it for the platform.
    Found {
        /// The digest of what the name stands for now.
        digest: Option<String>,
        /// What a download weighs: all layers for the platform, compressed.
        bytes: Option<u64>,
        /// These layers, where they are known.
        layers: Vec<Layer>,
        /// Whether a login of this computer was needed. The host needs one, too.
        login: bool,
    },
    /// The registry does not have it.
    Missing,
    /// The mirrors do not have it, and the registry itself did not answer.
    NotMirrored {
        /// What happened at the registry.
        reason: String,
    },
    /// The registry has it for other platforms only.
    WrongArchitecture {
        /// The platforms that there are.
        available: Vec<String>,
    },
    /// The registry wants a login, or one with more rights. Docker Hub answers
    /// so for images that do not exist, too.
    Denied {
        /// What was tried.
        reason: String,
    },
    /// The registry did not answer, or not in its language.
    Unreachable {
        /// What happened.
        reason: String,
    },
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Availability::Found { .. } => f.write_str("found"),
            Availability::Missing => f.write_str("the registry does not have it"),
            Availability::NotMirrored { reason } => {
                write!(f, "no mirror has it, and Docker Hub was not reached ({reason})")
            }
            Availability::WrongArchitecture { available } => {
                write!(f, "only for {}", available.join(", "))
            }
            Availability::Denied { reason } => write!(f, "refused: {reason}"),
            Availability::Unreachable { reason } => write!(f, "not checked: {reason}"),
        }
    }
}

/// How registries are asked.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Mirrors of Docker Hub, asked in this order before it: `https://…` or `http://…`.
    pub mirrors: Vec<String>,
    /// Registries, as `host[:port]`, whose certificate is not checked and that may
    /// speak plain HTTP.
    pub insecure: Vec<String>,
    /// The time for each request.
    pub timeout: Duration,
    /// The time for all requests of a check together, however many images there are.
    pub total: Duration,
    /// Docker's `config.json`, for its logins. Programs that it names are not run.
    pub docker_config: Option<PathBuf>,
    /// A folder in which manifests are kept by digest. It spares Docker Hub's
    /// pull limit: without it, each check of an image counts as a pull.
    pub cache: Option<PathBuf>,
}

impl Default for Lookup {
    fn default() -> Lookup {
        Lookup {
            mirrors: Vec::new(),
            insecure: Vec::new(),
            timeout: Duration::from_secs(15),
            total: Duration::from_secs(90),
            docker_config: credentials::default_path(),
            cache: None,
        }
    }
}

impl Lookup {
    /// Asks for one image.
    #[must_use]
    pub fn check(&self, image: &Reference, platform: &Platform) -> Availability {
        self.ask(&Client::new(self.timeout, self.total), &self.credentials(), image, platform)
    }

    /// Asks for several, a few at a time; the answers come in the order of the images.
    #[must_use]
    pub fn check_all(&self, images: &[Reference], platform: &Platform) -> Vec<Availability> {
        let pairs: Vec<_> = images.iter().map(|i| (i.clone(), platform.clone())).collect();
        self.check_pairs(&pairs)
    }

    /// As [`Lookup::check_all`], each image for a platform of its own.
    #[must_use]
    pub fn check_pairs(&self, pairs: &[(Reference, Platform)]) -> Vec<Availability> {
        let mut first: HashMap<&(Reference, Platform), usize> = HashMap::new();
        let mut distinct = Vec::new();
        for pair in pairs {
            first.entry(pair).or_insert_with(|| {
                distinct.push(pair);
                distinct.len() - 1
            });
        }
        let client = Client::new(self.timeout, self.total);
        let credentials = self.credentials();
        let next = AtomicUsize::new(0);
        let answers = Mutex::new(vec![None; distinct.len()]);
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(distinct.len()) {
                scope.spawn(|| {
                    while let Some((image, platform)) = distinct.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let answer = self.ask(&client, &credentials, image, platform);
                        let mut answers = answers.lock().unwrap_or_else(|e| e.into_inner());
                        let at = first.get(&(image.clone(), platform.clone()));
                        if let Some(slot) = at.and_then(|at| answers.get_mut(*at)) {
                            *slot = Some(answer);
                        }
                    }
                });
            }
        });
        let answers = answers.into_inner().unwrap_or_else(|e| e.into_inner());
        let unanswered = || Availability::Unreachable { reason: "the check did not come to an end".into() };
        let answer = |pair| {
            let at: Option<&usize> = first.get(pair);
            at.and_then(|at| answers.get(*at)?.clone()).unwrap_or_else(unanswered)
        };
        pairs.iter().map(answer).collect()
    }

    /// Mirrors first, then the registry itself, as Docker does.
    fn ask(
        &self,
        client: &Client,
        credentials: &Credentials,
        image: &Reference,
        platform: &Platform,
    ) -> Availability {
        self.ask_at(&self.endpoints(image), client, credentials, image, platform)
    }

    fn ask_at(
        &self,
        endpoints: &[Endpoint],
        client: &Client,
        credentials: &Credentials,
        image: &Reference,
        platform: &Platform,
    ) -> Availability {
        let mut cache = Cache::new(self.cache.as_deref());
        let mut answer = Availability::Missing;
        let mut lacking = false;
        for endpoint in endpoints {
            let known = credentials.of(&endpoint.registry);
            answer = registry::check(client, endpoint, known, image, platform, &mut cache);
            lacking |= answer == Availability::Missing;
            let settled =
                matches!(answer, Availability::Found { .. } | Availability::WrongArchitecture { .. });
            // Behind a registry's https comes its http: only for the lack of an answer.
            if settled || (endpoint.last_unless_silent && !is_silent(&answer)) {
                break;
            }
        }
        match answer {
            Availability::Unreachable { reason } if lacking => Availability::NotMirrored { reason },
            answer => answer,
        }
    }

    fn endpoints(&self, image: &Reference) -> Vec<Endpoint> {
        let mut endpoints = Vec::new();
        if image.registry == DOCKER_HUB {
            endpoints.extend(self.mirrors.iter().map(|url| Endpoint::mirror(url)));
            endpoints.push(Endpoint::docker_hub());
            return endpoints;
        }
        let registry = image.registry.as_str();
        if image.is_loopback() {
            endpoints.push(Endpoint::new("http", registry, true));
        } else if self.insecure.iter().any(|i| i == registry) {
            endpoints.push(Endpoint::new("https", registry, true));
            endpoints.push(Endpoint::new("http", registry, true));
        } else {
            endpoints.push(Endpoint::new("https", registry, false));
        }
        endpoints
    }

    fn credentials(&self) -> Credentials {
        let text = self.docker_config.as_ref().and_then(|p| std::fs::read_to_string(p).ok());
        Credentials::parse(text.as_deref().unwrap_or_default())
    }
}

fn is_silent(answer: &Availability) -> bool {
    matches!(answer, Availability::Unreachable { .. })
}
