//! One event a line on stdout, for programs.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use super::{Event, Reporter};
use crate::text::is_harmful;
use crate::time::rfc3339;

/// Writes each event as one line of JSON.
pub(super) struct Json<W> {
    out: Mutex<W>,
    now: fn() -> SystemTime,
}

impl<W: Write + Send> Json<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out: Mutex::new(out), now: SystemTime::now }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    host: &'a str,
    at: String,
    #[serde(flatten)]
    event: &'a Event,
}

impl<W: Write + Send> Reporter for Json<W> {
    fn tell(&self, host: &str, event: &Event) {
        // Events are plain data, so they serialise; the test below tells of one that does not.
        let Ok(line) = serde_json::to_string(&Line { host, at: rfc3339((self.now)()), event }) else {
            return;
        };
        let mut line = escape(line);
        line.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever read may have gone away: that must not end the run.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }

    fn suspend(&self, work: &mut dyn FnMut()) {
        work();
    }
}

/// Escapes what JSON allows as it is and a terminal would obey. Such characters stand inside
/// strings alone, where `\u0000` means the same.
fn escape(line: String) -> String {
    if !line.contains(is_harmful) {
        return line;
    }
    let mut safe = String::with_capacity(line.len() + 16);
    for character in line.chars() {
        if is_harmful(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::samples;
    use super::*;

    fn written(events: &[Event]) -> String {
        let json = Json {
            out: Mutex::new(Vec::new()),
            now: || UNIX_EPOCH + Duration::from_millis(1_751_621_400_250),
        };
        for event in events {
            json.tell("web1", event);
        }
        let out = json.out.into_inner().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn every_event_is_one_line() -> serde_json::Result<()> {
        let events = samples::every_event();
        let text = written(&events);
        assert_eq!(text.lines().count(), events.len());
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line)?;
            assert_eq!(value["host"], "web1");
            assert_eq!(value["at"], "2025-07-04T09:30:00.250Z");
            assert!(value["event"].is_string(), "{line}");
        }
        insta::assert_snapshot!(text);
        Ok(())
    }

    #[test]
    fn hostile_values_survive_and_do_no_harm() -> serde_json::Result<()> {
        let hostile = "\u{1b}[2J\u{9b}\u{202e}\u{e0041}\n\"";
        let text = written(&[Event::Warning { text: hostile.into() }]);
        assert!(!text.trim_end().contains(is_harmful));
        let value: serde_json::Value = serde_json::from_str(&text)?;
        assert_eq!(value["text"], hostile);
        Ok(())
    }
}
