//! Requests to registries: bounded in time and size, and only where they may go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ureq::config::{Config, ConfigBuilder};
use ureq::http::{Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Error};

use super::origin::{Origin, Reach, is_private, joined};
use super::reference::loopback;

/// The most redirects that are followed.
const REDIRECTS: usize = 5;

/// The largest head of an answer, in bytes.
const MAX_HEAD: usize = 32 * 1024;

/// The agents; connections are shared among all requests.
pub(super) struct Client {
    strict: Agent,
    lax: Agent,
    /// For this machine itself: past every proxy.
    direct: Agent,
    /// For what registries name.
    internet: Agent,
    /// For what registries of a private network name.
    network: Agent,
    seen: Seen,
    timeout: Duration,
    /// When all requests together must be over.
    end: Instant,
}

/// One request.
pub(super) struct Call<'a> {
    pub method: &'a str,
    pub url: String,
    /// For the origin of this address, and for no other that it redirects to.
    pub authorization: Option<&'a str>,
    pub accept: Option<&'a str>,
    /// The fields of a form that is posted.
    pub form: Option<[(&'a str, &'a str); 5]>,
}

/// Where a person sends us: the registry or mirror whose name they wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Home {
    pub origin: Origin,
    /// Whether its certificate is not checked.
    pub insecure: bool,
}

impl Home {
    /// Whether a login may be sent there because this registry says so: not in the clear, and not to
    /// another server where the challenge could have been written on its way here.
    pub fn may_log_in_at(&self, there: &Origin) -> bool {
        let is_here = *there == self.origin;
        self.origin.is_private_talk() && (is_here || !self.insecure && there.scheme == "https")
    }
}

impl Client {
    /// `timeout` is for each request, `total` for all of them.
    pub fn new(timeout: Duration, total: Duration) -> Client {
        let seen = Seen::default();
        let agent = |builder: ConfigBuilder<AgentScope>, reach| {
            let names = Names { reach, seen: seen.clone(), inner: DefaultResolver::default() };
            Agent::with_parts(builder.build(), DefaultConnector::default(), names)
        };
        Client {
            strict: agent(config(timeout, false), Reach::Anywhere),
            lax: agent(config(timeout, true), Reach::Anywhere),
            direct: agent(config(timeout, false).proxy(None), Reach::Anywhere),
            internet: agent(config(timeout, false), Reach::Internet),
            network: agent(config(timeout, false), Reach::Network),
            seen: seen.clone(),
            timeout,
            end: Instant::now().checked_add(total).unwrap_or_else(Instant::now),
        }
    }

    /// Sends it, and follows what it is sent on to. An error is what a person is told.
    pub fn call(&self, home: &Home, mut call: Call<'_>) -> Result<Response<Body>, String> {
        for _ in 0..=REDIRECTS {
            let origin =
                Origin::of(&call.url).ok_or_else(|| format!("{} is no address", brief(&call.url)))?;
            let agent = self.agent(home, &origin)?;
            let response = self.send(agent, &call).map_err(|error| told(&origin, &error))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            if call.form.is_some() {
                return Err(format!("{} redirects where it should answer a login", origin.shown()));
            }
            let location = response.headers().get("location").and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| joined(&call.url, location));
            call.url = next.ok_or_else(|| format!("{} redirects to no address", origin.shown()))?;
            // A login is for the place that it was named for.
            if Origin::of(&call.url).as_ref() != Some(&origin) {
                call.authorization = None;
            }
        }
        Err(format!("{}: too many redirects", home.origin.shown()))
    }

    /// Who speaks to that origin; an error where no registry may send us there.
    fn agent(&self, home: &Home, origin: &Origin) -> Result<&Agent, String> {
        if *origin == home.origin {
            return Ok(match (loopback(&origin.host), home.insecure) {
                (true, _) => &self.direct,
                (false, true) => &self.lax,
                (false, false) => &self.strict,
            });
        }
        let (there, here) = (brief(&origin.shown()), home.origin.shown());
        if origin.scheme != "https" {
            return Err(format!("{here} names {there}, which is another server and not encrypted"));
        }
        if origin.host == home.origin.host {
            return Ok(if loopback(&origin.host) { &self.direct } else { &self.strict });
        }
        let reach = match self.seen.is_private(&home.origin.host) {
            true => Reach::Network,
            false => Reach::Internet,
        };
        let agent = if reach == Reach::Network { &self.network } else { &self.internet };
        // A proxy looks names up itself; what is known here of the name counts all the same.
        if loopback(&origin.host)
            || origin.host.ends_with(".localhost")
            || agent.config().proxy().is_some() && !is_far(origin, reach)
        {
            return Err(format!("{here} names {there}, {NEAR}"));
        }
        Ok(agent)
    }

    fn send(&self, agent: &Agent, call: &Call<'_>) -> Result<Response<Body>, Error> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Other("the time for all registries together is over".into()));
        }
        let timeout = Some(self.timeout.min(left));
        let url = call.url.as_str();
        if let Some(fields) = call.form {
            return agent.post(url).config().timeout_global(timeout).build().send_form(fields);
        }
        let request = if call.method == "HEAD" { agent.head(url) } else { agent.get(url) };
        let mut request = request.config().timeout_global(timeout).build();
        if let Some(accept) = call.accept {
            request = request.header("accept", accept);
        }
        if let Some(value) = call.authorization {
            request = request.header("authorization", value);
        }
        request.call()
    }
}

const NEAR: &str = "an address of this computer or of a private network; it was not asked";

