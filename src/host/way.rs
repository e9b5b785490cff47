//! The way to a host: what ssh is told of it, found once and gone as often as need be.

use std::path::PathBuf;

use tempfile::NamedTempFile;
use tokio::process::Command;

use super::{Destination, HostError, SshOptions, vagrant, without_secrets};

/// How a host is reached.
#[derive(Debug)]
pub struct Way {
    /// The host as it was named.
    pub(super) name: String,
    /// What ssh is given for it.
    pub(super) alias: String,
    /// Whether nobody can answer a prompt of ssh's.
    pub(super) batch: bool,
    config: Config,
}

/// Where ssh reads its configuration.
#[derive(Debug)]
enum Config {
    /// Nowhere: it is this very machine.
    None,
    /// Where it usually does.
    Own,
    /// In this file instead.
    File(PathBuf),
    /// In what Vagrant said, and nowhere else.
    Vagrant(NamedTempFile),
}

impl Way {
    /// Finds the way; only for a machine of Vagrant's something has to be asked.
    pub async fn find(destination: &Destination, options: &SshOptions) -> Result<Self, HostError> {
        let (alias, config) = match destination {
            Destination::Local => (String::new(), Config::None),
            Destination::Ssh(name) => {
                (name.clone(), options.config.clone().map_or(Config::Own, Config::File))
            }
            Destination::Vagrant(machine) => {
                let said = vagrant::ssh_config(machine).await?;
                (said.alias, Config::Vagrant(said.config))
            }
        };
        Ok(Self { name: destination.to_string(), alias, batch: options.batch, config })
    }

    /// Whether it leads nowhere: the host is this very machine.
    pub fn is_local(&self) -> bool {
        matches!(self.config, Config::None)
    }

    /// Whether Vagrant has told it.
    pub fn is_vagrant(&self) -> bool {
        matches!(self.config, Config::Vagrant(_))
    }

    /// What ssh is given for the host.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// ssh with the configuration that knows the host.
    pub fn ssh(&self) -> Command {
        let mut command = std::process::Command::new("ssh");
        without_secrets(&mut command);
        let mut command = Command::from(command);
        match &self.config {
            Config::None | Config::Own => {}
            Config::File(path) => {
                command.arg("-F").arg(path);
            }
            Config::Vagrant(file) => {
                command.arg("-F").arg(file.path());
            }
        }
        command
    }
}
