//! What dies comes back by itself: each container, Docker, the host. What was down how
//! long is measured from outside, and stands as a table in docs/prefect.md.

mod outside;

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use super::super::Story;
use super::super::lab::{Folder, Host, PREFECT_SETTINGS, eventually};
use super::{on_a_stack, password};
use outside::{Api, Watch};

pub const STORIES: &[Story] = &[("prefect::recovery_of_each", || {
    on_a_stack(PREFECT_SETTINGS, |host, folder| recovers(host, folder, &[]))
})];

/// Longer than this nothing may take, whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(600);

/// Without these there is no page, or nothing can be written; all others may die unnoticed.
const NEEDED: [&str; 3] = ["nginx", "postgres", "redis"];

/// Those, and one of each kind that may: what does the work, what is looked at, what looks.
pub const ESSENTIAL: [&str; 6] =
    ["nginx", "postgres", "redis", "prefect-background", "pgadmin", "prometheus"];

/// One container of the stack.
struct Container {
    name: String,
    service: String,
}

/// Kills a container of each of these services in turn, or of each there is, and restarts Docker: `host` has
/// the stack, and has it again at the end, with nothing to change. Where all are killed, the host is
/// rebooted as well; others have just been switched on.
pub fn recovers(host: &Host, folder: &Folder, services: &[&str]) -> Result<(), Failed> {
    let api = Api::of(host, &password(host, folder))?;
    let containers = containers(host);
    assert!(containers.len() > 14, "{} containers", containers.len());
    let mut table =
        String::from("| What dies | well again | page down | writing down |\n| --- | --- | --- | --- |\n");
    all_well(host, containers.len(), Instant::now())?;

    let mut seen = Vec::new();
    for container in &containers {
        // One of the replicas; under a load it is killed below.
        let is_wanted = services.is_empty() || services.contains(&container.service.as_str());
        if !is_wanted || seen.contains(&&container.service) {
            continue;
        }
        seen.push(&container.service);
        let watch = Watch::start(&api);
        let took = kill(host, container)?;
        all_well(host, containers.len(), Instant::now())?;
        let down = watch.end();
        row(&mut table, &format!("`{}`", container.service), took, down);
        if !NEEDED.contains(&container.service.as_str()) {
            assert_eq!(down, (Duration::ZERO, Duration::ZERO), "{} was missed\n{table}", container.service);
        }
    }

    assert!(services.iter().all(|name| seen.iter().any(|each| each == name)), "{seen:?}");

    // One of them: another one is no other. All of them in the long table.
    let replicas: Vec<_> = containers.iter().filter(|each| each.service == "prefect-api").collect();
    assert!(replicas.len() > 1, "one replica alone");
    let wanted = if services.is_empty() { replicas.len() } else { 1 };
    replicas.into_iter().take(wanted).try_for_each(|replica| a_replica_under_load(host, &api, replica))?;

    let watch = Watch::start(&api);
    let began = Instant::now();
    host.inside("systemctl restart docker");
    let took = all_well(host, containers.len(), began)?;
    row(&mut table, "`systemctl restart docker`", took, watch.end());

    if services.is_empty() {
        let watch = Watch::start(&api);
        let began = Instant::now();
        host.lab("reboot");
        let took = all_well(host, containers.len(), began)?;
        row(&mut table, "the host (reboot)", took, watch.end());

        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("artefacts");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("prefect-recovery.md"), &table)?;
    }
    eprintln!("what dies comes back:\n{table}");

    api.tidy()?;
    host.inside("cd /srv/prefect && docker compose --profile selftest run --rm -T selftest");
    folder.provision(&["up", "--playbook", "prefect", &host.name]).expect(0).said(&["nothing to change"]);
    Ok(())
}

