//! The whole command line in one place.

mod familiar;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::host::Destination;
use crate::user_data::Format;

const EXAMPLES: &str = "\
Examples:
  provision up deploy@203.0.113.7            the Compose project in this folder, running there
  provision plan web1                        what `up` would do, and nothing else
  provision up web1 web2 --yes               two hosts at once, without a question
  provision up web1 --playbook docker        Docker alone
  provision up local --yes                   this very machine

HOST is anything that `ssh` takes (user@host, ssh://user@host:port, a name from
~/.ssh/config), a Vagrant machine (vagrant:NAME), or `local`.";

const BACKUP_EXAMPLES: &str = "\
Examples:
  provision backup web1                       the backups that there are
  provision backup web1 now                   one more
  provision backup web1 restore latest        the newest one, brought back

It works with a stack that has a service of the image prodrigestivill/postgres-backup-local
and its Postgres as a service, as the playbook `prefect` has. The folder and the settings are
those of `up`.";

const CLOUD_INIT_EXAMPLES: &str = "\
Examples:
  provision cloud-init --playbook docker > user-data
  provision cloud-init > user-data               the stack in this folder, in the user-data
  provision cloud-init --stack-url https://files.example/stack.tgz --stack-out /tmp/stack.tgz > user-data

Give the file to your cloud as a new server's user-data. The folder and the settings are those of
`up`; provision.toml says where the released binary is fetched from: `url` in [release].";

const EXIT_CODES: &str = "\
Exit codes:
  0   done, or nothing to do
  1   a bug in provision
  2   the command line, provision.toml, a playbook or a Compose file is wrong
  3   refused: the machine or the plan is not fit; nothing was changed
  4   the host was not reached, or the connection to it was lost
  5   no root on the host: sudo refused or wanted a password
  6   a change failed; what was done stands, and `up` goes on from there
  7   somebody else's run holds the host
  8   detached: the run goes on by itself
  9   cancelled between two changes
  10  not confirmed: nobody said yes
  11  what is reached from here is not what was declared";

/// From a bare Ubuntu or Debian server to a running stack.
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
    /// What was typed; where that cannot be, it is told and the program ends.
    pub fn read() -> Self {
        Self::try_parse().unwrap_or_else(|error| familiar::explain(error).exit())
    }
}

/// What all commands share.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Print one JSON event a line on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Show more: the output of each change, and in a plan how each is undone
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub verbose: bool,
    /// Say only what needs attention
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Settings to read instead of provision.toml in this folder
    #[arg(long, global = true, value_name = "FILE", env = "PROVISION_CONFIG", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// ssh configuration to read instead of your own
    #[arg(short = 'F', long, global = true, value_name = "FILE", env = "PROVISION_SSH_CONFIG", value_hint = ValueHint::FilePath)]
    pub ssh_config: Option<PathBuf>,
    /// File whose first line is the password for sudo; without it PROVISION_SUDO_PASSWORD or one prompt
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sudo_password_file: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring hosts to what the playbook says: show the plan, ask, do it, prove it
    Up(Up),
    /// Show what `up` would do, and change nothing
    Plan(Plan),
    /// Check whether machines are fit for the playbook, and change nothing
    Check(Check),
    /// Print what is known of a host, as JSON
    Facts(Facts),
    /// Try from here which ports are reached, and hold that against what is declared
    Expose(Expose),
    /// Reach a page that listens on the host itself: an ssh tunnel, and its address here
    Open(Open),
    /// List the runs that a host remembers
    Runs(Runs),
    /// Show a run (what was done, its output, which files it kept) or a saved plan
    Show(Show),
    /// List the secrets that a host has, show one, or change it
    Secrets(Secrets),
    /// List the backups of a stack's database, take one now, or bring one back
    Backup(Backup),
    /// Show how a host stands: its first boot, and the run that goes on, which is followed, or the last
    Status(Status),
    /// Print user-data for cloud-init, so that a new server provisions itself at its first boot
    CloudInit(CloudInit),
    /// List the playbooks that ship
    Playbooks,
    /// Print the JSON schema of provision.toml, or of playbooks
    Schema(Schema),
    /// Print completions for a shell
    Completions(Completions),
    /// Write the man pages into a folder
    Man(Man),
}

/// Which hosts, and which playbook.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// user@host, ssh://user@host:port, a name from ~/.ssh/config, vagrant:NAME, or `local`; without any, the hosts in provision.toml
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub hosts: Vec<Destination>,
    /// A playbook that ships (see `provision playbooks`), or a path to one of your own
    #[arg(short, long, value_name = "NAME|PATH")]
    pub playbook: Option<String>,
    /// Go on past findings that may be forced, such as too little memory or disk
    #[arg(long)]
    pub force: bool,
}

