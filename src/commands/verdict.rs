//! What the host's own Compose says of a changed project, asked before anything is changed.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use semver::Version;
use tar::{Builder, Header};

use super::failure;
use crate::facts::Facts;
use crate::plan::Plan;
use crate::report::Failure;
use crate::run::Link;
use crate::script::squeeze;
use crate::stack::bundle::BundleFile;
use crate::stack::compose::{Environment, with_place};
use crate::steps::{Refusal, StackInput};
use crate::text::harmless;

const CHECK: &str = include_str!("../../scripts/compose-check.sh");

/// Values of variables that are at least this long are hidden: shorter ones are parts of any sentence.
const SHORTEST_SECRET: usize = 6;

/// What Compose says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ProjectVerdict {
    Accepted,
    /// Its lines.
    Refused(Vec<String>),
    /// Why it says nothing.
    Unknown(String),
}

/// The version of the Compose that is to be asked: the plan changes files that it reads, and it is the
/// one that will read them.
pub(super) fn is_due<'f>(
    plan: &Plan,
    facts: &'f Facts,
    stack: &StackInput,
    folder: &str,
) -> Option<&'f Version> {
    let replaces_compose = ["docker/engine", "docker/parts"];
    if plan.changes().any(|change| replaces_compose.contains(&change.id.as_str())) {
        return None;
    }
    let bundle = plan.changes().find(|change| change.id == "stack/bundle")?;
    let reads = |path: &str| {
        let path = path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
        path.is_some_and(|path| stack.project.read_files.iter().any(|file| file == path))
    };
    // A file that is gone may be one that it read: an override, say.
    let is_due = bundle.files.iter().any(|file| file.content.is_none() || reads(&file.path));
    is_due.then(|| facts.compose()).flatten()
}

/// One exec: the files that Compose reads go out, its word comes back.
pub(super) async fn ask(link: &Link, stack: &StackInput) -> Result<ProjectVerdict, Failure> {
    let program = match program(stack) {
        Ok(program) => program,
        Err(error) => return Ok(ProjectVerdict::Unknown(error.to_string())),
    };
    let mut lines = Vec::new();
    let host = link.host().map_err(failure::from_host)?;
    host.question("what its Compose says of the project", &program, link.passwords(), &mut |line| {
        lines.push(line.to_owned());
    })
    .await
    .map_err(failure::from_host)?;
    Ok(verdict(&lines, stack))
}

fn program(stack: &StackInput) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for file in read_files(stack) {
        let mut header = Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, &file.path, file.content.as_slice())?;
    }
    let payload = archive.into_inner()?.finish()?;
    let mut program = squeeze(CHECK).into_bytes();
    let parameters = format!("name {}\npayload {}\n", stack.project.name, payload.len());
    program.extend_from_slice(parameters.as_bytes());
    program.extend_from_slice(&payload);
    Ok(program)
}

fn read_files(stack: &StackInput) -> impl Iterator<Item = &BundleFile> {
    stack.bundle.files.iter().filter(|file| stack.project.read_files.contains(&file.path))
}

fn verdict(lines: &[String], stack: &StackInput) -> ProjectVerdict {
    let place = lines.iter().find_map(|line| line.strip_prefix("place ")).unwrap_or_default();
    let is_warning = |line: &&str| line.contains("level=warning") || line.contains("level=debug");
    let said = lines.iter().filter_map(|line| line.strip_prefix("said ")).filter(|line| !line.is_empty());
    let said = said.filter(|line| !is_warning(line)).map(|line| own_names(line, place));
    match lines.iter().rev().map(String::as_str).find(|line| !line.is_empty()) {
        Some("accepted") => ProjectVerdict::Accepted,
        Some("refused") => {
            let said: Vec<String> = said.collect();
            match said.iter().any(|line| is_about_the_host(line, stack)) {
                true => ProjectVerdict::Accepted,
                false => ProjectVerdict::Refused(said),
            }
        }
        Some(line) => ProjectVerdict::Unknown(harmless(line.trim_start_matches("unknown ")).into_owned()),
        None => ProjectVerdict::Unknown("it did not answer".into()),
    }
}

/// Without the folder in which the files lay while Compose read them.
fn own_names(line: &str, place: &str) -> String {
    match place {
        "" => line.to_owned(),
        place => line.replace(&format!("{place}/"), "").replace(place, "the stack's folder"),
    }
}

