//! What is asked of memory and disks.

use super::*;
use crate::facts::{Disk, Docker, Image};
use crate::stack::images::Layer;
use crate::steps::tests::bare;

fn levels(model: &Model, topic: &str) -> Vec<(Level, String)> {
    let machine = Machine::new(MachineOptions::default(), None);
    let findings = machine.findings(model).into_iter().filter(|finding| finding.topic == topic);
    findings.map(|finding| (finding.level, finding.text)).collect()
}

#[test]
fn swap_is_memory() {
    for (memory, swap, level, text) in [
        (400, 0, Level::Forceable, "400 MB of at least 900 MB"),
        (400, 100, Level::Soft, "400 MB and 100 MB of swap, of at least 900 MB"),
        (400, 600, Level::Fine, "400 MB and 600 MB of swap, of at least 900 MB"),
        (1000, 0, Level::Fine, "1.0 GB of at least 900 MB"),
    ] {
        let mut model = Model { facts: bare(), ..Model::default() };
        model.facts.system.memory = memory * 1_000_000;
        model.facts.system.swap = swap * 1_000_000;
        assert_eq!(levels(&model, "memory"), [(level, text.to_owned())]);
    }
}

fn found(digest: &str, layers: &[(&str, u64)]) -> Availability {
    let layer = |(digest, bytes): &(&str, u64)| Layer { digest: (*digest).into(), bytes: bytes * 1_000_000 };
    Availability::Found {
        digest: Some(digest.into()),
        bytes: Some(layers.iter().map(|(_, bytes)| bytes * 1_000_000).sum()),
        layers: layers.iter().map(layer).collect(),
        login: false,
    }
}

/// Images that are to come, what the host has, the space in MB, and what is found.
#[test]
fn images_must_fit() {
    let base = ("base", 1000);
    let shop = found("sha256:1", &[base, ("a", 10)]);
    let blog = found("sha256:2", &[base, ("b", 20)]);
    let has = |digest: &str| Some(Image { id: "x".into(), digests: vec![digest.into()] });
    let why = |size: &str, need: &str, free: &str| {
        format!(
            "{free} free at /var/lib/docker, of at least {need}: images of {size} are to be downloaded, and take about 3 \
             times that unpacked"
        )
    };
    let cases = [
        (vec![], vec![], 600, Level::Fine, "600 MB free at /var/lib/docker, of at least 500 MB".to_owned()),
        (vec![("shop", &shop)], vec![], 3000, Level::Forceable, why("1.0 GB", "3.0 GB", "3.0 GB")),
        (vec![("shop", &shop)], vec![], 3100, Level::Fine, why("1.0 GB", "3.0 GB", "3.1 GB")),
        // Their base counts once.
        (
            vec![("shop", &shop), ("blog", &blog)],
            vec![],
            3100,
            Level::Fine,
            why("1.0 GB", "3.1 GB", "3.1 GB"),
        ),
        // It is there already, and has not moved.
        (
            vec![("shop", &shop)],
            vec![("shop", has("sha256:1"))],
            600,
            Level::Fine,
            "600 MB free at /var/lib/docker, of at least 500 MB".to_owned(),
        ),
        // It has moved: most of its layers may be there.
        (
            vec![("shop", &shop)],
            vec![("shop", has("sha256:0"))],
            600,
            Level::Soft,
            why("1.0 GB", "3.0 GB", "600 MB"),
        ),
    ];
    for (coming, present, free, level, text) in cases {
        let mut model = Model { facts: bare(), ..Model::default() };
        model.facts.docker = Some(Docker::default());
        model.facts.disks.insert(DOCKER_ROOT.into(), Disk { available: free * 1_000_000, total: 1 << 40 });
        model.facts.images.extend(present.into_iter().map(|(name, image)| (name.to_owned(), image)));
        model.images.extend(coming.into_iter().map(|(name, image)| (name.to_owned(), image.clone())));
        assert_eq!(levels(&model, "disk").first(), Some(&(level, text)));
    }
}

/// The images lie elsewhere than the rest.
#[test]
fn containerd_keeps_images_by_itself() {
    let mut model = Model { facts: bare(), ..Model::default() };
    model.facts.docker = Some(Docker { storage: "overlayfs".into(), ..Docker::default() });
    let disk = |megabytes: u64| Disk { available: megabytes * 1_000_000, total: 1 << 40 };
    model.facts.disks.insert(DOCKER_ROOT.into(), disk(600));
    model.facts.disks.insert(CONTAINERD_ROOT.into(), disk(2000));
    model.images.insert("shop".into(), found("sha256:1", &[("a", 1000)]));
    let found = levels(&model, "disk");
    assert_eq!((found[0].0, found[1].0), (Level::Fine, Level::Forceable), "{found:?}");
    assert!(found[1].1.contains("/var/lib/containerd"), "{found:?}");
}
