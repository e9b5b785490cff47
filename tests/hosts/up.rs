//! The whole journey, on each kind of host.

use libtest_mimic::Failed;

use super::Story;
use super::lab::{Folder, Host};

pub const STORIES: &[Story] = &[("up::debian13", debian13)];

fn debian13() -> Result<(), Failed> {
    journey("debian13")
}

fn journey(kind: &str) -> Result<(), Failed> {
    let host = Host::make(kind);
    let folder = Folder::with_stack();

    let planned = folder.planned(&host);
    let did = folder.provision(&["up", &host.name, "--yes", "--json"]);
    did.expect(0);
    let applied: Vec<_> = did
        .events()
        .iter()
        .filter(|event| event["event"] == "change-ended" && event["outcome"] == "applied")
        .map(|event| event["change"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(planned, applied, "what was planned is what was done, change by change");

    let page = host.get(8080)?;
    assert!(page.contains("three services, one page"), "{page}");
    assert!(host.ssh("docker ps --format '{{.Names}}'").contains("three-web-1"));

    folder.provision(&["up", &host.name]).expect(0).said(&["nothing to change"]);
    assert_eq!(folder.planned(&host), Vec::<String>::new());
    Ok(())
}
