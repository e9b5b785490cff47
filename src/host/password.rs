//! Passwords for sudo: asked for once a run, never shown.

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

type Ask = dyn Fn(&str, bool) -> Result<Password, String> + Send + Sync;

/// Where passwords come from: the environment, a file, or one prompt a run, which is repeated when
/// sudo refuses the answer.
pub struct Passwords {
    ask: Box<Ask>,
    known: Mutex<Option<Result<Password, String>>>,
}

impl Passwords {
    /// `ask` is called with the name of the host that wants it first, and whether an answer was refused
    /// before; its error says why there is no prompt.
    pub fn new(ask: impl Fn(&str, bool) -> Result<Password, String> + Send + Sync + 'static) -> Self {
        Self { ask: Box::new(ask), known: Mutex::new(None) }
    }

    /// The password, asked for now if it was not before; another one than the host has `refused`.
    pub fn get(&self, host: &str, refused: Option<&Password>) -> Result<Password, String> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match known.as_ref() {
            // Another host was told a better one meanwhile.
            Some(Ok(password)) if refused != Some(password) => return Ok(password.clone()),
            Some(Err(why)) => return Err(why.clone()),
            _ => {}
        }
        let answer = (self.ask)(host, refused.is_some());
        // Without a second prompt the first answer stays.
        if answer.is_ok() || known.is_none() {
            *known = Some(answer.clone());
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
        let passwords = Passwords::new(move |_, again| {
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
        // A second host with the wrong one is told the right one.
        assert_eq!(get(Some(&wrong)).as_deref(), Ok("right"));
    }
}
