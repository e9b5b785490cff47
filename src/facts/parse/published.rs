//! Ports that containers publish, as the daemon and as `docker ps` tell them.

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr};

use serde::Deserialize;

use super::{LARGEST, Line};
use crate::facts::types::Published;

/// What containers publish, while it is read.
#[derive(Default)]
pub(super) struct Ports {
    found: Vec<Published>,
    /// Bytes held. A few characters can be a range of all ports: what is made of an
    /// answer grows no larger than the largest answer.
    held: usize,
}

/// A port as the daemon's interface tells it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    #[serde(rename = "IP")]
    ip: Option<String>,
    private_port: u16,
    public_port: Option<u16>,
    r#type: Option<String>,
}

impl Ports {
    /// Reads a line: name, project, service and the ports of one container. A port that is
    /// none is left out.
    pub(super) fn line(&mut self, line: &Line<'_>) {
        let container = Published {
            container: line.json(0),
            project: line.json(1),
            service: line.json(2),
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 0,
            target: 0,
            protocol: String::new(),
        };
        let ports = line.raw(3);
        if let Ok(ports) = serde_json::from_slice::<String>(ports) {
            for mapping in ports.split(',') {
                self.mapping(&container, mapping.trim());
            }
        } else if let Ok(ports) = serde_json::from_slice::<Vec<Told>>(ports) {
            for told in ports {
                if let Some(port) = told.public_port {
                    let ip = told.ip.unwrap_or_default();
                    let protocol = told.r#type.unwrap_or_default();
                    self.add(&container, &ip, port, told.private_port, &protocol);
                }
            }
        }
    }

    /// Sorted, each once.
    pub(super) fn finish(mut self) -> Vec<Published> {
        let key = |port: &Published| (port.port, port.address, port.target);
        self.found.sort_unstable_by(|a, b| {
            key(a)
                .cmp(&key(b))
                .then_with(|| a.protocol.cmp(&b.protocol))
                .then_with(|| a.container.cmp(&b.container))
                .then_with(|| (&a.project, &a.service).cmp(&(&b.project, &b.service)))
        });
        self.found.dedup();
        self.found
    }

    /// `0.0.0.0:9000-9002->9000-9002/udp`; without an arrow a port is not published.
    fn mapping(&mut self, container: &Published, mapping: &str) -> Option<()> {
        let (host, inside) = mapping.split_once("->")?;
        let (ip, ports) = host.rsplit_once(':').unwrap_or(("", host));
        let (targets, protocol) = inside.split_once('/').unwrap_or((inside, ""));
        let (first, last) = range(ports)?;
        let (target, last_target) = range(targets)?;
        if last_target != target && last_target - target != last - first {
            return None;
        }
        for port in first..=last {
            let step = if last_target == target { 0 } else { port - first };
            if !self.add(container, ip, port, target + step, protocol) {
                break;
            }
        }
        Some(())
    }

    /// Whether there was a port in it, and room.
    fn add(&mut self, container: &Published, ip: &str, port: u16, target: u16, protocol: &str) -> bool {
        let ip = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
        let address = if ip.is_empty() { Some(container.address) } else { super::line::address(ip) };
        let protocol = match protocol {
            "" => "tcp",
            "tcp" | "udp" | "sctp" => protocol,
            _ => return false,
        };
        let Some(address) = address.filter(|_| port != 0) else { return false };
        let texts = [&container.container, &container.project, &container.service];
        self.held += size_of::<Published>() + texts.iter().map(|text| text.len()).sum::<usize>();
        if self.held > LARGEST {
            return false;
        }
        let protocol = protocol.to_owned();
        self.found.push(Published { address, port, target, protocol, ..container.clone() });
        true
    }
}

/// `80` or `9000-9002`.
fn range(ports: &str) -> Option<(u16, u16)> {
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}
