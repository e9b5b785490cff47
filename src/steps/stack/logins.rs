//! Logins that others reach without TLS: the password can be read on its way.

use super::Stack;
use crate::stack::compose::{Port, Protocol};
use crate::steps::Model;
use crate::steps::firewall::Opening;

impl Stack {
    /// Files on the host that decide whether a login speaks TLS, with the settings filled in.
    pub(super) fn tls_files(&self) -> impl Iterator<Item = String> {
        let enabled = |name: &str| self.services().any(|service| service.name == name);
        let declared = self.options.logins.iter().filter(move |(name, _)| enabled(name));
        declared.flat_map(|(_, files)| files).map(|file| self.filled(file))
    }

    /// A warning for each login that is open to the world without TLS.
    pub(super) fn remarks_on_logins(&self, model: &Model) -> Vec<String> {
        let mut remarks = Vec::new();
        for service in self.services() {
            let Some(files) = self.options.logins.get(&service.name) else { continue };
            let files: Vec<_> = files.iter().map(|file| self.filled(file)).collect();
            let is_there = |file: &String| model.file(file).is_some_and(|there| there.kind != "directory");
            if !files.is_empty() && files.iter().all(is_there) {
                continue;
            }
            let open = service.ports.iter().filter(|port| is_open(port, model.openings.as_deref()));
            remarks.extend(open.map(|port| remark(&service.name, port, &files)));
        }
        remarks
    }

