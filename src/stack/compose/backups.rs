//! A service that backs up databases: prodrigestivill/postgres-backup-local, as its image's
//! own variables and mounts have it.

use super::yaml::Node;

/// The image's name, whatever registry it comes from.
const IMAGE: &str = "postgres-backup-local";

/// What a service backs up, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backups {
    /// Where the database is: a service of the project, or a name elsewhere.
    pub host: String,
    /// The databases; empty where they are not known ahead.
    pub databases: Vec<String>,
    /// The role that owns them; empty where it is not known ahead.
    pub role: String,
    /// The folder of the host, absolute or relative to the project's; none where it is a volume.
    pub folder: Option<String>,
}

/// None where the image is another one.
pub(super) fn backups(image: Option<&str>, node: &Node) -> Option<Backups> {
    let image = image?;
    let path = image.split('@').next().unwrap_or(image);
    let name = path.rsplit('/').next().unwrap_or(path);
    if name.split(':').next() != Some(IMAGE) {
        return None;
    }
    let variable = |name: &str| variable(node, name).unwrap_or_default();
    let place = Some(variable("BACKUP_DIR")).filter(|path| !path.is_empty());
    let place = place.unwrap_or_else(|| "/backups".to_owned());
    let databases = variable("POSTGRES_DB");
    Some(Backups {
        host: variable("POSTGRES_HOST"),
        databases: databases.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        role: variable("POSTGRES_USER"),
        folder: folder(node, &place),
    })
}

/// A variable of its environment, a mapping or a list of `NAME=VALUE`.
fn variable(node: &Node, name: &str) -> Option<String> {
    let environment = node.get("environment")?;
    let value = match environment.get(name) {
        Some(value) => value.text(),
        None => environment
            .items()
            .iter()
            .filter_map(Node::text)
            .filter_map(|text| text.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value)),
    };
    value.map(str::to_owned)
}

/// What of the host is mounted there.
fn folder(node: &Node, place: &str) -> Option<String> {
    let mut sources = node.get("volumes")?.items().iter().filter_map(|volume| {
        let text = |key: &str| volume.get(key).and_then(Node::text);
        match volume.text() {
            Some(short) => {
                let (source, rest) = short.split_once(':')?;
                (rest.split(':').next() == Some(place)).then_some(source)
            }
            None => text("source").filter(|_| text("target") == Some(place)),
        }
    });
    // A name without a slash is a volume's.
    let is_folder = |source: &&str| source.starts_with(['/', '.']);
    sources.next().filter(is_folder).map(|source| source.trim_end_matches('/').to_owned())
}