/// Whether a file is missing that is the host's own: the run may be what makes it, and all others were
/// asked for already.
fn is_about_the_host(line: &str, stack: &StackInput) -> bool {
    let mut files = stack.project.services.iter().flat_map(|service| &service.env_files);
    let is_missing = line.contains("not found") || line.contains("no such file");
    is_missing && files.any(|file| file.path.starts_with('/') && line.contains(&file.path))
}

/// The refusal of a plan whose project Compose does not take.
pub(super) fn refusal(version: &Version, said: &[String], stack: &StackInput) -> Refusal {
    let files: Vec<(&str, &str)> = stack
        .project
        .files
        .iter()
        .filter_map(|name| stack.bundle.file(name))
        .filter_map(|file| Some((file.path.as_str(), std::str::from_utf8(&file.content).ok()?)))
        .collect();
    Refusal {
        step: "stack",
        what: format!("Compose {version} on the host does not accept the project; nothing was changed"),
        details: said.iter().map(|line| without_values(with_place(line, &files), stack)).collect(),
        hints: vec![
            "correct it there and run provision again; the line is from `docker compose config` on the host"
                .into(),
            "if a newer Compose accepts it, update Compose on the host first".into(),
        ],
        findings: Vec::new(),
    }
}

/// With the names of variables in place of what `.env` and the like set them to.
fn without_values(mut line: String, stack: &StackInput) -> String {
    for file in read_files(stack).filter(|file| file.sensitive || file.path.ends_with(".env")) {
        let text = String::from_utf8_lossy(&file.content);
        let Ok(variables) = Environment::parse(&text, &file.path) else { continue };
        for (name, value) in variables.entries() {
            if value.len() >= SHORTEST_SECRET && !name.starts_with("COMPOSE_") {
                line = line.replace(value, &format!("${{{name}}}"));
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::facts;
    use crate::plan::{Action, Change, FileChange, PlannedStep};
    use crate::stack::bundle::{Bundle, Choice};
    use crate::stack::compose::Project;

    const COMPOSE: &str = "services:\n  web:\n    image: w\n    restart: ${RESTART:-no}\n    env_file: [web.env, \
                           /etc/provision/secrets/shop/web.env]\n    secrets: [key]\nsecrets:\n  key: {file: key}\n";

    fn stack(files: &[(&str, &str)]) -> StackInput {
        let folder = tempfile::TempDir::new().expect("a folder");
        for (path, text) in files {
            fs::write(folder.path().join(path), text).expect("a file");
        }
        let project = Project::load(folder.path(), Some("shop")).expect("a project");
        let (ignore, include) = (Vec::new(), Vec::new());
        let choice = Choice { ignore: &ignore, include: &include, project: Some(&project), git: false };
        let bundle = Bundle::collect(folder.path(), &choice).expect("a bundle");
        StackInput { project, bundle, origin: "here".into() }
    }

    fn shop() -> StackInput {
        stack(&[
            ("compose.yaml", COMPOSE),
            (".env", "PASSWORD=correct-horse\nRESTART=no\n"),
            ("web.env", "TOKEN=battery-staple\n"),
            ("key", "secret"),
            ("index.html", "<p>"),
        ])
    }

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    /// No secret travels that Compose does not read.
    #[test]
    fn only_what_compose_reads_goes_out() {
        let stack = shop();
        let program = program(&stack).expect("a program");
        let mark = b"\npayload ";
        let at = program.windows(mark.len()).rposition(|part| part == mark).expect("a payload") + mark.len();
        let end = at + program[at..].iter().position(|byte| *byte == b'\n').expect("its length") + 1;
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&program[end..]));
        let names: BTreeSet<_> = archive
            .entries()
            .expect("entries")
            .map(|entry| entry.expect("an entry").path().expect("a path").display().to_string())
            .collect();
        assert_eq!(names.into_iter().collect::<Vec<_>>(), [".env", "compose.yaml", "web.env"]);
        let length: usize = String::from_utf8_lossy(&program[at..end - 1]).parse().expect("a number");
        assert_eq!(program.len() - end, length);
    }

    /// A plan that sends and removes these files of the stack.
    fn plan(sent: &[&str], removed: &[&str], also: &[&str]) -> Plan {
        let file = |path: &&str, content: Option<Vec<u8>>| FileChange {
            path: format!("/srv/shop/{path}"),
            mode: 0o644,
            owner: "root:root".into(),
            sha256: None,
            before: None,
            content,
            sensitive: false,
            exists: false,
            recorded: None,
        };
        let sent = sent.iter().map(|path| file(path, Some(Vec::new())));
        let change = |id: &str, files| Change {
            id: id.into(),
            title: String::new(),
            reason: String::new(),
            risks: Vec::new(),
            files,
            undo: None,
            action: Action::new("stack", "bundle"),
        };
        let mut changes: Vec<_> = also.iter().map(|id| change(id, Vec::new())).collect();
        let files: Vec<_> = sent.chain(removed.iter().map(|path| file(path, None))).collect();
        if !files.is_empty() {
            changes.push(change("stack/bundle", files));
        }
        let step = PlannedStep {
            step: "stack",
            state: String::new(),
            changes,
            warnings: Vec::new(),
            withheld: Vec::new(),
            lasting: Vec::new(),
            findings: Vec::new(),
        };
        Plan {
            host: "h".into(),
            playbook: "p".into(),
            steps: vec![step],
            stack: String::new(),
            fingerprint: String::new(),
        }
    }

    /// It costs nothing where nothing changed that Compose reads.
    #[test]
    fn compose_is_asked_where_its_files_change() {
        let stack = shop();
        let version = Version::new(2, 26, 1);
        let docker = facts::Docker { compose: Some(version.clone()), ..facts::Docker::default() };
        let with = Facts { docker: Some(docker), ..Facts::default() };
        for (plan, asked) in [
            (plan(&["compose.yaml"], &[], &[]), true),
            (plan(&["web.env"], &[], &["stack/up"]), true),
            (plan(&[".env"], &[], &["docker/daemon"]), true),
            (plan(&[], &["compose.override.yaml"], &[]), true),
            (plan(&["index.html", "key"], &[], &["stack/up"]), false),
            (plan(&[], &[], &["stack/up"]), false),
            (plan(&["compose.yaml"], &[], &["docker/engine"]), false),
            (plan(&["compose.yaml"], &[], &["docker/parts"]), false),
        ] {
            let due = |facts| is_due(&plan, facts, &stack, "/srv/shop").cloned();
            assert_eq!(due(&with), asked.then(|| version.clone()), "{plan:?}");
            assert_eq!(due(&Facts::default()), None, "there is no Compose");
        }
    }

    #[test]
    fn verdicts() {
        let stack = shop();
        let refused = |text: &str| ProjectVerdict::Refused(lines(text));
        for (answer, expected) in [
            ("place /run/x/project\nsaid \n\naccepted\n", ProjectVerdict::Accepted),
            (
                "place /run/x/project\nsaid time=\"1\" level=warning msg=\"/run/x/project/compose.yaml: old\"\n\
                 said validating /run/x/project/compose.yaml: services.web is wrong\n\nrefused\n",
                refused("validating compose.yaml: services.web is wrong"),
            ),
            (
                "place /run/x/project\nsaid /run/x/project is empty\nrefused\n",
                refused("the stack's folder is empty"),
            ),
            // Made by the run that follows.
            (
                "place /run/x\nsaid env file /etc/provision/secrets/shop/web.env not found: stat\n\nrefused\n",
                ProjectVerdict::Accepted,
            ),
            (
                "place /run/x\nsaid env file /run/x/web.env not found: stat\nrefused",
                refused("env file web.env not found: stat"),
            ),
            ("unknown there is no room", ProjectVerdict::Unknown("there is no room".into())),
            ("", ProjectVerdict::Unknown("it did not answer".into())),
        ] {
            assert_eq!(verdict(&lines(answer), &stack), expected, "{answer}");
        }
    }

    #[test]
    fn a_refusal_names_the_line_and_no_value() {
        let version = Version::new(2, 26, 1);
        let said = lines(
            "validating compose.yaml: services.web.restart is wrong\nservices.web: correct-horse, battery-staple and no",
        );
        let refusal = refusal(&version, &said, &shop());
        assert_eq!(
            refusal.what,
            "Compose 2.26.1 on the host does not accept the project; nothing was changed"
        );
        assert_eq!(
            refusal.details,
            [
                "compose.yaml:4: services.web.restart is wrong",
                "compose.yaml:2: services.web: ${PASSWORD}, ${TOKEN} and no"
            ]
        );
    }
}
