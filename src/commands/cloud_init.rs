//! `provision cloud-init`: user-data for a server that provisions itself.

use std::path::Path;
use std::time::Duration;

use toml::{Table, Value};

use super::exit::Exit;
use super::failure;
use super::session::{own_bundle, read_stack};
use crate::cli::{CloudInit, Global};
use crate::config::{self, Settings};
use crate::nearest::listed;
use crate::plan::has_password;
use crate::report::{Event, Failure, choose, print};
use crate::stack::bundle::{BundleFile, BundleFolder};
use crate::user_data::{
    ARCHITECTURES, Archive, CHECKSUMS, LIMIT, Sha256, StackArchive, from_sums, is_sum, looks_secret,
    pack_stack, render, secrets_in_files,
};

/// Where the stack's folder comes to lie beside the settings.
const STACK: &str = "stack";

/// Where a playbook of one's own comes to lie.
const PLAYBOOK: &str = "playbook.toml";

/// Where the authority of an external Postgres comes to lie.
const AUTHORITY: &str = "ca.pem";

/// How long the checksums may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest file of checksums, in bytes.
const LARGEST_SUMS: u64 = 1024 * 1024;

/// `provision cloud-init`
pub(super) fn cloud_init(arguments: &CloudInit, global: &Global) -> Exit {
    let reporter = choose(global.json, super::verbosity(global), &[]);
    match user_data(arguments, global, &|text| reporter.tell("", &Event::Warning { text })) {
        Ok(text) => {
            print(&text);
            Exit::Done
        }
        Err(failure) => super::complain(global, &failure),
    }
}

fn user_data(arguments: &CloudInit, global: &Global, warn: &dyn Fn(String)) -> Result<String, Failure> {
    let here = std::env::current_dir().map_err(|error| {
        failure::plain(Exit::Usage, format!("the working directory is not there: {error}"))
    })?;
    let settings = config::load(&here, arguments.playbook.as_deref(), global.config.as_deref())
        .map_err(failure::from_config)?;
    if settings.unnamed {
        return Err(super::playbook::none());
    }
    settings.warnings.iter().cloned().for_each(warn);
    let (stack, folders) = stack_files(&settings)?;
    let text = settings_text(&settings, !stack.is_empty())?;
    let mut addresses = addresses_with_passwords(&text);
    let fetched_from =
        [("--stack-url", arguments.stack_url.as_ref()), ("[release] url", settings.release.url.as_ref())];
    let has_one = |address: Option<&String>| address.is_some_and(|address| has_password(address));
    addresses
        .extend(fetched_from.into_iter().filter(|(_, url)| has_one(*url)).map(|(name, _)| name.to_owned()));
    no_secrets(&settings, &stack, addresses, arguments.force, warn)?;

    let mut archive = Archive { settings: text, ..Archive::default() };
    if let Some(path) = &settings.playbook.path {
        archive.beside.push((PLAYBOOK, read(path)?));
    }
    if let Some(text) = &settings.options.postgres.ca_text {
        archive.beside.push((AUTHORITY, text.clone()));
    }
    match (&arguments.stack_url, stack.is_empty()) {
        (None, _) => (archive.stack, archive.stack_folders) = (stack, folders),
        (Some(_), true) => {
            let what = format!("the playbook `{}` has no stack of yours to fetch", settings.playbook.name);
            return Err(failure::with_hint(Exit::Usage, what, "leave `--stack-url` out"));
        }
        (Some(url), false) => {
            let out = arguments.stack_out.as_deref();
            lies_elsewhere(out, &settings.stack_folder)?;
            archive.stack_archive = Some(fetched(url, &stack, &folders, out)?);
        }
    }
    (archive.release_url, archive.sha256) = released(&settings, warn)?;

    let name = &settings.playbook.name;
    let summary = format!("at its first boot this server provisions itself with the playbook {name}");
    let cannot = |error: std::io::Error| {
        failure::plain(Exit::Usage, format!("the user-data cannot be packed: {error}"))
    };
    let text = render(&archive, arguments.format, &summary).map_err(cannot)?;
    if text.len() > LIMIT {
        let files = std::mem::take(&mut archive.stack);
        let without = render(&archive, arguments.format, &summary).map_err(cannot)?;
        return Err(too_large(text.len(), without.len(), files.is_empty()));
    }
    Ok(text)
}

