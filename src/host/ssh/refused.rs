//! Why ssh did not connect, in terms of what happened and what to do.

use super::Resolved;
use crate::host::{HostError, by_hand};

/// Turns ssh's words into what happened and what to do.
pub(super) fn explain(name: &str, resolved: &Resolved, output: Vec<String>) -> HostError {
    let said = output.join("\n");
    let address = &resolved.address;
    let login = by_hand(name);
    let unreachable =
        |what: String, hint: String| HostError::Unreachable { what, output: output.clone(), hint };
    if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        return changed_key(name, resolved, &output);
    }
    if said.contains("Could not resolve hostname") {
        return unreachable(
            format!("the name `{address}` does not resolve"),
            format!("check the spelling, ~/.ssh/config and your DNS; `{login}` must work"),
        );
    }
    if said.contains("Permission denied") || said.contains("Too many authentication failures") {
        return HostError::NotAccepted { host: name.to_owned(), output };
    }
    if said.contains("Host key verification failed") {
        return unreachable(
            format!("the host key of {name} is not known, and your ssh configuration accepts no new ones"),
            format!("connect once with `{login}` and compare the fingerprint"),
        );
    }
    if let Some((what, hint)) = no_answer(name, resolved, &said) {
        return unreachable(what, hint);
    }
    // What the jump host's own ssh said has not reached us.
    if !resolved.jump.is_empty() && resolved.jump != "none" {
        let jump = &resolved.jump;
        return unreachable(
            format!("no connection to {name} by way of {jump}"),
            format!("try `ssh {jump}` first, then `{login}`; provision takes whatever that takes"),
        );
    }
    if said.contains("Connection closed by") || said.contains("Connection reset by") {
        return unreachable(
            format!("{address} closed the connection on port {}", resolved.port),
            format!(
                "it may still be starting, or have had too many connections from here; try again, and `{login}`"
            ),
        );
    }
    unreachable(
        format!("no connection to {name}"),
        format!("try `{login}`; provision takes whatever that takes"),
    )
}

/// A machine that does not answer, or has no sshd there.
fn no_answer(name: &str, resolved: &Resolved, said: &str) -> Option<(String, String)> {
    let Resolved { address, port, .. } = resolved;
    let machine = name.strip_prefix("vagrant:");
    if said.contains("Connection refused") {
        let hint = match machine {
            Some(machine) => is_it_up(machine),
            None => "is sshd running there, and on this port? another port is written `ssh://user@host:port`"
                .into(),
        };
        return Some((format!("{address} refuses connections on port {port}"), hint));
    }
    let words = ["timed out", "No route to host", "Network is unreachable"];
    words.iter().any(|word| said.contains(word)).then(|| {
        let hint = match machine {
            Some(machine) => is_it_up(machine),
            None => format!(
                "is the machine up, is the address right, and does a firewall let port {port} through from here?"
            ),
        };
        (format!("{address} does not answer on port {port}"), hint)
    })
}

fn is_it_up(machine: &str) -> String {
    format!("is it up? `vagrant status {machine}`, `vagrant up {machine}`; `vagrant ssh {machine}` must work")
}

