//! Options on the command line of Docker's service: what daemon.json says as well keeps dockerd
//! from starting (`the following directives are specified both as a flag and in the configuration file`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::STEP;
use super::daemon::PATH;
use crate::facts::ServiceLine;
use crate::steps::{Model, Refusal};

/// The unit that both Docker's own packages and the distributions' bring.
const PACKAGED: (&str, &str) = ("/lib/systemd/system/docker.service", "ExecStart=/usr/bin/dockerd -H fd://");

/// Flags that are not called as their settings are:
/// <https://docs.docker.com/reference/cli/dockerd/>.
const NAMES: [(&str, &str); 13] = [
    ("-D", "debug"),
    ("-G", "group"),
    ("-H", "hosts"),
    ("-b", "bridge"),
    ("-g", "data-root"),
    ("-l", "log-level"),
    ("-p", "pidfile"),
    ("-s", "storage-driver"),
    ("--graph", "data-root"),
    ("--add-runtime", "runtimes"),
    ("--dns-option", "dns-opts"),
    ("--insecure-registry", "insecure-registries"),
    ("--host", "hosts"),
];

/// An option as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flag {
    /// Such as `--log-driver` or `-H`.
    pub written: String,
    /// The file that says it.
    pub file: String,
}

/// What is said there, by the names of daemon.json's settings.
pub(super) type Flags = BTreeMap<String, Flag>;

/// The options with which the service is started now; with `fresh`, after packages have brought it.
pub(super) fn flags(lines: &[ServiceLine], fresh: bool) -> Flags {
    let mut units = ordered(lines);
    if fresh && !units.iter().any(|line| is_unit(&line.file)) {
        let (file, line) = PACKAGED;
        units.insert(0, ServiceLine { file: file.into(), line: line.into() });
    }
    let mut starts: Vec<(&str, String)> = Vec::new();
    let mut variables: Vec<(String, &str, String)> = Vec::new();
    for ServiceLine { file, line } in &units {
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        match key {
            // A blank one takes those before it back.
            "ExecStart" if value.is_empty() => starts.clear(),
            "ExecStart" => starts.push((file, value.to_owned())),
            "EnvironmentFile" => {}
            "Environment" => {
                let assigned = words(value);
                let pairs = assigned.iter().filter_map(|word| word.split_once('='));
                variables
                    .extend(pairs.map(|(name, value)| (name.to_owned(), file.as_str(), value.to_owned())));
            }
            // A line of an environment file.
            name => variables.push((name.to_owned(), file, words(value).join(" "))),
        }
    }
    let mut flags = Flags::new();
    for (file, start) in &starts {
        for word in words(start) {
            let variable = word.strip_prefix('$').map(|name| name.trim_matches(['{', '}']).to_owned());
            let Some(name) = variable else {
                note(&mut flags, &word, file);
                continue;
            };
            // The last assignment counts.
            if let Some((_, file, value)) = variables.iter().rev().find(|(known, _, _)| *known == name) {
                words(value).iter().for_each(|word| note(&mut flags, word, file));
            }
        }
    }
    flags
}

fn is_unit(file: &str) -> bool {
    file.ends_with("/docker.service")
}

/// As systemd reads them: the unit, then its drop-ins by their names, of which /etc's goes before
/// the others of that name.
fn ordered(lines: &[ServiceLine]) -> Vec<ServiceLine> {
    let name = |file: &str| file.rsplit('/').next().unwrap_or_default().to_owned();
    let is_drop_in = |file: &str| file.contains("/docker.service.d/");
    let rank = |file: &str| match () {
        () if file.starts_with("/etc/") => 0,
        () if file.starts_with("/run/") => 1,
        () => 2,
    };
    let hidden = |file: &str| {
        is_drop_in(file)
            && lines.iter().any(|other| {
                is_drop_in(&other.file) && name(&other.file) == name(file) && rank(&other.file) < rank(file)
            })
    };
    let mut kept: Vec<_> = lines.iter().filter(|line| !hidden(&line.file)).cloned().collect();
    kept.sort_by_key(|line| match is_drop_in(&line.file) {
        true => (1, name(&line.file)),
        // What belongs to the unit, its environment files among it.
        false => (0, String::new()),
    });
    kept
}

/// The words of a line, without their quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut open) = (String::new(), None, false);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(mark)) if c == mark => quote = None,
            (c, Some(_)) => word.push(c),
            ('"' | '\'', None) => (quote, open) = (Some(c), true),
            (c, None) if c.is_whitespace() => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            (c, None) => word.push(c),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}

