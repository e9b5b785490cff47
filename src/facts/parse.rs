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

mod bundle;
mod line;
mod neighbours;
mod published;

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use semver::Version;
use thiserror::Error;

use super::types::{
    AptSource, Become, CloudInit, Disk, Docker, Facts, File, Group, Image, LastRun, Lease, Listening,
    LoadedRule, LockHolder, Package, Reach, Route, Unit, User,
};
use super::version::lenient_version;
use super::{LARGEST_CONTENT, Owner};
use line::{Line, address, shorten, text};

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

/// Whether others can reach it.
fn is_own(address: &IpAddr) -> bool {
    let is_local = match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    !is_local && !address.is_loopback() && !address.is_unspecified()
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
        let facts = &mut self.facts;
        let system = &mut facts.system;
        match line.key.as_str() {
            "os" => {
                system.id = line.text(0);
                system.id_like = line.text(1);
                system.version = line.text(2);
                system.codename = line.text(3);
                system.name = line.text(4);
            }
            "architecture" => system.architecture = line.text(0),
            "kernel" => system.kernel = line.text(0),
            "virtualization" => system.virtualization = line.text(0),
            "systemd" => system.systemd = line.yes(0)?,
            "cpus" => system.cpus = line.small(0)?,
            "memory" => system.memory = line.size(0)?,
            "swap" => system.swap = line.size(0)?,
            "clock" => system.clock = line.time(0)?,
            "clock-synchronised" => system.clock_synchronised = Some(line.yes(0)?),
            "hostname" => system.hostname = line.text(0),
            "uptime" => system.uptime = line.size(0)?,
            "identity" => {
                facts.identity.user = line.text(0);
                facts.identity.becomes = match line.raw(1) {
                    b"root" => Become::Root,
                    b"sudo" => Become::Sudo,
                    _ => return Err(line.error(1, "`root` or `sudo` was expected")),
                };
            }
            "ssh-port" => facts.identity.ssh_port = Some(line.port(0)?),
            "ssh-client" => facts.identity.ssh_client = address(&line.text(0)),
            "lists-age" => facts.apt.lists_age = Some(line.size(0)?),
            "lock" => {
                facts.apt.busy =
                    Some(LockHolder { pid: line.small(0)?, command: line.text(1), lock: line.text(2) });
            }
            "half-configured" => facts.apt.half_configured.push(line.text(0)),
            "interrupted" => facts.apt.interrupted = true,
            "held" => facts.apt.held.push(line.text(0)),
            "apt-source" => facts.apt.sources.push(AptSource { file: line.text(0), line: line.text(1) }),
            "package" => {
                let package = if line.is_answered() {
                    Some(Package { version: line.text(1), configured: line.yes(2)? })
                } else {
                    None
                };
                facts.packages.insert(line.text(0), package);
            }
            "file" => {
                let file = if line.is_answered() { Some(read_file(line)?) } else { None };
                facts.files.insert(line.text(0), file);
            }
            "content" => {
                let encoded = line.raw(1);
                if encoded.len() > LARGEST_CONTENT.div_ceil(3) * 4 {
                    return Err(line.error(0, "a content of at most 64 KiB was expected"));
                }
                let content = STANDARD.decode(encoded).map_err(|_| line.error(1, "base64 was expected"))?;
                self.contents.insert(line.text(0), content);
            }
            "group" => {
                let group = if line.is_answered() {
                    let members = line.text(2);
                    let members = members.split(',').filter(|member| !member.is_empty());
                    Some(Group { gid: line.small(1)?, members: members.map(str::to_owned).collect() })
                } else {
                    None
                };
                facts.groups.insert(line.text(0), group);
            }
            "user" => {
                let user = if line.is_answered() {
                    Some(User { uid: line.small(1)?, gid: line.small(2)?, home: line.text(3) })
                } else {
                    None
                };
                facts.users.insert(line.text(0), user);
            }
            "unit" => {
                let unit = Unit { load: line.text(1), active: line.text(2), enabled: line.text(3) };
                facts.units.insert(line.text(0), unit);
            }
            "disk" => {
                if line.is_answered() {
                    let disk = Disk { available: line.size(1)?, total: line.size(2)? };
                    facts.disks.insert(line.text(0), disk);
                }
            }
            "reach" => {
                let reach = match line.raw(1) {
                    b"reached" => Reach::Reached,
                    b"no-name" => Reach::NoName,
                    b"no-connection" => Reach::NoConnection,
                    _ => return Err(line.error(1, "`reached`, `no-name` or `no-connection` was expected")),
                };
                facts.reach.insert(line.text(0), reach);
            }
            "docker" => {
                let engine = line.json(0);
                let docker = facts.docker.get_or_insert_with(Docker::default);
                // A daemon that was built without a version still answers.
                docker.engine = (!engine.is_empty())
                    .then(|| lenient_version(&engine).unwrap_or_else(|| Version::new(0, 0, 0)));
                docker.storage = line.json(1);
                docker.error = line.optional(2);
            }
            "compose" => {
                facts.docker.get_or_insert_with(Docker::default).compose = lenient_version(&line.text(0));
            }
            "container" => facts.containers.push(neighbours::container(line)),
            "image" => {
                let id = line.json(1);
                let digests =
                    line.text(2).split(' ').filter(|digest| !digest.is_empty()).map(str::to_owned).collect();
                let image = Image { id, digests };
                facts.images.insert(line.text(0), (!image.id.is_empty()).then_some(image));
            }
            "network" => {
                let ids = line.text(2).split(' ').filter(|id| !id.is_empty()).map(str::to_owned).collect();
                let is_there = !line.json(1).is_empty();
                facts.networks.insert(line.text(0), is_there.then_some(ids));
                if is_there {
                    facts.neighbours.networks.insert(line.text(0), Owner { project: line.json(3) });
                }
            }
            "listening" => {
                let (address, port) = line.socket(1)?;
                let listening = Listening { protocol: line.text(0), address, port, process: line.text(2) };
                facts.listening.push(listening);
            }
            "published" => self.published.line(line),
            "sshd-port" => facts.firewall.ssh_ports.push(line.port(0)?),
            "address" => facts.firewall.addresses.extend(address(&line.text(0)).filter(is_own)),
            "bridge" => facts.bridge = address(&line.text(0)),
            "docker-root" => facts.docker_root = Some(line.text(0)),
            "rule" => {
                let family = match line.raw(0) {
                    b"4" => 4,
                    b"6" => 6,
                    _ => return Err(line.error(0, "`4` or `6` was expected")),
                };
                facts.firewall.loaded.push(LoadedRule { family, table: line.text(1), rule: line.text(2) });
            }
            "route" => {
                let network = line.text(0);
                // A single address has no prefix length.
                let network = network.parse().ok().or_else(|| Some(network.parse::<IpAddr>().ok()?.into()));
                let route =
                    |network| Route { network, device: line.text(1), by_gateway: line.raw(2) == b"gateway" };
                facts.routes.extend(network.map(route));
            }
            "name-server" => facts.name_servers.extend(address(&line.text(0)).filter(|at| !at.is_loopback())),
            "foreign-table" => facts.firewall.foreign_tables.extend(line.optional(0)),
            "reboot-required" => {
                facts.reboot_required.get_or_insert_default();
            }
            "reboot-package" => facts.reboot_required.get_or_insert_default().push(line.text(0)),
            "cloud-init" => facts.cloud_init = Some(CloudInit { status: line.text(0) }),
            "first-boot" => {
                let first_boot = facts.first_boot.get_or_insert_default();
                first_boot.state = line.text(0);
                first_boot.code = line.small(1)?;
                first_boot.at = line.time(2)?;
            }
            "first-boot-log" => facts.first_boot.get_or_insert_default().log.push(line.text(0)),
            "last-run" => {
                facts.last_run = Some(LastRun {
                    id: line.text(0),
                    state: line.text(1),
                    alive: line.yes(2)?,
                    change: line.text(3),
                    holder: line.text(4),
                    stack: line.text(5),
                });
            }
            "lease" => {
                facts.lease = Some(Lease {
                    run: line.text(0),
                    holder: line.text(1),
                    since: line.time(2)?,
                    until: line.time(3)?,
                });
            }
            "record" => bundle::record(&mut self.contents, line),
            _ if neighbours::line(facts, line)? || bundle::line(facts, line)? => {}
            key => {
                if self.unknown.len() < MOST_UNKNOWN && !self.unknown.iter().any(|known| known == key) {
                    self.unknown.push(shorten(key));
                }
            }
        }
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

fn read_file(line: &Line<'_>) -> Result<File, ParseError> {
    let mode = u32::from_str_radix(&line.text(1), 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| line.error(1, "permission bits in octal were expected"))?;
    let sha256 = line.text(5);
    let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash && !sha256.is_empty() {
        return Err(line.error(5, "a SHA-256 was expected"));
    }
    Ok(File {
        mode,
        owner: line.text(2),
        size: line.size(3)?,
        kind: line.text(4),
        sha256,
        target: line.optional(6),
        ids: line.text(7),
        holds_files: line.text(8) == "full",
        holds: line.rest(9),
        content: None,
    })
}
