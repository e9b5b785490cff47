//! From the probe's lines to [`Facts`].
//!
//! The lines come from a host that may be broken or hostile: nothing here panics,
//! nothing grows beyond what was sent, and no control character gets through.
//!
//! The first line is `provision-facts 1`, the last `end`; between them a key and its
//! fields, separated by tabs, in any order. What was asked for and is not there has its name alone.
//!
//! | once | fields |
//! |---|---|
//! | `os` | id, id_like, version, codename, name |
//! | `architecture` `kernel` `hostname` `virtualization` | a text |
//! | `cpus` `memory` `uptime` `clock` `lists-age` `ssh-port` | a number: bytes, seconds |
//! | `ssh-client` `bridge` | an address |
//! | `systemd` `clock-synchronised` | yes or no |
//! | `identity` | login, root or sudo |
//! | `interrupted` `reboot-required` | none: being there says it |
//! | `cloud-init` | status |
//! | `first-boot` | state, exit code, time |
//! | `first-boot-log` | a line of its log |
//! | `last-run` | id, state, alive (yes or no), change, holder, and the stack where it is known |
//! | `lease` | run, holder, since, until |
//! | `docker` | version, storage driver, error |
//! | `compose` | version |
//!
//! | any number of times | fields |
//! |---|---|
//! | `lock` | pid, command, lock file |
//! | `half-configured` `held` `reboot-package` | a package |
//! | `sshd-port` | a number |
//! | `apt-source` | file, line |
//! | `apt-malformed` | file, number of the line |
//! | `apt-conflict` | option, file, number of the line, and the other's file and line |
//! | `listening` | protocol, address and port as in /proc/net, process |
//! | `package` | name, version, configured (yes or no) |
//! | `file` | path, mode in octal, owner, size, kind, SHA-256, target of a link, `UID:GID` |
//! | `content` | path, base64 |
//! | `record` | path, a line of it |
//! | `bundle` | folder, the digest of its lists or `none` |
//! | `differs` | folder, a path in it |
//! | `group` | name, number, members separated by commas |
//! | `user` | name, number, number of its group, home |
//! | `unit` | name, LoadState, ActiveState, UnitFileState |
//! | `disk` | path, bytes available, bytes in all |
//! | `reach` | address, reached or no-name or no-connection |
//! | `container` | id, name, project, service, image, state, status, folder, id of the image: each a JSON text |
//! | `image` | name, id as a JSON text, digests separated by spaces |
//! | `network` | name, id as a JSON text, ids of its containers separated by spaces, its Compose project as a JSON text |
//! | `namesake` | as `container`, of any project and of none |
//! | `volume` | name, the same as a JSON text, its Compose project as a JSON text |
//! | `engine` | podman-command, podman-socket, podman-service or rootless; its path; the login |
//! | `docker-service` | file, line |
//! | `published` | name, project, service: each a JSON text; ports: JSON of the daemon's interface, or a JSON text of `docker ps` |
//! | `address` | one of the host's own addresses |
//! | `rule` | 4 or 6, table, a line of iptables-save |
//! | `foreign-table` | family and name |
//! | `route` | network, interface, `gateway` or none |
//! | `name-server` | an address |

mod apt;
mod asked;
mod bundle;
mod docker;
mod line;
mod neighbours;
mod network;
mod published;
mod runs;
mod system;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::LARGEST_CONTENT;
use super::types::Facts;
use line::{Line, shorten, text};

/// The format that this program reads; `scripts/probe.sh` prints it first.
const FORMAT: &str = "provision-facts 1";

/// More than any host says, and little enough to hold.
const LARGEST: usize = 64 * 1024 * 1024;

/// How many unknown keys are kept.
const MOST_UNKNOWN: usize = 32;

/// What a probe said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parsed {
    /// What is known.
    pub facts: Facts,
    /// Keys that this version does not know, each once.
    pub unknown: Vec<String>,
}

