//! The whole command line in one place.

mod familiar;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::host::Destination;
use crate::user_data::Format;

const EXAMPLES: &str = "\
Examples:
  provision up deploy@203.0.113.7            deploy the Compose project in this folder
  provision plan web1                        show what `up` would change
  provision up web1 web2 --yes               two hosts at once, without asking
  provision up web1 --playbook docker        only Docker
  provision up local --yes                   this machine

HOST is anything that `ssh` takes (user@host, ssh://user@host:port, a name from
~/.ssh/config), a Vagrant machine (vagrant:NAME), or `local`.";

const BACKUP_EXAMPLES: &str = "\
Examples:
  provision backup web1                       list the backups
  provision backup web1 now                   take a backup now
  provision backup web1 restore latest        restore the newest backup

The stack needs Postgres as a service, and a service with the image
prodrigestivill/postgres-backup-local, as in the playbook `prefect`. Run this command in the
folder in which you run `up`.";

const CLOUD_INIT_EXAMPLES: &str = "\
Examples:
  provision cloud-init --playbook docker > /tmp/user-data
  provision cloud-init > /tmp/user-data          include the stack in this folder
  provision cloud-init --stack-url https://files.example/stack.tgz --stack-out /tmp/stack.tgz > /tmp/user-data

Give the file to your cloud as the user-data of a new server, and keep it outside the stack's
folder, which is sent as a whole. Run this command in the folder in which you run `up`; `url` in
[release] of provision.toml sets where the server downloads provision from.";

const EXIT_CODES: &str = "\
Exit codes:
  0   done, or nothing to do
  1   a bug in provision
  2   the command line, provision.toml, a playbook or a Compose file has an error
  3   refused: the host does not meet a requirement, or the plan is not safe; nothing was changed
  4   the host is unreachable, or the connection was lost
  5   no root on the host: sudo refused, or needs a password
  6   a change failed; earlier changes stay, and the next `up` continues from there
  7   another run is active on the host
  8   detached: the run continues on the host
  9   cancelled between two changes
  10  not confirmed: the question was not answered with yes
  11  the ports that are reachable from here differ from those that are declared";

/// One command from a bare Ubuntu or Debian server to your running Docker Compose stack, over SSH.
#[derive(Debug, Parser)]
#[command(name = "provision", version, about, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
#[command(propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What all commands share.
    #[command(flatten)]
    pub global: Global,
}

impl Cli {
    /// Parses the command line; prints an error and exits where that fails.
    pub fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| familiar::explain(error).exit())
    }
}

/// What all commands share.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Print events as JSON, one per line, on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Show the output of each change, and in a plan how to undo it
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub verbose: bool,
    /// Print only what needs attention
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Read settings from this file instead of provision.toml
    #[arg(long, global = true, value_name = "FILE", env = "PROVISION_CONFIG", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Read ssh configuration from this file instead of ~/.ssh/config
    #[arg(short = 'F', long, global = true, value_name = "FILE", env = "PROVISION_SSH_CONFIG", value_hint = ValueHint::FilePath)]
    pub ssh_config: Option<PathBuf>,
    /// Read the sudo password from the first line of this file, instead of PROVISION_SUDO_PASSWORD or a prompt
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sudo_password_file: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Apply a playbook to hosts: show the plan, ask, apply it and check the result
    Up(Up),
    /// Show what `up` would change, without changing anything
    Plan(Plan),
    /// Check whether hosts meet the requirements of a playbook
    Check(Check),
    /// Print the facts of a host as JSON
    Facts(Facts),
    /// Compare the ports that are reachable from here with those that are declared
    Expose(Expose),
    /// Open an ssh tunnel to a service that listens only on the host, and print its local address
    Open(Open),
    /// List the runs on a host
    Runs(Runs),
    /// Show a run (its changes, output and kept files) or a saved plan
    Show(Show),
    /// List, show, rotate or set secrets
    Secrets(Secrets),
    /// List, take or restore backups of a stack's database
    Backup(Backup),
    /// Show the status of a host, and follow its first boot or active run
    Status(Status),
    /// Print user-data with which a new server provisions itself at its first boot
    CloudInit(CloudInit),
    /// List the built-in playbooks
    Playbooks,
    /// Print the JSON schema of provision.toml or of a playbook
    Schema(Schema),
    /// Print shell completions
    Completions(Completions),
    /// Write the man pages to a folder
    Man(Man),
}

/// Which hosts, and which playbook.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// user@host, ssh://user@host:port, a name from ~/.ssh/config, vagrant:NAME, or `local`; default: `hosts` in provision.toml
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub hosts: Vec<Destination>,
    /// Name of a built-in playbook (see `provision playbooks`), or path to your own
    #[arg(short, long, value_name = "NAME|PATH")]
    pub playbook: Option<String>,
    /// Continue despite findings that can be overridden, such as low memory or disk space
    #[arg(long)]
    pub force: bool,
}

/// `provision up`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct Up {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Apply without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Look for newer images for all tags, and use them
    #[arg(long)]
    pub pull: bool,
    /// Apply a plan that `provision plan --out` saved; refused if the host has changed since then
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plan: Option<PathBuf>,
}

/// `provision plan`
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Look for newer images for all tags, as `up --pull` does
    #[arg(long)]
    pub pull: bool,
    /// Exit with 2 if there are changes, with 0 if there are none
    #[arg(long)]
    pub exit_code: bool,
    /// Print the plan as Markdown, for a review
    #[arg(long)]
    pub markdown: bool,
    /// Save the plan for `provision up --plan` and `provision show`; it contains no secrets
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
    /// Plan without a connection, from the output of `provision facts HOST --raw`
    #[arg(long, value_name = "FILE", conflicts_with = "out", value_hint = ValueHint::FilePath)]
    pub facts: Option<PathBuf>,
}