/// A changed key in our words: ssh shouts, and says the same several times.
///
/// The names are ssh's own, which may be those of a jump host or of a `HostKeyAlias`.
fn changed_key(name: &str, resolved: &Resolved, output: &[String]) -> HostError {
    let between = |start: &str, end: &str| {
        output.iter().find_map(|line| Some(line.split_once(start)?.1.split_once(end)?.0.to_owned()))
    };
    let entry = between("ost key for ", " has changed").unwrap_or_else(|| {
        let address = &resolved.address;
        if resolved.port == "22" { address.clone() } else { format!("[{address}]:{}", resolved.port) }
    });
    let kind = between("fingerprint for the ", " key sent").unwrap_or_default();
    let sent = output.iter().find(|line| line.starts_with("SHA256:"));
    // `Offending ED25519 key in FILE:LINE`
    let place = output.iter().find_map(|line| line.strip_prefix("Offending ")?.split_once("key in "));
    let file = place
        .map(|(_, place)| place.rsplit_once(':').map_or(place, |(file, _)| file))
        .unwrap_or_else(|| resolved.known_hosts.split(' ').next().unwrap_or_default());
    let mut shown = Vec::new();
    if let Some(sent) = sent {
        shown.push(format!("it shows {} ({kind})", sent.trim_end_matches('.')));
    }
    if let Some((_, place)) = place {
        shown.push(format!("the known one stands in {place}"));
    }
    HostError::ChangedHostKey {
        host: name.to_owned(),
        forget: format!("ssh-keygen -f {} -R {}", quoted(file), quoted(&entry)),
        output: shown,
    }
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(said: &str) -> HostError {
        let resolved = Resolved { address: "web1.example".into(), port: "22".into(), ..Resolved::default() };
        explain("web1", &resolved, said.lines().map(str::to_owned).collect())
    }

    #[test]
    fn ssh_is_explained() {
        let cases = [
            ("ssh: Could not resolve hostname web1.example: Name or service not known", "does not resolve"),
            ("ssh: connect to host web1.example port 22: Connection refused", "refuses connections"),
            ("ssh: connect to host web1.example port 22: Connection timed out", "does not answer"),
            ("ssh: connect to host web1.example port 22: No route to host", "does not answer"),
            ("me@web1.example: Permission denied (publickey).", "does not accept this login"),
            (
                "kex_exchange_identification: Connection closed by remote host",
                "closed the connection on port 22",
            ),
            ("Connection reset by 203.0.113.7 port 22", "closed the connection on port 22"),
            ("something new", "no connection"),
        ];
        for (said, expected) in cases {
            let error = explained(said).to_string();
            assert!(error.contains(expected), "{said}: {error}");
        }
    }

    #[test]
    fn a_machine_of_vagrants_is_explained_in_vagrants_words() {
        let resolved = Resolved { address: "192.168.121.7".into(), port: "22".into(), ..Resolved::default() };
        for (said, what) in [
            ("ssh: connect to host 192.168.121.7 port 22: Connection refused", "192.168.121.7 refuses"),
            ("ssh: connect to host 192.168.121.7 port 22: No route to host", "192.168.121.7 does not answer"),
        ] {
            let error = explain("vagrant:web", &resolved, vec![said.into()]);
            assert!(error.to_string().contains(what), "{error}");
            let HostError::Unreachable { hint, .. } = error else { panic!("{said}") };
            assert!(hint.contains("`vagrant up web`") && !hint.contains("ssh://"), "{hint}");
        }
    }

    #[test]
    fn a_changed_key_names_the_command_that_forgets_it() {
        let said = "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
The fingerprint for the ED25519 key sent by the remote host is
SHA256:TX4Agl1P.
Offending ED25519 key in /home/me/my keys/known_hosts:7
Host key for [jump.example]:2222 has changed and you have requested strict checking.
Host key verification failed.";
        let HostError::ChangedHostKey { forget, output, .. } = explained(said) else { panic!("{said}") };
        assert_eq!(forget, "ssh-keygen -f '/home/me/my keys/known_hosts' -R '[jump.example]:2222'");
        assert_eq!(
            output,
            ["it shows SHA256:TX4Agl1P (ED25519)", "the known one stands in /home/me/my keys/known_hosts:7"]
        );

        // Another ssh may say less.
        let said = "@ REMOTE HOST IDENTIFICATION HAS CHANGED! @\nOffending RSA key in /home/o'neil/known:1";
        let HostError::ChangedHostKey { forget, .. } = explained(said) else { panic!("{said}") };
        assert_eq!(forget, "ssh-keygen -f '/home/o'\\''neil/known' -R 'web1.example'");
    }

    #[test]
    fn a_jump_host_is_named_when_it_may_be_the_reason() {
        let resolved = Resolved { jump: "me@jump".into(), ..Resolved::default() };
        let error = explain("web1", &resolved, vec!["Connection closed by UNKNOWN port 65535".into()]);
        assert_eq!(error.to_string(), "no connection to web1 by way of me@jump");
    }
}
