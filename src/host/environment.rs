//! What programs that we start here get to see.

use std::ffi::OsStr;
use std::process::Command;

/// Whether a variable of our environment holds a secret that was meant for us.
fn is_ours_alone(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("PROVISION_SECRET_") || name.starts_with("PROVISION_SUDO_PASSWORD")
}

/// Takes from a program's environment the secrets that are for provision: ssh may send variables to
/// a host (`SendEnv`), and any program may hand them on to its children or write them to a log.
pub fn without_secrets(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours_alone(name)) {
        command.env_remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for (name, expected) in [
            ("PROVISION_SUDO_PASSWORD", true),
            ("PROVISION_SECRET_DB", true),
            ("PROVISION_SECRET_", true),
            ("PROVISION_SSH_CONFIG", false),
            ("PROVISION_CONFIG", false),
            ("PATH", false),
        ] {
            assert_eq!(is_ours_alone(OsStr::new(name)), expected, "{name}");
        }
    }
}