/// `provision check`
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `provision facts`
#[derive(Debug, Args)]
pub struct Facts {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print the lines of the probe as the host sent them
    #[arg(long)]
    pub raw: bool,
}

/// `provision expose`
#[derive(Debug, Args)]
pub struct Expose {
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `provision runs`
#[derive(Debug, Args)]
pub struct Runs {
    /// The host
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Destination,
}

/// `provision show`
#[derive(Debug, Args)]
pub struct Show {
    /// Id of a run, from `provision up` or `provision runs`, or a file that `provision plan --out` saved
    #[arg(value_name = "RUN|FILE", value_hint = ValueHint::FilePath)]
    pub run: String,
    /// Print a saved plan as Markdown, for a review
    #[arg(long)]
    pub markdown: bool,
    /// Host of a run that was started elsewhere, or one of several in a saved plan
    #[arg(long, value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Option<Destination>,
}

/// `provision status`
#[derive(Debug, Args)]
pub struct Status {
    /// The host
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Destination,
}

/// `provision cloud-init`
#[derive(Debug, Args)]
#[command(after_help = CLOUD_INIT_EXAMPLES)]
pub struct CloudInit {
    /// Name of a built-in playbook (see `provision playbooks`), or path to your own
    #[arg(short, long, value_name = "NAME|PATH")]
    pub playbook: Option<String>,
    /// Form of the user-data
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Let the server download the stack from this address, instead of including it in the user-data
    #[arg(long, value_name = "ADDRESS", value_hint = ValueHint::Url)]
    pub stack_url: Option<String>,
    /// Write the archive to put at that address
    #[arg(long, value_name = "FILE", requires = "stack_url", value_hint = ValueHint::FilePath)]
    pub stack_out: Option<PathBuf>,
    /// Continue although a value looks like a secret
    #[arg(long)]
    pub force: bool,
}

/// `provision open`
#[derive(Debug, Args)]
pub struct Open {
    /// The host
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Destination,
    /// Compose service, or port on the host
    #[arg(value_name = "SERVICE|PORT")]
    pub service: String,
    /// Local port; default: the same as on the host, or a free one
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<u16>,
}

/// `provision secrets`
#[derive(Debug, Args)]
pub struct Secrets {
    /// The host
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Destination,
    /// What to do; default: `list`
    #[command(subcommand)]
    pub verb: Option<SecretsVerb>,
    /// Only the secrets of this stack; a change uses that of the playbook
    #[arg(long, value_name = "NAME", global = true)]
    pub stack: Option<String>,
}

/// What to do with a host's secrets.
#[derive(Debug, Subcommand)]
pub enum SecretsVerb {
    /// List the names of the secrets, without values
    List,
    /// Print the value of a secret on stdout
    Show {
        /// Name of the secret
        name: String,
    },
    /// Generate a new value, and restart what uses the secret
    Rotate(Renew),
    /// Set a value from a prompt or stdin, and restart what uses the secret
    Set(Renew),
}

/// Another value for a secret, by a run like that of `up`.
#[derive(Debug, Clone, Args)]
pub struct Renew {
    /// Name of the secret
    pub name: String,
    /// Name of a built-in playbook (see `provision playbooks`), or path to your own
    #[arg(short, long, value_name = "NAME|PATH")]
    pub playbook: Option<String>,
    /// Continue despite findings that can be overridden, such as low memory or disk space
    #[arg(long)]
    pub force: bool,
    /// Apply without asking
    #[arg(short, long)]
    pub yes: bool,
}

impl Renew {
    /// The same for `up`.
    pub(crate) fn as_up(&self, host: &Destination) -> Up {
        let target = Target { hosts: vec![host.clone()], playbook: self.playbook.clone(), force: self.force };
        Up { target, yes: self.yes, pull: false, plan: None }
    }
}

/// `provision backup`
#[derive(Debug, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub struct Backup {
    /// The host
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Destination,
    /// What to do; default: `list`
    #[command(subcommand)]
    pub verb: Option<BackupVerb>,
    /// Name of a built-in playbook (see `provision playbooks`), or path to your own
    #[arg(short, long, value_name = "NAME|PATH", global = true)]
    pub playbook: Option<String>,
}

/// What to do with a stack's backups.
#[derive(Debug, Subcommand)]
pub enum BackupVerb {
    /// List the backups, newest first, and whether each is complete
    List,
    /// Take a backup
    Now {
        /// Apply without asking
        #[arg(short, long)]
        yes: bool,
    },
    /// Restore a backup into a new database, which replaces the current one if it works
    Restore {
        /// Name from `list`, an unambiguous end of one, or `latest`
        #[arg(value_name = "FILE")]
        file: String,
        /// Apply without asking
        #[arg(short, long)]
        yes: bool,
        /// Continue despite low disk space, and despite what `up --force` overrides
        #[arg(long)]
        force: bool,
    },
}

/// `provision schema`
#[derive(Debug, Args)]
pub struct Schema {
    /// Print the schema of playbooks
    #[arg(long)]
    pub playbook: bool,
}

/// `provision completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// `provision man`
#[derive(Debug, Args)]
pub struct Man {
    /// Folder for the pages; created if missing
    #[arg(value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
}
