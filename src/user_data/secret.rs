//! What must not be in user-data: whoever may ask for the instance's metadata can read it.

use crate::plan::has_password;
use crate::stack::bundle::BundleFile;

/// Parts of a setting's name by which it holds a secret.
const NAMES: [&str; 8] =
    ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY"];

/// Ends by which it only says where one is, or how it is called.
const HARMLESS_ENDS: [&str; 5] = ["_FILE", "_PATH", "_NAME", "_DIR", "_LIFETIME"];

/// Whether a setting holds a secret, as far as its name and value tell.
pub fn looks_secret(name: &str, value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    // A reference to another setting is none.
    if value.is_empty() || value.starts_with('$') {
        return false;
    }
    let name = name.to_ascii_uppercase();
    let named =
        NAMES.iter().any(|part| name.contains(part)) && !HARMLESS_ENDS.iter().any(|end| name.ends_with(end));
    named && !matches!(value, "true" | "false") || has_password(value)
}

/// What in a stack's files holds secrets: a line for a person each.
pub fn secrets_in_files(files: &[BundleFile]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.sensitive) {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        if !(name.starts_with(".env") || name.ends_with(".env")) {
            found.push(file.path.clone());
            continue;
        }
        let text = String::from_utf8_lossy(&file.content);
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let line = line.strip_prefix("export ").unwrap_or(line);
            if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#'))
                && looks_secret(name.trim(), value)
            {
                found.push(format!("{}:{}: {}", file.path, at + 1, name.trim()));
            }
        }
    }
    found
}
