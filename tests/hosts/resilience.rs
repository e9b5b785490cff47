//! What breaks in the middle: the laptop, the connection, the runner, the host.
//! Whatever it is, `up` ends where an undisturbed one does, and does nothing twice.

mod attend;
mod broken;
mod interrupt;

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Story;
use super::lab::{Did, Folder, Host, eventually};

pub fn stories() -> Vec<Story> {
    [attend::STORIES, broken::STORIES, interrupt::STORIES].concat()
}

/// A stack whose one-shot counts how often it ran, behind changes of all kinds.
fn stack() -> Folder {
    let folder = Folder::with_stack();
    folder.settings("[steps.packages]\ninstall = [\"tree\"]\n");
    let compose = folder.path().join("compose.yaml");
    let text = std::fs::read_to_string(&compose).expect("compose.yaml");
    let counting = text
        .replace("echo prepared: $$GREETING", "echo once >>/counted/runs; sleep 2")
        .replace("\n  prepare:\n", "\n  prepare:\n    volumes: [\"counted:/counted\"]\n");
    assert_ne!(counting, text);
    folder.write("compose.yaml", &format!("{counting}\nvolumes:\n  counted: {{}}\n"));
    folder
}

/// What an undisturbed run makes of a host, which changes it takes, and how long.
struct Reference {
    state: String,
    changes: Vec<String>,
    took: Duration,
}

fn reference() -> &'static Reference {
    static REFERENCE: OnceLock<Reference> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let host = fresh();
        let started = Instant::now();
        stack().provision(&["up", "--yes", &host.name]).expect(0);
        Reference { took: started.elapsed(), state: host.state(), changes: host.applied() }
    })
}

fn fresh() -> Host {
    Host::make("debian13-docker")
}

/// As `up` leaves it at last: nothing to change, the undisturbed run's state, each change
/// made once, nothing left lying about.
#[track_caller]
fn is_as_undisturbed(host: &Host) {
    stack().provision(&["up", &host.name]).expect(0).said(&["nothing to change"]);
    let reference = reference();
    let mut made = host.made();
    made.retain(|change| change != "packages/repair");
    assert_eq!(made, reference.changes, "what was made, over all runs");
    eventually("what listened on the host has gone", || {
        host.inside("ls -A /dev/shm /run/provision").trim() == "/dev/shm:\n\n/run/provision:"
    });
    let state = host.state();
    assert!(state == reference.state, "{}", difference(&reference.state, &state));
}

fn difference(expected: &str, found: &str) -> String {
    let only = |one: &str, other: &str, sign| {
        let lines = one.lines().filter(|line| !other.lines().any(|each| each == *line));
        lines.map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    only(expected, found, '-') + &only(found, expected, '+')
}

impl Host {
    fn state(&self) -> String {
        self.inside(
            r"set -e
            dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n'
            cat /etc/docker/daemon.json; id -nG deploy
            cd /srv/three; find . -type f -exec stat -c '%n %a %U:%G' {} + | sort; find . -type f -exec sha256sum {} + | sort
            find /srv /etc -name '*.provision-new'
            cd /var/lib/provision; find . -not -path './runs/*/*' -not -path './runs/?*' | sort; find runs -name changes -o -name room
            cat stacks/three/applied stacks/three/manifest
            docker ps -a --format '{{.Names}} {{.Image}} {{.State}}' | sort
            echo the one-shot ran $(wc -l </var/lib/docker/volumes/three_counted/_data/runs) times",
        )
    }

    /// The changes that were applied, over all runs and in order.
    fn applied(&self) -> Vec<String> {
        let journals = self.inside("grep -h ' change applied ' /var/lib/provision/runs/*/journal || true");
        journals.lines().filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
    }

    /// The changes that were made, over all runs and in order: those that were applied, and
    /// what a runner was killed in after it was done but before the journal could say so.
    fn made(&self) -> Vec<String> {
        let applied = self.applied();
        let journals = self.inside("for each in /var/lib/provision/runs/*/journal; do cat $each; echo; done");
        let mut made = Vec::new();
        let mut under_way = None;
        for line in journals.lines() {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                [_, "change", "start", _, change] => under_way = Some(change),
                [_, "change", "applied", _, change] => {
                    under_way = None;
                    made.push(change.to_owned());
                }
                [_, "change", "already-so" | "failed", ..] => under_way = None,
                // A journal has ended.
                [""] => made
                    .extend(under_way.take().map(str::to_owned).filter(|change| !applied.contains(change))),
                _ => {}
            }
        }
        made
    }

    /// Waits until the run has come to this.
    #[track_caller]
    fn comes_to(&self, record: &str) {
        eventually(&format!("the run comes to `{record}`"), || {
            self.inside("cat /var/lib/provision/runs/*/journal 2>/dev/null || true").contains(record)
        });
    }

    /// The run that is going on, or was the last.
    fn run(&self) -> String {
        self.inside("basename \"$(ls -1d /var/lib/provision/runs/*/ | tail -n 1)\"").trim().to_owned()
    }
}

/// Random numbers, the same again with the same PROVISION_TEST_SEED.
struct Chance(u64);

impl Chance {
    /// Different for each story, also under one seed.
    fn new(story: &str) -> Self {
        static SEED: OnceLock<u64> = OnceLock::new();
        let seed = *SEED.get_or_init(|| {
            let told = std::env::var("PROVISION_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
            told.unwrap_or_else(|| {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                now.as_millis() as u64 % 1_000_000
            })
        });
        let own = story.bytes().fold(seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        eprintln!("{story}: PROVISION_TEST_SEED={seed}");
        Self(own)
    }

    /// A moment of an undisturbed run.
    fn moment(&mut self) -> Duration {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let part = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        let moment = reference().took.mul_f64(0.95 * part);
        eprintln!("  … at {:.2} s of {:.2} s", moment.as_secs_f64(), reference().took.as_secs_f64());
        moment
    }
}

/// Sends a signal to a process, or with a minus to its group. With the shell's own `kill`: a bare
/// machine has no program of that name.
pub fn signal(name: &str, target: &str) {
    let command = ["-c", "kill -s \"$1\" -- \"$2\"", "kill", name, target];
    let sent = Command::new("sh").args(command).stderr(Stdio::null()).status();
    assert!(sent.is_ok(), "kill");
}

fn wait(child: Child) -> Did {
    let did = Did::from(child.wait_with_output().expect("provision"));
    if std::env::var_os("PROVISION_TALK").is_some() {
        eprintln!("{}{}[{}]\n", did.stdout, did.stderr, did.code);
    }
    did
}

/// provision in a group of processes of its own, and what it has said so far.
struct Talking {
    child: Child,
    said: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
}

impl Talking {
    fn up(folder: &Folder, host: &Host) -> Self {
        let mut command = folder.command(&["up", "--yes", &host.name]);
        let mut child = command.process_group(0).spawn().expect("provision");
        let lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        let said = Arc::<Mutex<String>>::default();
        let heard = Arc::clone(&said);
        let reading = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *heard.lock().unwrap_or_else(PoisonError::into_inner) += &(line + "\n");
            }
        });
        Self { child, said, reading }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the person has read this.
    #[track_caller]
    fn says(&self, text: &str) {
        eventually(&format!("it says `{text}`"), || self.said().contains(text));
    }

    fn ctrl_c(&self) {
        signal("INT", &format!("-{}", self.child.id()));
    }

    fn end(self) -> Did {
        let mut did = wait(self.child);
        self.reading.join().expect("what it says");
        did.stderr = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        did
    }
}
