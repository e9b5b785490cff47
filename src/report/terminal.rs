//! Live lines on a terminal: one for each host, below the lines that stay.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::lines::Lines;
use super::paint::Paint;
use super::{Event, Reporter, Verbosity};
use crate::text::{counted, duration, fit, harmless};

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(100);
/// Columns that a live line needs besides its title: the spinner and the time.
const AROUND_TITLE: usize = 16;

/// Prints lines that stay, and below them what is under way.
pub(super) struct Terminal {
    multi: MultiProgress,
    paint: Paint,
    state: Mutex<Screen>,
}

struct Screen {
    lines: Lines,
    /// The hosts in the order of their live lines; none where nothing is under way.
    live: Vec<(String, Option<ProgressBar>)>,
}

/// What an event does to its host's live line.
enum Live {
    /// Something begins; the time counts anew.
    Begin(String),
    /// What is under way tells of itself.
    Detail(String),
    /// Nothing is under way.
    End,
    /// It stays as it is.
    Keep,
}

impl Terminal {
    pub(super) fn new(multi: MultiProgress, paint: Paint, verbosity: Verbosity, hosts: &[String]) -> Self {
        // The spinner is painted by indicatif, which asks this switch.
        console::set_colors_enabled_stderr(paint.0);
        let lines = Lines::new(paint, verbosity, true, hosts);
        let live = hosts.iter().map(|host| (host.clone(), None)).collect();
        Self { multi, paint, state: Mutex::new(Screen { lines, live }) }
    }

    /// What becomes of the live line.
    fn live(&self, lines: &Lines, host: &str, event: &Event) -> Live {
        match event {
            Event::Connecting if lines.prefix(host).is_empty() => {
                Live::Begin(format!("connecting to {}", harmless(host)))
            }
            Event::Connecting => Live::Begin("connecting".into()),
            Event::Probing => Live::Begin("reading facts".into()),
            Event::Probed { .. } => Live::Begin("planning".into()),
            Event::CheckingImages { count } => {
                Live::Begin(format!("looking up {}", counted(*count, "image")))
            }
            Event::Knocking { ports } => Live::Begin(format!("trying {} from here", counted(*ports, "port"))),
            Event::RunStarted { .. } => Live::Begin("starting the run".into()),
            Event::RunAttached { .. } | Event::ChangeEnded { .. } => {
                Live::Begin("waiting for the host".into())
            }
            Event::RunEnded { .. } => Live::Begin("finishing".into()),
            Event::ChangeStarted { .. } => Live::Begin(lines.heading(host)),
            Event::Output { kind, line, .. } => {
                Live::Detail(self.paint.dim(&format!("{}{}", kind.label(), harmless(line))))
            }
            Event::ConnectionLost { attempt, .. } => {
                Live::Detail(self.paint.yellow(&format!("connecting again, attempt {attempt}")))
            }
            Event::Proving => Live::Detail("making a new connection".into()),
            Event::Reattached | Event::Proven => Live::Detail(String::new()),
            Event::Cancelling { .. } => Live::Detail(self.paint.yellow("stops after this change")),
            Event::Planned { .. } | Event::Detached { .. } | Event::Summary(_) | Event::Failed(_) => {
                Live::End
            }
            Event::NewHostKey { .. }
            | Event::Finding(_)
            | Event::Resuming { .. }
            | Event::Exposure(_)
            | Event::SecretKept { .. }
            | Event::Warning { .. } => Live::Keep,
        }
    }

    fn begin(&self, state: &mut Screen, host: &str, title: &str, ssh_may_ask: bool) {
        let prefix = state.lines.prefix(host);
        let bar = self.bar(&mut state.live, host, &prefix);
        let columns = usize::from(Term::stderr().size().1);
        let room = columns.saturating_sub(AROUND_TITLE + console::measure_text_width(&prefix)).max(20);
        bar.reset_elapsed();
        bar.set_message("");
        bar.set_prefix(fit(title, room).into_owned());
        match ssh_may_ask {
            // A line that turns would wipe the prompt away, and what a person has typed.
            true => {
                bar.disable_steady_tick();
                bar.tick();
            }
            false => bar.enable_steady_tick(TURN),
        }
    }

    fn end(&self, bar: &mut Option<ProgressBar>) {
        if let Some(bar) = bar.take() {
            bar.finish_and_clear();
            self.multi.remove(&bar);
        }
    }

    /// The live line of a host, made where it is not there, in the order of the hosts.
    fn bar(&self, live: &mut Vec<(String, Option<ProgressBar>)>, host: &str, prefix: &str) -> ProgressBar {
        let index = live.iter().position(|(name, _)| name == host).unwrap_or_else(|| {
            live.push((host.to_owned(), None));
            live.len() - 1
        });
        if let Some(bar) = &live[index].1 {
            return bar.clone();
        }
        let bar = ProgressBar::new_spinner().with_style(style(prefix.to_owned(), self.paint));
        let bar = match live[index..].iter().find_map(|(_, below)| below.as_ref()) {
            Some(below) => self.multi.insert_before(below, bar),
            None => self.multi.add(bar),
        };
        live[index].1 = Some(bar.clone());
        bar
    }
}

/// How a live line looks: host, spinner, title, time, and as much as fits of the last output.
fn style(host: String, paint: Paint) -> ProgressStyle {
    let host = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = out.write_str(&host);
    };
    let took = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let seconds = state.elapsed().as_secs();
        let text = match seconds {
            0 => String::new(),
            1..10 => format!("  {seconds} s"),
            _ => format!("  {}", duration(seconds * 1000)),
        };
        let _ = out.write_str(&paint.dim(&text));
    };
    ProgressStyle::with_template("{host}{spinner:.cyan} {prefix}{took}  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
        .with_key("host", host)
        .with_key("took", took)
}

impl Reporter for Terminal {
    fn tell(&self, host: &str, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = state.lines.of(host, event);
        if !lines.is_empty() {
            // The terminal may have gone away: that must not end the run.
            let _ = self.multi.println(lines.join("\n"));
        }
        match self.live(&state.lines, host, event) {
            Live::Begin(title) => {
                let ssh_may_ask = matches!(event, Event::Connecting) && std::io::stdin().is_terminal();
                self.begin(&mut state, host, &title, ssh_may_ask);
            }
            Live::Detail(text) => {
                if let Some((_, Some(bar))) = state.live.iter().find(|(name, _)| name == host) {
                    bar.set_message(text);
                }
            }
            Live::End => {
                if let Some((_, bar)) = state.live.iter_mut().find(|(name, _)| name == host) {
                    self.end(bar);
                }
            }
            Live::Keep => {}
        }
    }

    fn suspend(&self, work: &mut dyn FnMut()) {
        self.multi.suspend(work);
    }

    fn rest(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, bar) in &mut state.live {
            self.end(bar);
        }
    }
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressDrawTarget;

    use super::super::samples;
    use super::*;

    #[test]
    fn takes_every_event_in_any_order() {
        let hosts = ["web1".to_owned(), "web2".to_owned()];
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        let terminal = Terminal::new(multi, Paint(false), Verbosity::Normal, &hosts);
        let events = samples::every_event();
        for event in events.iter().chain(events.iter().rev()) {
            for host in ["web2", "stranger", "web1"] {
                terminal.tell(host, event);
            }
        }
        let mut asked = false;
        terminal.suspend(&mut || asked = true);
        assert!(asked);
        for host in ["web1", "web2", "stranger"] {
            terminal.tell(host, &Event::Summary(samples::summary()));
        }
        assert!(
            terminal
                .state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .live
                .iter()
                .all(|(_, bar)| bar.is_none())
        );
    }
}