/// Whether all addresses of a name are far enough away, as far as they are known here.
fn is_far(origin: &Origin, reach: Reach) -> bool {
    use std::net::ToSocketAddrs;
    let host = origin.host.trim_matches(['[', ']']);
    (host, origin.port)
        .to_socket_addrs()
        .map_or(true, |mut addresses| addresses.all(|address| reach.admits(address.ip())))
}

/// What happened, in few words: `io: Connection refused` is the library's way to say it.
fn told(origin: &Origin, error: &Error) -> String {
    let error = error.to_string();
    let error = error.trim_start_matches("io: ").trim_start_matches("other: ");
    format!("{}: {}", brief(&origin.shown()), brief(error))
}

/// No more of a text than fits a line or two: a registry may send megabytes.
pub(super) fn brief(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The names that were looked up, and whether all of their addresses were private.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, bool>>>);

impl Seen {
    fn is_private(&self, host: &str) -> bool {
        let seen = self.0.lock().unwrap_or_else(|e| e.into_inner());
        seen.get(host).copied().unwrap_or(false)
    }

    /// Once far away is far away.
    fn note(&self, host: &str, private: bool) {
        let mut seen = self.0.lock().unwrap_or_else(|e| e.into_inner());
        *seen.entry(host.to_ascii_lowercase()).or_insert(true) &= private;
    }
}

/// Looks names up, and does not hand out addresses that are too near.
#[derive(Debug)]
struct Names {
    reach: Reach,
    seen: Seen,
    inner: DefaultResolver,
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        // The person's own proxy may be wherever it is.
        if config.proxy().is_some_and(|proxy| proxy.uri() == uri) {
            return Ok(found);
        }
        if self.reach == Reach::Anywhere {
            let private = found.iter().all(|address| is_private(address.ip()));
            self.seen.note(uri.host().unwrap_or_default(), private);
        }
        // One that is too near condemns the name: it is not to be tried until it fits.
        match found.iter().all(|address| self.reach.admits(address.ip())) {
            true => Ok(found),
            false => Err(Error::Other(NEAR.into())),
        }
    }
}

fn config(timeout: Duration, lax: bool) -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).disable_verification(lax).build();
    Config::builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_response_header_size(MAX_HEAD)
        .user_agent(concat!("provision/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
}

/// What fetches something over HTTP, by this computer's own authorities and proxy; an answer with
/// an error's status is an answer. `encrypted`: no redirect leads to plain http.
pub fn agent(timeout: Duration, encrypted: bool) -> Agent {
    config(timeout, false).max_redirects(5).https_only(encrypted).build().new_agent()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(url: &str, insecure: bool) -> Home {
        Home { origin: Origin::of(url).expect(url), insecure }
    }

    fn client() -> Client {
        Client::new(Duration::from_secs(5), Duration::from_secs(20))
    }

    fn get(url: &str) -> Call<'_> {
        Call { method: "GET", url: url.into(), authorization: None, accept: None, form: None }
    }

    #[test]
    fn where_a_login_may_go() {
        for (registry, insecure, realm, expected) in [
            ("https://reg.example", false, "https://reg.example/token", true),
            ("https://reg.example", false, "https://auth.example/token", true),
            ("https://reg.example", false, "http://reg.example/token", false),
            ("https://reg.example", false, "http://127.0.0.1/token", false),
            // Its certificate is not checked: that is for itself alone.
            ("https://reg.lan", true, "https://reg.lan/token", true),
            ("https://reg.lan", true, "https://auth.example/token", false),
            ("http://reg.lan", true, "http://reg.lan/token", false),
            ("http://reg.lan", true, "https://auth.example/token", false),
            ("http://10.0.0.5:5000", true, "http://10.0.0.5:5000/token", false),
            ("http://127.0.0.1:5000", true, "http://127.0.0.1:5000/token", true),
            ("http://localhost:5000", true, "http://localhost:5000/token", true),
            ("http://localhost:5000", true, "http://localhost:5001/token", false),
        ] {
            let may = home(registry, insecure).may_log_in_at(&Origin::of(realm).expect(realm));
            assert_eq!(may, expected, "{registry} {realm}");
        }
    }

    /// Whatever the spelling, nothing on this computer is spoken to because a registry says so.
    #[test]
    fn no_way_leads_to_this_computer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("not blocking");
        let port = listener.local_addr().expect("an address").port();
        let registry = home("https://reg.example", false);
        for host in [
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "2130706433",
            "017700000001",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "169.254.169.254",
            "10.0.0.1",
        ] {
            let url = format!("https://{host}:{port}/token");
            let answer = client().call(&registry, get(&url)).map(|response| response.status());
            let why = answer.expect_err(host);
            assert!(why.contains("not asked") || why.contains("no address"), "{host}: {why}");
        }
        let plain = format!("http://127.0.0.1:{port}/token");
        let why = client().call(&registry, get(&plain)).map(|response| response.status()).expect_err("plain");
        assert!(why.contains("not encrypted"), "{why}");
        assert!(listener.accept().is_err(), "it was spoken to");
    }

    #[test]
    fn time_ends() {
        let client = Client::new(Duration::from_secs(5), Duration::ZERO);
        let url = "http://127.0.0.1:9/";
        let why =
            client.call(&home(url, true), get(url)).map(|response| response.status()).expect_err("no time");
        assert_eq!(why, "127.0.0.1:9: the time for all registries together is over");
    }

    #[test]
    fn names_of_private_networks() {
        let seen = Seen::default();
        assert!(!seen.is_private("reg.lan"));
        seen.note("reg.LAN", true);
        assert!(seen.is_private("reg.lan"));
        // One that is now here, now there is no neighbour.
        seen.note("reg.lan", false);
        seen.note("reg.lan", true);
        assert!(!seen.is_private("reg.lan"));
    }
}
