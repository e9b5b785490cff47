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

type Ask = dyn Fn(&str) -> Result<Password, String> + Send + Sync;

/// Where passwords come from: the environment, a file, or one prompt a run.
pub struct Passwords {
    ask: Box<Ask>,
    known: Mutex<Option<Result<Password, String>>>,
}

impl Passwords {
    /// `ask` is called at most once, with the name of the host that wants it
    /// first; its error says why nobody can be asked.
    pub fn new(ask: impl Fn(&str) -> Result<Password, String> + Send + Sync + 'static) -> Self {
        Self { ask: Box::new(ask), known: Mutex::new(None) }
    }

    /// The password, asked for now if it was not before.
    pub fn get(&self, host: &str) -> Result<Password, String> {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get_or_insert_with(|| (self.ask)(host)).clone()
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}
