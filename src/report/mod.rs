//! Reporters are told and ask nothing: terminal, JSON events.

mod event;

pub use event::*;

/// Something that is told events.
pub trait Reporter: Send + Sync {
    /// Tells it an event of a host.
    fn tell(&self, host: &str, event: &Event);
    /// Takes the live lines away for as long as `work` talks to the terminal itself (a prompt).
    fn suspend(&self, work: &mut dyn FnMut());
}