/// `provision up`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct Up {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Do not ask; say yes
    #[arg(short, long)]
    pub yes: bool,
    /// Ask for newer images for all tags in use
    #[arg(long)]
    pub pull: bool,
    /// Apply only this plan, saved by `provision plan --out`; refused when the host has changed since
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plan: Option<PathBuf>,
}

/// `provision plan`
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Ask for newer images for all tags in use, as `up --pull` does
    #[arg(long)]
    pub pull: bool,
    /// Exit with 2 if there is something to change, and with 0 if not
    #[arg(long)]
    pub exit_code: bool,
    /// Print it as Markdown, for a review
    #[arg(long)]
    pub markdown: bool,
    /// Save it for `provision up --plan` and `provision show`: what is printed here, and no secrets
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,
    /// Plan from facts that `provision facts HOST --raw` printed, without a connection; HOST is only a name then
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
    /// Print the probe's own lines, as the host sent them
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
    /// The run's id, as `provision up` and `provision runs` print it, or a plan that `provision plan --out` saved
    #[arg(value_name = "RUN|FILE", value_hint = ValueHint::FilePath)]
    pub run: String,
    /// Print a saved plan as Markdown, for a review
    #[arg(long)]
    pub markdown: bool,
    /// The host, for a run that was not started from here, or of several in a saved plan
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
    /// A playbook that ships (see `provision playbooks`), or a path to one of your own
    #[arg(short, long, value_name = "NAME|PATH")]
    pub playbook: Option<String>,
    /// The form
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Let the server fetch the stack's folder from there, instead of holding it in the user-data
    #[arg(long, value_name = "ADDRESS", value_hint = ValueHint::Url)]
    pub stack_url: Option<String>,
    /// Write the archive that has to be there
    #[arg(long, value_name = "FILE", requires = "stack_url", value_hint = ValueHint::FilePath)]
    pub stack_out: Option<PathBuf>,
    /// Go on although something looks like a secret
    #[arg(long)]
    pub force: bool,
}

/// `provision open`
#[derive(Debug, Args)]
pub struct Open {
    /// The host
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Destination,
    /// The Compose service, or the port on the host
    #[arg(value_name = "SERVICE|PORT")]
    pub service: String,
    /// The port here; the one on the host, or a free one, unless told
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<u16>,
}

/// `provision secrets`
#[derive(Debug, Args)]
pub struct Secrets {
    /// The host
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Destination,
    /// What to do; `list` unless told
    #[command(subcommand)]
    pub verb: Option<SecretsVerb>,
    /// Only those of this stack; a change goes by the playbook
    #[arg(long, value_name = "NAME", global = true)]
    pub stack: Option<String>,
}

/// What to do with a host's secrets.
#[derive(Debug, Subcommand)]
pub enum SecretsVerb {
    /// Their stacks and names, and nothing of what is in them
    List,
    /// The value of one, alone on stdout
    Show {
        /// The secret's name
        name: String,
    },
    /// Let the host make another value, and bring it to all that use the former one
    Rotate(Renew),
    /// Give a value, at a prompt or on stdin, and bring it to all that use the former one
    Set(Renew),
}

/// Another value for a secret, by a run like that of `up`.
#[derive(Debug, Clone, Args)]
pub struct Renew {
    /// The secret's name
    pub name: String,
    /// A playbook that ships (see `provision playbooks`), or a path to one of your own
    #[arg(short, long, value_name = "NAME|PATH")]
    pub playbook: Option<String>,
    /// Go on past findings that may be forced, such as too little memory or disk
    #[arg(long)]
    pub force: bool,
    /// Do not ask; say yes
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
    /// What to do; `list` unless told
    #[command(subcommand)]
    pub verb: Option<BackupVerb>,
    /// A playbook that ships (see `provision playbooks`), or a path to one of your own
    #[arg(short, long, value_name = "NAME|PATH", global = true)]
    pub playbook: Option<String>,
}

/// What to do with a stack's backups.
#[derive(Debug, Subcommand)]
pub enum BackupVerb {
    /// Those that there are, the newest first, and whether each is whole
    List,
    /// Take one
    Now {
        /// Do not ask; say yes
        #[arg(short, long)]
        yes: bool,
    },
    /// Bring one back: into a new database, which takes the place of the present one when all is well
    Restore {
        /// A name that `list` shows, its end if that is enough, or `latest`
        #[arg(value_name = "FILE")]
        file: String,
        /// Do not ask; say yes
        #[arg(short, long)]
        yes: bool,
        /// Go on although the disk seems too small, and past what `up --force` goes past
        #[arg(long)]
        force: bool,
    },
}

/// `provision schema`
#[derive(Debug, Args)]
pub struct Schema {
    /// The schema of playbooks instead
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
    /// The folder; it is made if it is not there
    #[arg(value_hint = ValueHint::DirPath)]
    pub folder: PathBuf,
}