/// The files and folders of a stack of one's own; none where it ships or there is none.
fn stack_files(settings: &Settings) -> Result<(Vec<BundleFile>, Vec<BundleFolder>), Failure> {
    match read_stack(settings)? {
        Some(input) if !settings.ships_stack => {
            let bundle = own_bundle(settings, &input.project)?;
            Ok((bundle.files, bundle.folders))
        }
        _ => Ok(Default::default()),
    }
}

/// Whoever may ask for the instance's metadata reads user-data; and nobody answers a prompt there.
fn no_secrets(
    settings: &Settings,
    stack: &[BundleFile],
    addresses: Vec<String>,
    force: bool,
    warn: &dyn Fn(String),
) -> Result<(), Failure> {
    let given = &settings.options.secrets.given;
    if !given.is_empty() && settings.playbook.steps.contains(&"secrets") {
        let what = format!(
            "{} must be entered by a person, which is not possible at a first boot",
            listed(given.iter().map(String::as_str))
        );
        let hint = "let the server generate it (`generate` in [steps.secrets]), or provision this one from here with \
                    `provision up HOST`";
        return Err(failure::with_hint(Exit::Usage, what, hint));
    }
    let env = &settings.options.stack.env;
    let mut found: Vec<_> = env
        .iter()
        .filter(|(name, value)| looks_secret(name, &value.0))
        .map(|(name, _)| format!("[steps.stack.env] {name}"))
        .collect();
    found.extend(addresses);
    found.extend(secrets_in_files(stack));
    if found.is_empty() {
        return Ok(());
    }
    let what = "anything on the server that can query its metadata can read the user-data, and these look like secrets";
    if force {
        warn(format!("{what}: {}", found.join(", ")));
        return Ok(());
    }
    Err(Failure {
        output: found,
        hints: vec![
            "let the server generate them (`generate` in [steps.secrets]) and name them as Compose secrets"
                .into(),
            "or leave files out by .provisionignore; `--force` continues if they are not".into(),
        ],
        ..failure::plain(Exit::Usage, what)
    })
}

/// The settings that hold an address with a password in it.
fn addresses_with_passwords(settings: &str) -> Vec<String> {
    let lines = settings.lines().filter(|line| has_password(line));
    let name = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let mut names: Vec<_> = lines.map(|line| format!("{}: an address with a password", name(line))).collect();
    names.dedup();
    names
}

/// An archive of a folder that is in it would be another one the next time.
fn lies_elsewhere(out: Option<&Path>, folder: &Path) -> Result<(), Failure> {
    let Some(out) = out else { return Ok(()) };
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (parent.canonicalize(), folder.canonicalize()) {
        (Ok(parent), Ok(folder)) if parent.starts_with(&folder) => {
            let what = format!("{} would be part of the stack that it is an archive of", out.display());
            Err(failure::with_hint(Exit::Usage, what, "let `--stack-out` write to another folder"))
        }
        _ => Ok(()),
    }
}

/// What is not in the user-data has to be what is here now.
fn fetched(
    url: &str,
    stack: &[BundleFile],
    folders: &[BundleFolder],
    out: Option<&Path>,
) -> Result<StackArchive, Failure> {
    must_be_address(url, "--stack-url")?;
    let packed = pack_stack(stack, folders).map_err(|error| {
        failure::plain(Exit::Usage, format!("the stack's folder cannot be packed: {error}"))
    })?;
    if let Some(path) = out {
        std::fs::write(path, &packed).map_err(|error| {
            failure::plain(Exit::Usage, format!("{} cannot be written: {error}", path.display()))
        })?;
    }
    Ok(StackArchive { url: url.to_owned(), sha256: crate::digest::sha256(&packed) })
}

/// `provision.toml` as the server reads it: what is here, with places that are there.
fn settings_text(settings: &Settings, own_stack: bool) -> Result<String, Failure> {
    let mut table = match &settings.file {
        Some(path) => read(path)?.trim_start_matches('\u{feff}').parse::<Table>().map_err(|error| {
            failure::plain(
                Exit::Usage,
                format!("{} has changed just now: {}", path.display(), error.message()),
            )
        })?,
        None => Table::new(),
    };
    table.remove("hosts");
    table.remove("release");
    let playbook = if settings.playbook.path.is_some() { PLAYBOOK } else { &settings.playbook.name };
    table.insert("playbook".into(), playbook.into());
    if own_stack {
        set(&mut table, "stack", "path", STACK);
    }
    if settings.options.postgres.ca_text.is_some() {
        set(&mut table, "postgres", "ca", AUTHORITY);
    }
    Ok(table.to_string())
}