fn note(flags: &mut Flags, word: &str, file: &str) {
    let written = match word.strip_prefix("--") {
        Some(long) => format!("--{}", long.split('=').next().unwrap_or_default()),
        // A short flag may be followed directly by its value: -Hfd://.
        None if word.starts_with('-') => word.chars().take(2).collect(),
        None => return,
    };
    let known = NAMES.iter().find(|(flag, _)| *flag == written).map(|(_, setting)| (*setting).to_owned());
    let Some(setting) = known.or_else(|| written.strip_prefix("--").map(str::to_owned)) else { return };
    flags.entry(setting).or_insert(Flag { written, file: file.to_owned() });
}

/// The option that stands for a setting, if there is one: settings that are lists are called in the plural.
pub(super) fn flag<'f>(flags: &'f Flags, setting: &str) -> Option<&'f Flag> {
    let singular = setting.strip_suffix("ies").map(|stem| format!("{stem}y"));
    flags
        .get(setting)
        .or_else(|| flags.get(setting.strip_suffix('s')?))
        .or_else(|| flags.get(singular.as_deref()?))
}

/// Settings of a daemon.json that the command line has as well, each with its option.
pub(super) fn conflicts<'f>(wanted: &Map<String, Value>, flags: &'f Flags) -> Vec<(String, &'f Flag)> {
    let inner = wanted.get("proxies").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let settings = wanted.keys().chain(inner);
    settings.filter_map(|setting| Some((setting.clone(), flag(flags, setting)?))).collect()
}

