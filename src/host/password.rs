//! Passwords for sudo: asked for once a host, never shown.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// A password that does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Wraps it.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The password itself, to be written to a pipe and nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(hidden)")
    }
}

type Ask = dyn Fn(&str, bool, Option<&str>) -> Result<Password, String> + Send + Sync;

/// Where passwords come from: the environment, a file, or a prompt for each host, which is repeated
/// when sudo refuses the answer.
///
/// What is answered for one host goes to that host alone: another one, which may be anybody's, is not
/// told it because it asks as well.
pub struct Passwords {
    ask: Box<Ask>,
    known: Mutex<BTreeMap<String, Result<Password, String>>>,
}

impl Passwords {
    /// `ask` is called with the name of the host that wants one, whether an answer was refused before,
    /// and the name of another host that has one: an empty answer then means the same for both. Its
    /// error says why there is no prompt.
    pub fn new(
        ask: impl Fn(&str, bool, Option<&str>) -> Result<Password, String> + Send + Sync + 'static,
    ) -> Self {
        Self { ask: Box::new(ask), known: Mutex::default() }
    }

    /// The host's password, asked for now if it was not before; another one than it has `refused`.
    pub fn get(&self, host: &str, refused: Option<&Password>) -> Result<Password, String> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match known.get(host) {
            // The same host was told a better one meanwhile.
            Some(Ok(password)) if refused != Some(password) => return Ok(password.clone()),
            Some(Err(why)) => return Err(why.clone()),
            _ => {}
        }
        let other = known.iter().find_map(|(name, answer)| Some((name.clone(), answer.clone().ok()?)));
        let other = other.filter(|(name, _)| name != host && refused.is_none());
        let answer =
            match ((self.ask)(host, refused.is_some(), other.as_ref().map(|(name, _)| name.as_str())), other)
            {
                (Ok(empty), Some((_, password))) if empty.reveal().is_empty() => Ok(password),
                (answer, _) => answer,
            };
        // Without a second prompt the first answer stays.
        if answer.is_ok() || !known.contains_key(host) {
            known.insert(host.to_owned(), answer.clone());
        }
        answer
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_is_asked_for_when_one_is_refused() {
        let answers = Mutex::new(vec!["right", "wrong"]);
        let passwords = Passwords::new(move |_, again, _| {
            let mut answers = answers.lock().expect("no panic");
            assert_eq!(again, answers.len() == 1);
            answers.pop().map(|text| Password::new(text.into())).ok_or_else(|| "that was all".into())
        });
        let get = |refused: Option<&Password>| {
            passwords.get("web1", refused).map(|password| password.reveal().to_owned())
        };
        let wrong = Password::new("wrong".into());
        assert_eq!(get(None).as_deref(), Ok("wrong"));
        assert_eq!(get(None).as_deref(), Ok("wrong"));
        assert_eq!(get(Some(&wrong)).as_deref(), Ok("right"));
        // A second connection with the wrong one is told the right one.
        assert_eq!(get(Some(&wrong)).as_deref(), Ok("right"));
    }

    #[test]
    fn a_host_does_not_get_what_is_meant_for_another() {
        let seen = std::sync::Arc::new(Mutex::new(Vec::new()));
        let log = std::sync::Arc::clone(&seen);
        let passwords = Passwords::new(move |host, _, other| {
            log.lock().expect("no panic").push(format!("{host} {}", other.unwrap_or("-")));
            Ok(Password::new(if host == "web3" { String::new() } else { format!("of {host}") }))
        });
        let get = |host: &str| passwords.get(host, None).map(|password| password.reveal().to_owned());
        assert_eq!(get("web1").as_deref(), Ok("of web1"));
        assert_eq!(get("web2").as_deref(), Ok("of web2"));
        assert_eq!(get("web1").as_deref(), Ok("of web1"));
        // A person may say that it is the same.
        assert_eq!(get("web3").as_deref(), Ok("of web1"));
        assert_eq!(*seen.lock().expect("no panic"), ["web1 -", "web2 web1", "web3 web1"]);
    }
}