fn row(table: &mut String, what: &str, took: Duration, (page, writing): (Duration, Duration)) {
    let seconds = |time: Duration| match time.as_secs_f64() {
        0.0 => "–".to_owned(),
        seconds => format!("{seconds:.0} s"),
    };
    let line = format!("| {what} | {:.0} s | {} | {} |", took.as_secs_f64(), seconds(page), seconds(writing));
    eprintln!("{line}");
    let _ = writeln!(table, "{line}");
}

fn containers(host: &Host) -> Vec<Container> {
    let listed = host.inside(
        "docker ps --filter label=com.docker.compose.project=prefect \
         --format '{{.Names}} {{.Label \"com.docker.compose.service\"}}' | sort",
    );
    let named = |line: &str| {
        let (name, service) = line.split_once(' ')?;
        Some(Container { name: name.to_owned(), service: service.to_owned() })
    };
    listed.lines().filter_map(named).collect()
}

/// Kills a container's first process behind Docker's back, since it brings back nothing
/// that `docker kill` has stopped; how long it then takes to be well again.
fn kill(host: &Host, container: &Container) -> Result<Duration, Failed> {
    let look = format!(
        "docker inspect -f '{{{{.State.Pid}}}} {{{{.State.Running}}}} {{{{with .State.Health}}}}{{{{.Status}}}}{{{{end}}}}' {}",
        container.name
    );
    let before = host.inside(&look);
    let pid = before.split(' ').next().unwrap_or_default();
    host.inside(&format!("kill -9 {pid}"));
    let began = Instant::now();
    let mut well: Option<(String, Duration)> = None;
    loop {
        let now = host.inside(&look);
        let words: Vec<&str> = now.split_whitespace().collect();
        let new = match words[..] {
            [new, "true"] | [new, "true", "healthy"] if new != pid && new != "0" => Some(new.to_owned()),
            _ => None,
        };
        // What dies again soon was not well.
        well = match (new, well) {
            (Some(new), Some((first, since))) if new == first => {
                if began.elapsed() > since + Duration::from_secs(4) {
                    return Ok(since);
                }
                Some((first, since))
            }
            (new, _) => new.map(|new| (new, began.elapsed())),
        };
        if began.elapsed() > PATIENCE {
            return Err(format!("{} does not come back: {now}", container.name).into());
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Waits until every container runs and is well; how long that was since `began`.
fn all_well(host: &Host, count: usize, began: Instant) -> Result<Duration, Failed> {
    loop {
        // Docker itself may not answer yet.
        let listed = host.inside(
            "docker ps --filter label=com.docker.compose.project=prefect --format '{{.Names}} {{.Status}}' || true",
        );
        let well =
            |line: &&str| line.contains(" Up ") && !line.contains("starting") && !line.contains("unhealthy");
        if listed.lines().filter(well).count() == count {
            return Ok(began.elapsed());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("not all of it is well:\n{listed}").into());
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// How many answers nginx has lost between their header and their end.
fn cut_answers(host: &Host) -> usize {
    let counted = "docker logs prefect-nginx-1 2>&1 | grep -c 'prematurely closed connection while reading upstream' || true";
    host.inside(counted).trim().parse().unwrap_or_default()
}

/// One of several replicas dies while requests come in: nobody who asks notices, but for who has
/// half an answer already, which no proxy can take back.
fn a_replica_under_load(host: &Host, api: &Api, replica: &Container) -> Result<(), Failed> {
    let cut_before = cut_answers(host);
    let (answered, lost) = std::thread::scope(|scope| -> Result<_, Failed> {
        let load = api.load(scope, 4);
        eventually("requests are answered", || load.answered() > 25);
        kill(host, replica)?;
        Ok(load.end())
    })?;
    eprintln!("{} died under load: {answered} requests answered, lost: {lost:?}", replica.name);
    assert!(answered > 50, "only {answered} requests, which proves little");
    let cut = cut_answers(host) - cut_before;
    assert!(lost.len() <= cut, "{lost:?}, and nginx knows of {cut} answers that were cut");
    Ok(())
}