/// Why lines are no facts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Something else answered.
    #[error("the probe did not start: the host answered `{first}`")]
    NotFacts {
        /// The first line.
        first: String,
    },
    /// A probe of another version answered.
    #[error("the probe speaks `{found}`, this program reads `{FORMAT}`")]
    Format {
        /// The first line.
        found: String,
    },
    /// The last line is missing.
    #[error("the probe was cut short; its last line was `{last}`")]
    Truncated {
        /// The last line that came.
        last: String,
    },
    /// More than is held.
    #[error("the probe answered more than {} MiB", LARGEST / 1024 / 1024)]
    TooLarge,
    /// A value is not what its key promises.
    #[error("line {line} of the probe, `{key}`: {what}, but it is `{value}`")]
    Value {
        /// The line, counted from one.
        line: usize,
        /// The key.
        key: String,
        /// What was expected.
        what: &'static str,
        /// What came.
        value: String,
    },
}

/// Reads a probe's answer.
pub fn parse(answer: impl AsRef<[u8]>) -> Result<Parsed, ParseError> {
    let answer = answer.as_ref();
    if answer.len() > LARGEST {
        return Err(ParseError::TooLarge);
    }
    let mut lines = answer.split(|byte| *byte == b'\n').zip(1..);
    let first = lines.next().map(|(line, _)| text(line)).unwrap_or_default();
    if first != FORMAT {
        return Err(if first.starts_with("provision-facts ") {
            ParseError::Format { found: shorten(&first) }
        } else {
            ParseError::NotFacts { first: shorten(&first) }
        });
    }
    let mut reader = Reader::default();
    let mut last = first;
    for (line, number) in lines {
        if line == b"end" {
            return Ok(reader.finish());
        }
        if line.is_empty() {
            continue;
        }
        reader.line(&Line::new(line, number))?;
        last = text(line);
    }
    Err(ParseError::Truncated { last: shorten(&last) })
}

#[derive(Default)]
struct Reader {
    facts: Facts,
    unknown: Vec<String>,
    contents: BTreeMap<String, Vec<u8>>,
    published: published::Ports,
}

impl Reader {
    fn line(&mut self, line: &Line<'_>) -> Result<(), ParseError> {
        match line.key.as_str() {
            "content" => return self.content(line),
            "record" => bundle::record(&mut self.contents, line),
            "published" => self.published.line(line),
            key => {
                let is_new = !self.is_fact(line)? && !self.unknown.iter().any(|known| known == key);
                if is_new && self.unknown.len() < MOST_UNKNOWN {
                    self.unknown.push(shorten(key));
                }
            }
        }
        Ok(())
    }

    /// Takes a line in that is a fact by itself; false where its key is not known.
    fn is_fact(&mut self, line: &Line<'_>) -> Result<bool, ParseError> {
        let facts = &mut self.facts;
        Ok(system::line(facts, line)?
            || apt::line(facts, line)?
            || asked::line(facts, line)?
            || docker::line(facts, line)
            || neighbours::line(facts, line)?
            || network::line(facts, line)?
            || runs::line(facts, line)?
            || bundle::line(facts, line)?)
    }

    fn content(&mut self, line: &Line<'_>) -> Result<(), ParseError> {
        let encoded = line.raw(1);
        if encoded.len() > LARGEST_CONTENT.div_ceil(3) * 4 {
            return Err(line.error(0, "a content of at most 64 KiB was expected"));
        }
        let content = STANDARD.decode(encoded).map_err(|_| line.error(1, "base64 was expected"))?;
        self.contents.insert(line.text(0), content);
        Ok(())
    }

    fn finish(mut self) -> Parsed {
        for (path, content) in self.contents {
            if let Some(Some(file)) = self.facts.files.get_mut(&path) {
                file.content = Some(content);
            }
        }
        let firewall = &mut self.facts.firewall;
        firewall.ssh_ports.sort_unstable();
        firewall.ssh_ports.dedup();
        firewall.addresses.sort_unstable();
        firewall.addresses.dedup();
        firewall.foreign_tables.sort_unstable();
        firewall.foreign_tables.dedup();
        self.facts.published = self.published.finish();
        Parsed { facts: self.facts, unknown: self.unknown }
    }
}
