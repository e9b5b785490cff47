//! Images that are pulled before anything that runs is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::lines;
use crate::plan::{Action, Change, Risk};
use crate::stack::compose::Service;
use crate::stack::images::{Availability, Reference, Weight};
use crate::steps::{Model, Refusal};

/// Images as the project names them.
pub(in crate::steps) type Images<'a> = BTreeMap<&'a str, Wanted>;

/// What the host is to pull for an image.
pub(in crate::steps) struct Wanted {
    /// Its full name (a name without a tag would stand for all tags there are), and the platform.
    full: String,
    /// Whether a newer one for its tag is asked for although the host has one.
    asks_again: bool,
    /// Whether it can have moved: what is named by digest cannot.
    by_tag: bool,
}

impl Wanted {
    /// Its full name, and the platform behind a space where one is asked for.
    pub(in crate::steps) fn full(&self) -> &str {
        &self.full
    }
}

/// The image of a service, where it comes from a registry.
pub(in crate::steps) fn of(service: &Service) -> Option<(&str, Wanted)> {
    let reference = service.reference().filter(|_| service.is_pulled())?;
    let platform = service.platform.as_deref().unwrap_or_default();
    let full = format!("{reference} {platform}").trim_end().to_owned();
    let wanted = Wanted { full, asks_again: service.asks_again, by_tag: reference.digest.is_none() };
    Some((service.image.as_deref()?, wanted))
}

/// An image that others are built from; none for a name with a variable that has no value.
pub(in crate::steps) fn base(name: &str) -> Option<(&str, Wanted)> {
    let reference = Reference::parse(name).ok()?;
    let wanted =
        Wanted { full: reference.to_string(), asks_again: false, by_tag: reference.digest.is_none() };
    Some((name, wanted))
}

/// An image whose tag stands for another one now.
struct Moved {
    image: String,
    /// Digests, `sha256:…`.
    from: Option<String>,
    to: String,
}

/// Images, as the project names them.
pub(in crate::steps) type Pulled = BTreeSet<String>;

/// The change that pulls images, and which they are.
#[derive(Default)]
pub(in crate::steps) struct Pull {
    pub(in crate::steps) change: Option<Change>,
    pub(in crate::steps) images: Pulled,
}

/// Those that the host does not have, and those whose tags have moved where that is asked for; what
/// no registry has is refused here, before anything is changed.
pub(in crate::steps) fn pull(
    step: &'static str,
    images: Images<'_>,
    action: Action,
    file: &str,
    model: &Model,
    warnings: &mut Vec<String>,
) -> Result<Pull, Refusal> {
    let (present, absent): (Vec<_>, Vec<_>) =
        images.into_iter().partition(|(image, _)| matches!(model.facts.images.get(*image), Some(Some(_))));
    let (missing, mut pulled): (Vec<_>, Vec<_>) =
        absent.into_iter().map(|(image, wanted)| (image.to_owned(), wanted.full)).unzip();
    let (mut moved, mut marks) = (Vec::new(), Vec::new());
    for (image, wanted) in present {
        if let Some(found) = newer(image, &wanted, model, warnings) {
            marks.push(format!("{} {}", wanted.full.split(' ').next().unwrap_or_default(), found.to));
            moved.push(found);
            pulled.push(wanted.full);
        }
    }
    let problems = problems(&missing, model, warnings);
    if !problems.is_empty() {
        return Err(Refusal {
            step,
            what: match problems.len() {
                1 => "an image cannot be had; nothing was changed".into(),
                count => format!("{count} images cannot be had; nothing was changed"),
            },
            details: problems,
            hints: vec![format!("fix the names in {}, or push the images first", file)],
            findings: Vec::new(),
        });
    }
    if pulled.is_empty() {
        return Ok(Pull::default());
    }
    let names: Vec<_> = missing.iter().chain(moved.iter().map(|moved| &moved.image)).cloned().collect();
    let mut action = action.with("images", lines(&pulled)).within(3600);
    if !marks.is_empty() {
        action = action.with("moved", lines(&marks));
    }
    let change = Change {
        id: format!("{step}/images"),
        title: format!("pull {}", names.join(", ")),
        reason: reason(&missing, &moved),
        risks: vec![Risk::Downloads { bytes: weight(&names, model) }],
        files: Vec::new(),
        undo: (!missing.is_empty()).then(|| format!("docker image rm {}", missing.join(" "))),
        action,
    };
    Ok(Pull { change: Some(change), images: names.into_iter().collect() })
}

/// Why images that the host lacks cannot be had.
fn problems(missing: &[String], model: &Model, warnings: &mut Vec<String>) -> Vec<String> {
    let mut problems = Vec::new();
    for image in missing {
        match model.images.get(image) {
            Some(Availability::Found { login: true, .. }) => warnings.push(format!(
                "{image} needs a login at its registry; the host needs one, too: `sudo docker login` there"
            )),
            Some(Availability::Found { login: false, .. }) => {}
            Some(answer @ Availability::NotMirrored { .. }) if model.force => {
                warnings.push(format!("{image}: {answer}"));
            }
            Some(Availability::NotMirrored { reason }) => problems.push(format!(
                "{image}: no mirror has it, and Docker Hub was not reached ({reason}); `--force` lets the host try"
            )),
            Some(Availability::Unreachable { reason }) => {
                warnings.push(format!("{image} could not be looked up from here: {reason}"));
            }
            Some(Availability::WrongArchitecture { available }) => problems.push(format!(
                "{image} is not made for {}, only for {}",
                model.facts.system.architecture,
                available.join(", ")
            )),
            Some(other) => problems.push(format!("{image}: {other}")),
            None => {}
        }
    }
    problems
}

/// Why they are pulled: the host lacks them, or their tags have moved.
fn reason(missing: &[String], moved: &[Moved]) -> String {
    let lacks = match (missing.len(), moved.len()) {
        (0, _) => None,
        (1, 0) => Some("the host does not have it".to_owned()),
        (_, 0) => Some("the host does not have them".to_owned()),
        _ => Some(format!("the host does not have {}", missing.join(", "))),
    };
    lacks.into_iter().chain(moved.iter().map(ToString::to_string)).collect::<Vec<_>>().join("; ")
}

/// What they weigh together, where that is known of each.
fn weight(names: &[String], model: &Model) -> Option<u64> {
    let found: Vec<_> = names.iter().filter_map(|image| model.images.get(image)).collect();
    let weight = Weight::of(found.iter().copied());
    (weight.complete && found.len() == names.len()).then_some(weight.bytes)
}

/// What an image that the host has is to be replaced by, where newer ones are asked for.
fn newer(image: &str, wanted: &Wanted, model: &Model, warnings: &mut Vec<String>) -> Option<Moved> {
    if !(wanted.asks_again || model.pull) || !wanted.by_tag {
        return None;
    }
    let present = model.facts.image(image)?;
    match model.images.get(image)? {
        Availability::Found { digest: Some(digest), .. } if present.digests.contains(digest) => None,
        Availability::Found { digest: Some(digest), .. } => Some(Moved {
            image: image.to_owned(),
            from: present.digests.first().cloned(),
            to: digest.clone(),
        }),
        Availability::Found { digest: None, .. } => None,
        other => {
            warnings.push(format!("could not check for a newer {image}: {other}"));
            None
        }
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |digest: &str| digest.trim_start_matches("sha256:").chars().take(12).collect::<String>();
        match &self.from {
            Some(from) => write!(f, "{} has moved: {} → {}", self.image, short(from), short(&self.to)),
            None => write!(f, "{} has moved: an image without a registry → {}", self.image, short(&self.to)),
        }
    }
}