fn set(table: &mut Table, step: &str, key: &str, value: &str) {
    let mut below = table;
    for name in ["steps", step] {
        let entry = below.entry(name).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(next) = entry else { return };
        below = next;
    }
    below.insert(key.into(), value.into());
}

/// Where the released binaries are, and their checksums.
fn released(settings: &Settings, warn: &dyn Fn(String)) -> Result<(String, Sha256), Failure> {
    let Some(folder) = settings.release.folder() else {
        let what = "where a server can fetch the released binary is not known";
        let hint = "say it in provision.toml: `url` in [release], the folder on the web that holds the released files";
        return Err(failure::with_hint(Exit::Usage, what, hint));
    };
    must_be_address(folder, "`url` in [release]")?;
    let said = &settings.release.sha256;
    if said.is_empty() {
        if folder.starts_with("http://") {
            warn(format!(
                "the checksums of the released binary come over plain http from {folder}: anyone on the way can choose \
                 the program that the server runs as root; use https, or set them yourself in [release.sha256]"
            ));
        }
        return Ok((folder.to_owned(), sums(&format!("{folder}/{CHECKSUMS}"))?));
    }
    for (architecture, sum) in said {
        if !ARCHITECTURES.contains(&architecture.as_str()) {
            let what = format!("[release.sha256] names the architecture `{architecture}`");
            let hint = format!("there are {}", listed(ARCHITECTURES.into_iter()));
            return Err(failure::with_hint(Exit::Usage, what, hint));
        }
        if !is_sum(sum) {
            let what = format!("`{architecture}` in [release.sha256] is no SHA-256");
            return Err(failure::with_hint(
                Exit::Usage,
                what,
                "it is the 64 hexadecimal digits of `sha256sum`",
            ));
        }
    }
    let sums = said.iter().map(|(architecture, sum)| (architecture.clone(), sum.to_ascii_lowercase()));
    Ok((folder.to_owned(), sums.collect()))
}

/// Fetched now, from here: the server then takes nothing else.
fn sums(url: &str) -> Result<Sha256, Failure> {
    let failed = |what: String| {
        let hint = "correct `url` in [release], or say the checksums yourself: `x86_64` and `aarch64` in \
                    [release.sha256]";
        failure::with_hint(Exit::Usage, format!("{url} {what}"), hint)
    };
    let agent = crate::stack::images::agent(PATIENCE, url.starts_with("https://"));
    let mut answer = agent.get(url).call().map_err(|error| failed(format!("cannot be fetched: {error}")))?;
    if answer.status() != 200 {
        return Err(failed(format!("cannot be fetched: the server says {}", answer.status())));
    }
    let text = answer
        .body_mut()
        .with_config()
        .limit(LARGEST_SUMS)
        .read_to_string()
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
    from_sums(&text).map_err(|error| failed(format!("is of no use: {error}")))
}

/// No space or quote may come into what the server reads by lines.
fn must_be_address(text: &str, place: &str) -> Result<(), Failure> {
    let known =
        ["http://", "https://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    if known
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'`' | b'\\'))
    {
        return Ok(());
    }
    let what = format!("`{}` is no address ({place})", crate::text::harmless(text));
    Err(failure::with_hint(Exit::Usage, what, "it begins with https:// (or http://)"))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| failure::plain(Exit::Usage, format!("{} cannot be read: {error}", path.display())))
}

fn too_large(size: usize, without: usize, no_stack: bool) -> Failure {
    let mut what = format!("the user-data would have {size} bytes, and a server takes {LIMIT}");
    let hint = if no_stack {
        "make provision.toml or the playbook smaller"
    } else {
        what.push_str(&format!("; {} of them are the stack's folder", size.saturating_sub(without)));
        "put the folder where the server can fetch it: `--stack-url ADDRESS --stack-out FILE` writes what has to be \
         there; or leave files out by .provisionignore"
    };
    failure::with_hint(Exit::Usage, what, hint)
}