/// The refusal to start or restart a daemon that would not start; or, where it is left alone, what a
/// person should know.
pub(super) fn check(
    wanted: &Map<String, Value>,
    present: &Map<String, Value>,
    model: &Model,
    starts: bool,
) -> Result<Option<String>, Refusal> {
    let fresh = model.docker_planned || model.facts.docker.is_none();
    let flags = flags(&model.facts.docker_service, fresh);
    let found = conflicts(wanted, &flags);
    let Some((setting, first)) = found.first() else { return Ok(None) };
    let both = |(setting, flag): &(String, &Flag)| {
        format!("{}: {}; daemon.json: {setting}", flag.file, flag.written)
    };
    if !starts {
        return Ok(Some(format!(
            "Docker will not start again: {} is in {} and `{setting}` in {PATH}; remove one of them",
            first.written, first.file
        )));
    }
    let hint = match (first.written.as_str(), present.contains_key(setting)) {
        ("-H" | "--host", _) => "let the unit have no -H: `sudo systemctl edit docker.service`, and there \
                                 [Service], ExecStart= and ExecStart=/usr/bin/dockerd, a line each; or leave \
                                 `hosts` out"
            .to_owned(),
        (written, true) => {
            format!("on the host, remove `{setting}` from {PATH}, or {written} from {}", first.file)
        }
        (written, false) => {
            format!(
                "leave `{setting}` out of [steps.docker], or remove {written} from {} on the host",
                first.file
            )
        }
    };
    Err(Refusal {
        step: STEP,
        what: format!(
            "Docker would not start: `{setting}` is in daemon.json and, as {}, on its service's command line; \
             nothing was changed",
            first.written
        ),
        details: found.iter().map(both).collect(),
        hints: vec![hint],
        findings: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;
    use crate::plan::PlannedStep;
    use crate::steps::tests::{bare, options, put, with_docker};
    use crate::steps::{Docker, Step};

    const UNIT: &str = "/lib/systemd/system/docker.service";
    const DROP_IN: &str = "/etc/systemd/system/docker.service.d/x.conf";

    fn lines(lines: &[(&str, &str)]) -> Vec<ServiceLine> {
        lines.iter().map(|(file, line)| ServiceLine { file: (*file).into(), line: (*line).into() }).collect()
    }

    #[test]
    fn options_of_the_service() {
        let stock =
            (UNIT, "ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock");
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&[stock], "containerd hosts"),
            (&[stock, (DROP_IN, "ExecStart="), (DROP_IN, "ExecStart=/usr/bin/dockerd")], ""),
            (
                &[
                    stock,
                    (DROP_IN, "ExecStart="),
                    (DROP_IN, "ExecStart=/usr/bin/dockerd -Hfd:// -g /x --log-driver local"),
                ],
                "data-root hosts log-driver",
            ),
            (
                &[
                    (UNIT, "ExecStart=/usr/sbin/dockerd $DOCKER_OPTS ${NONE}"),
                    (UNIT, "EnvironmentFile=-/etc/default/docker"),
                    ("/etc/default/docker", "DOCKER_OPTS=\"--dns 8.8.8.8 --data-root=/x\""),
                ],
                "data-root dns",
            ),
            (
                &[
                    (UNIT, "ExecStart=/usr/bin/dockerd $OPTS"),
                    (DROP_IN, "Environment=\"OPTS=--debug -s overlay2\" A=b"),
                ],
                "debug storage-driver",
            ),
            // Another file of that name goes before it.
            (
                &[
                    stock,
                    ("/lib/systemd/system/docker.service.d/x.conf", "ExecStart=/usr/bin/dockerd --debug"),
                    (DROP_IN, "ExecStart="),
                    (DROP_IN, "ExecStart=/usr/bin/dockerd --ip 1.2.3.4"),
                ],
                "ip",
            ),
            (&[], ""),
        ];
        for (said, expected) in cases {
            let flags = flags(&lines(said), false);
            let found: Vec<_> = flags.keys().map(String::as_str).collect();
            assert_eq!(found.join(" "), expected, "{said:?}");
        }
        assert!(flags(&[], true).contains_key("hosts"), "as the packages bring it");
    }

    #[test]
    fn settings_are_known_by_their_options() {
        let start =
            "ExecStart=/usr/bin/dockerd --insecure-registry=a --registry-mirror b --label c --http-proxy d";
        let flags = flags(&lines(&[(UNIT, start)]), false);
        for (setting, known) in [
            ("insecure-registries", true),
            ("registry-mirrors", true),
            ("labels", true),
            ("http-proxy", true),
            ("log-opts", false),
            ("dns", false),
        ] {
            assert_eq!(flag(&flags, setting).is_some(), known, "{setting}");
        }
    }

    fn planned(mut facts: Facts, start: &str, daemon: &str, settings: &str) -> Result<PlannedStep, Refusal> {
        facts.docker_service = lines(&[
            (UNIT, "ExecStart=/usr/bin/dockerd -H fd://"),
            (DROP_IN, "ExecStart="),
            (DROP_IN, start),
        ]);
        if !daemon.is_empty() {
            put(&mut facts, PATH, daemon);
        }
        let step = Docker::new(options(&format!("[docker]\n{settings}")).docker);
        step.plan(&mut Model { facts, ..Model::default() })
    }

    #[test]
    fn what_would_keep_docker_from_starting_is_refused() {
        let running = || with_docker("28.3.2");
        let mut silent = running();
        silent.docker =
            Some(crate::facts::Docker { error: Some("dead".into()), ..crate::facts::Docker::default() });
        silent.docker.iter_mut().for_each(|docker| {
            docker.compose.clone_from(&running().docker.and_then(|docker| docker.compose))
        });
        let mirrors = "registry_mirrors = ['http://m:5000']";
        let root = "ExecStart=/usr/bin/dockerd --data-root /x";
        let hosts = "ExecStart=/usr/bin/dockerd -H fd://";
        let cases = [
            (running(), root, "", mirrors, None),
            (
                running(),
                root,
                "",
                "daemon.data-root = '/y'",
                Some("x.conf: --data-root; daemon.json: data-root"),
            ),
            (
                running(),
                "ExecStart=/usr/bin/dockerd --registry-mirror=a",
                "",
                mirrors,
                Some("--registry-mirror"),
            ),
            (
                running(),
                "ExecStart=/usr/bin/dockerd --http-proxy=a",
                "",
                "proxy = 'http://p:1'",
                Some("http-proxy"),
            ),
            (running(), hosts, "", "daemon.hosts = ['fd://']", Some("x.conf: -H; daemon.json: hosts")),
            // What stands there already would stop any restart.
            (running(), hosts, r#"{"hosts": ["fd://"]}"#, mirrors, Some("x.conf: -H; daemon.json: hosts")),
            (silent, root, r#"{"data-root": "/y"}"#, "", Some("data-root")),
            (bare(), hosts, "", "daemon.hosts = ['fd://']", Some("-H")),
            (bare(), "ExecStart=/usr/bin/dockerd --log-opt max-size=1m --live-restore=false", "", "", None),
        ];
        for (facts, start, daemon, settings, said) in cases {
            match (planned(facts, start, daemon, settings), said) {
                (Ok(step), None) => {
                    let texts = step.changes.iter().flat_map(|change| &change.files);
                    let daemon = texts.filter(|file| file.path == PATH).find_map(|file| file.content.clone());
                    let daemon = String::from_utf8(daemon.unwrap_or_default()).expect("text");
                    assert!(!daemon.contains("log-driver") && !daemon.contains("live-restore"), "{daemon}");
                }
                (Err(refusal), Some(said)) => {
                    assert!(refusal.details.join("\n").contains(said), "{:?}", refusal.details);
                }
                (found, _) => panic!("{start} {settings}: {found:?}"),
            }
        }
        let left = planned(running(), hosts, r#"{"hosts": ["fd://"]}"#, "").expect("it is left alone");
        assert!(left.changes.is_empty());
        assert!(
            left.warnings[0].starts_with("Docker will not start again: -H is in /etc/"),
            "{:?}",
            left.warnings
        );
    }
}
