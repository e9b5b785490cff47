//! Who answers at which port.

use std::net::IpAddr;

use super::types::{Facts, Listening, Published};

/// Programs that are ssh servers, as the kernel knows them.
const SSH_SERVERS: [&str; 3] = ["sshd", "dropbear", "tinysshd"];

impl Facts {
    /// The ports on which the host is reached by ssh: that of this connection first, then those
    /// that sshd is told and those on which it listens.
    pub fn ssh_ports(&self) -> Vec<u16> {
        let listening = self
            .listening
            .iter()
            .filter(|socket| socket.is_open() && SSH_SERVERS.contains(&socket.process.as_str()))
            .map(|socket| socket.port);
        let all = self.identity.ssh_port.into_iter();
        let mut ports = Vec::new();
        for port in all.chain(self.firewall.ssh_ports.iter().copied()).chain(listening) {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        ports
    }
}

impl Published {
    /// Whose it is, for a person: `web (three)`, or the container's name.
    pub fn owner(&self) -> String {
        match (self.service.as_str(), self.project.as_str()) {
            ("", _) => self.container.clone(),
            (service, "") => service.to_owned(),
            (service, project) => format!("{service} ({project})"),
        }
    }

    /// Whether others may find it, as far as its address goes.
    pub fn is_open(&self) -> bool {
        !self.address.is_loopback()
    }
}

impl Listening {
    /// Whether others may find it, as far as its address goes.
    pub fn is_open(&self) -> bool {
        // What a link-local address or a client of DHCP answers is nobody's service.
        let client = self.protocol == "udp" && [68, 546].contains(&self.port);
        match self.address.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => !address.is_loopback() && !client,
            Ok(IpAddr::V6(address)) => {
                let local = address.to_ipv4_mapped().is_some_and(|address| address.is_loopback());
                !address.is_loopback() && !local && !address.is_unicast_link_local() && !client
            }
            Err(_) => false,
        }
    }
}