    /// A text with the project's settings in place of `{NAME}`.
    fn filled(&self, text: &str) -> String {
        let environment = &self.input.project.environment;
        let known = environment.names().filter_map(|name| Some((name, environment.get(name)?)));
        known.fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

/// Whether more than a network that was named reaches a port.
fn is_open(port: &Port, openings: Option<&[Opening]>) -> bool {
    if port.protocol != Protocol::Tcp || port.host_ip.is_some_and(|ip| ip.is_loopback()) {
        return false;
    }
    let Some(openings) = openings else { return true };
    let lets_in = |opening: &Opening| {
        opening.is_public()
            && opening.protocol.is(port.protocol)
            && port.published.is_none_or(|published| published.overlaps(opening.ports))
    };
    openings.iter().any(lets_in)
}

fn remark(service: &str, port: &Port, files: &[String]) -> String {
    let number = port.published.map_or_else(|| "PORT".to_owned(), |published| published.first.to_string());
    let at = match port.published {
        Some(published) => format!("{published}/{}", port.protocol),
        None => format!("a free port ({})", port.protocol),
    };
    let certificate = match files {
        [] => String::new(),
        files => format!("put {} on the host, ", files.join(" and ")),
    };
    let firewall = format!("`allow = [{{ port = {number}, from = [\"10.0.0.0/8\"] }}]` in [steps.firewall]");
    format!(
        "{service} asks for a password at {at} without TLS, so it can be read on its way: {certificate}put a \
         proxy with TLS in front, publish it on 127.0.0.1 and use `ssh -L {number}:127.0.0.1:{number} HOST`, or \
         let in one network only: {firewall}"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::facts::Facts;
    use crate::facts::Questions;
    use crate::stack::bundle::{Bundle, Choice};
    use crate::stack::compose::Project;
    use crate::steps::stack::{StackInput, StackOptions};
    use crate::steps::tests::{options, put, with_docker};
    use crate::steps::{Model, Step};

    fn step(ports: &str, logins: &[(&str, &[&str])]) -> Stack {
        let folder = tempfile::TempDir::new().expect("a folder");
        let text = format!(
            "services:\n  web:\n    image: a:1\n    ports: {ports}\n  off:\n    image: b:1\n    \
                     ports: [\"9000:9\"]\n    profiles: [off]\n"
        );
        fs::write(folder.path().join("compose.yaml"), text).expect("a file");
        fs::write(folder.path().join(".env"), "TLS=/etc/tls\n").expect("a file");
        let project = Project::load(folder.path(), Some("shop")).expect("a project");
        let bundle = Bundle::collect(folder.path(), &Choice::default()).expect("files");
        let owned = |files: &[&str]| files.iter().map(|file| (*file).to_owned()).collect();
        let logins = logins.iter().map(|(name, files)| ((*name).to_owned(), owned(files)));
        let options = StackOptions { logins: logins.collect::<BTreeMap<_, _>>(), ..StackOptions::default() };
        Stack::new(options, StackInput { project, bundle, origin: "here".into() })
    }

    /// The warnings, each up to its remedy.
    fn warned(step: &Stack, facts: &Facts, allow: Option<&str>) -> Vec<String> {
        let openings =
            allow.map(|allow| options(&format!("[firewall]\nallow = {allow}")).firewall.openings(&[22]));
        let mut model = Model { facts: facts.clone(), openings, ..Model::default() };
        let lasting = step.plan(&mut model).expect("a plan").lasting;
        lasting.iter().map(|text| text.split(',').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn a_login_without_tls_is_told_where_all_reach_it() {
        const TLS: &[&str] = &["{TLS}/tls.crt", "{TLS}/tls.key"];
        const HALF: &[&str] = &["/etc/tls/tls.crt"];
        const BOTH: &[&str] = &["/etc/tls/tls.crt", "/etc/tls/tls.key"];
        const ANYONE: Option<&str> = Some("[4200]");
        const NETWORK: Option<&str> = Some("[{ port = 4200, from = [\"10.0.0.0/8\"] }]");
        const SIX: Option<&str> = Some("[{ port = 4200, from = [\"::/0\"] }]");
        let told = "web asks for a password at 4200/tcp without TLS";
        let cases = [
            ("no rules", "4200:80", &[][..], None, true),
            ("let in", "4200:80", &[], ANYONE, true),
            ("one address", "10.0.0.5:4200:80", &[], ANYONE, true),
            ("half of a certificate", "4200:80", HALF, ANYONE, true),
            ("a certificate", "4200:80", BOTH, ANYONE, false),
            ("loopback", "127.0.0.1:4200:80", &[], ANYONE, false),
            ("loopback", "[::1]:4200:80", &[], None, false),
            ("shut", "4200:80", &[], Some("[443]"), false),
            ("a network", "4200:80", &[], NETWORK, false),
            ("half of the world", "4200:80", &[], SIX, true),
            ("no page", "4200:80/udp", &[], None, false),
        ];
        for (what, port, files, allow, expected) in cases {
            let mut facts = with_docker("28.3.2");
            files.iter().for_each(|file| put(&mut facts, file, "x"));
            let step = step(&format!("[\"{port}\"]"), &[("web", TLS), ("off", &[])]);
            let expected: &[&str] = if expected { &[told] } else { &[] };
            assert_eq!(warned(&step, &facts, allow), expected, "{port}: {what}");
        }
        let facts = with_docker("28.3.2");
        assert_eq!(warned(&step("[\"4200:80\"]", &[("web", &[])]), &facts, ANYONE), [told], "it has no TLS");
        assert!(warned(&step("[\"4200:80\"]", &[]), &facts, ANYONE).is_empty(), "it has no login");
    }

    #[test]
    fn what_to_do_is_said_and_the_files_are_asked_for() {
        let step = step("[\"4200:80\"]", &[("web", &["{TLS}/tls.crt"]), ("off", &["{TLS}/off.crt"])]);
        let mut model = Model { facts: with_docker("28.3.2"), ..Model::default() };
        let warning = step.plan(&mut model).expect("a plan").lasting.remove(0);
        for part in
            ["/etc/tls/tls.crt", "ssh -L 4200:127.0.0.1:4200", "proxy with TLS", "allow = [{ port = 4200"]
        {
            assert!(warning.contains(part), "{part}: {warning}");
        }
        let mut questions = Questions::new();
        step.questions(&mut questions);
        let asked: Vec<_> = questions.iter().filter_map(crate::facts::Question::line).collect();
        assert!(asked.iter().any(|line| line.contains("/etc/tls/tls.crt")), "{asked:?}");
        assert!(!asked.iter().any(|line| line.contains("off.crt")), "{asked:?}");
    }
}
