//! Images that are pulled before anything that runs is touched.

use std::collections::BTreeMap;

use super::lines;
use crate::plan::{Action, Change, Risk};
use crate::stack::compose::Service;
use crate::stack::images::Availability;
use crate::steps::{Model, Refusal};

/// Images as the project names them, each with what the host is to pull.
pub(in crate::steps) type Images<'a> = BTreeMap<&'a str, String>;

/// The image of a service, where it comes from a registry.
pub(in crate::steps) fn of(service: &Service) -> Option<(&str, String)> {
    // The full name: a name without a tag would stand for all tags there are.
    let full = service.reference().filter(|_| service.is_pulled())?.to_string();
    let platform = service.platform.as_deref().unwrap_or_default();
    Some((service.image.as_deref()?, format!("{full} {platform}").trim_end().to_owned()))
}

/// Those that the host does not have; what no registry has is refused here, before anything is changed.
pub(in crate::steps) fn pull(
    step: &'static str,
    images: Images<'_>,
    action: Action,
    file: &str,
    model: &Model,
    warnings: &mut Vec<String>,
) -> Result<Option<Change>, Refusal> {
    let (missing, pulled): (Vec<_>, Vec<_>) = images
        .into_iter()
        .filter(|(image, _)| !matches!(model.facts.images.get(*image), Some(Some(_))))
        .map(|(image, full)| (image.to_owned(), full))
        .unzip();
    let mut problems = Vec::new();
    let mut total = Some(0);
    for image in &missing {
        match model.images.get(image) {
            Some(Availability::Found { bytes, login, .. }) => {
                total = total.zip(*bytes).map(|(total, bytes)| total + bytes);
                if *login {
                    warnings.push(format!(
                        "{image} needs a login at its registry; the host needs one, too: `sudo docker login` there"
                    ));
                }
            }
            Some(answer @ Availability::NotMirrored { .. }) if model.force => {
                total = None;
                warnings.push(format!("{image}: {answer}"));
            }
            Some(Availability::NotMirrored { reason }) => problems.push(format!(
                "{image}: no mirror has it, and Docker Hub was not reached ({reason}); `--force` lets the host try"
            )),
            Some(Availability::Unreachable { reason }) => {
                total = None;
                warnings.push(format!("{image} could not be looked up from here: {reason}"));
            }
            Some(Availability::WrongArchitecture { available }) => problems.push(format!(
                "{image} is not made for {}, only for {}",
                model.facts.system.architecture,
                available.join(", ")
            )),
            Some(other) => problems.push(format!("{image}: {other}")),
            None => total = None,
        }
    }
    if !problems.is_empty() {
        return Err(Refusal {
            step,
            what: match problems.len() {
                1 => "an image cannot be had; nothing was changed".into(),
                count => format!("{count} images cannot be had; nothing was changed"),
            },
            details: problems,
            hints: vec![format!("mend the names in {}, or push the images first", file)],
            findings: Vec::new(),
        });
    }
    if missing.is_empty() {
        return Ok(None);
    }
    Ok(Some(Change {
        id: format!("{step}/images"),
        title: format!("pull {}", missing.join(", ")),
        reason: match missing.len() {
            1 => "the host does not have it".into(),
            _ => "the host does not have them".into(),
        },
        risks: vec![Risk::Downloads { bytes: total }],
        files: Vec::new(),
        undo: Some(format!("docker image rm {}", missing.join(" "))),
        action: action.with("images", lines(&pulled)).within(3600),
    }))
}
