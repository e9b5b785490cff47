//! Text for a person: control characters made harmless, durations, sizes, wrapping.

use std::borrow::Cow;
use std::fmt::Write;

/// How many spaces a tab becomes.
const TAB: &str = "    ";

/// Makes a value from elsewhere fit for a terminal: what it prints is one line, in reading order,
/// with nothing hidden and nothing that a terminal obeys.
///
/// A tab becomes spaces; every other character that a terminal obeys or that hides or reorders
/// text is shown as its escape: `\n`, `\x1b`, `\u{202e}`.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\t' => safe.push_str(TAB),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            harmful if is_harmful(harmful) => {
                let code = u32::from(harmful);
                let _ =
                    if code < 0x80 { write!(safe, "\\x{code:02x}") } else { write!(safe, "\\u{{{code:x}}}") };
            }
            plain => safe.push(plain),
        }
    }
    Cow::Owned(safe)
}

/// Whether a terminal obeys this character, or whether it hides or reorders what stands around it.
pub(crate) fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{feff}'
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// A duration as a person says it: `40 ms`, `0.3 s`, `21 s`, `2 min 05 s`, `1 h 02 min`.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds.saturating_add(500) / 1000;
    match milliseconds {
        0..100 => format!("{milliseconds} ms"),
        100..9_950 => {
            let tenths = (milliseconds + 50) / 100;
            format!("{}.{} s", tenths / 10, tenths % 10)
        }
        9_950..59_500 => format!("{seconds} s"),
        59_500..3_599_500 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A size as a person says it, in powers of ten: `512 bytes`, `4.2 kB`, `112 MB`, `1.3 GB`.
pub fn bytes(count: u64) -> String {
    if count < 1000 {
        return if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") };
    }
    let mut unit = 1_000_u64;
    let mut names = ["kB", "MB", "GB", "TB", "PB"].into_iter();
    let mut name = names.next().unwrap_or_default();
    // 999.5 kB would be rounded to 1000 kB: the next unit says it better.
    while count >= unit.saturating_mul(1000) - unit / 2 {
        let Some(next) = names.next() else { break };
        unit *= 1000;
        name = next;
    }
    let tenths = count.saturating_add(unit / 20) / (unit / 10);
    if tenths < 100 {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    } else {
        format!("{} {name}", count.saturating_add(unit / 2) / unit)
    }
}

/// `1 change`, `7 changes`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Columns that a text without control characters takes.
pub(crate) fn columns(text: &str) -> usize {
    console::measure_text_width(text)
}

/// Cuts a text to a number of columns, with an ellipsis where something is missing.
pub(crate) fn fit(text: &str, width: usize) -> Cow<'_, str> {
    console::truncate_str(text, width, "…")
}

/// Breaks a text between words into lines of at most `width` columns; longer words are cut.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let gap = usize::from(!line.is_empty());
        if columns(&line) + gap + columns(word) <= width {
            line.push_str(&" "[..gap]);
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        let mut pieces = cut(word, width);
        line = pieces.pop().unwrap_or_default();
        lines.append(&mut pieces);
    }
    lines.push(line);
    lines
}

/// Cuts a text into pieces of at most `width` columns, spaces and all; never without a piece.
pub(crate) fn cut(text: &str, width: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for character in text.chars() {
        piece.push(character);
        // Measured as a whole: some characters change the width of the one before them.
        if columns(&piece) > width && piece.chars().nth(1).is_some() {
            piece.pop();
            pieces.push(std::mem::replace(&mut piece, character.into()));
        }
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shows_what_a_terminal_would_obey() {
        assert_eq!(harmless("plain ünïcode ✓"), "plain ünïcode ✓");
        assert!(matches!(harmless("plain"), Cow::Borrowed(_)));
        assert_eq!(harmless("\x1b[2Jgone\r\n\tx\x7f"), "\\x1b[2Jgone\\r\\n    x\\x7f");
        assert_eq!(
            harmless("a\u{9b}31m\u{202e}b\u{2066}\u{200b}"),
            "a\\u{9b}31m\\u{202e}b\\u{2066}\\u{200b}"
        );
    }

    #[test]
    fn says_durations() {
        let said: Vec<_> =
            [0, 99, 100, 340, 9_949, 9_950, 21_400, 59_499, 59_500, 125_000, 3_599_499, 3_599_500, 3_720_000]
                .map(duration)
                .into();
        assert_eq!(
            said,
            [
                "0 ms",
                "99 ms",
                "0.1 s",
                "0.3 s",
                "9.9 s",
                "10 s",
                "21 s",
                "59 s",
                "1 min 00 s",
                "2 min 05 s",
                "59 min 59 s",
                "1 h 00 min",
                "1 h 02 min"
            ]
        );
        assert!(duration(u64::MAX).ends_with("min"));
    }

    #[test]
    fn says_sizes() {
        let said: Vec<_> =
            [0, 1, 999, 1000, 4_240, 9_960, 112_400_000, 999_400, 999_500, 1_300_000_000, u64::MAX]
                .map(bytes)
                .into();
        assert_eq!(
            said,
            [
                "0 bytes",
                "1 byte",
                "999 bytes",
                "1.0 kB",
                "4.2 kB",
                "10 kB",
                "112 MB",
                "999 kB",
                "1.0 MB",
                "1.3 GB",
                "18446 PB"
            ]
        );
    }

    #[test]
    fn wraps_between_words_and_cuts_long_ones() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh i", 3), ["abc", "def", "gh", "i"]);
        assert_eq!(wrap("", 3), [""]);
        assert_eq!(cut("  ab  cd", 4), ["  ab", "  cd"]);
        assert_eq!(cut("日本語", 4), ["日本", "語"]);
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left(text in any::<String>(), codes in prop::collection::vec(any::<char>(), 0..20)) {
            let text = text + &codes.into_iter().collect::<String>();
            let safe = harmless(&text);
            prop_assert!(!safe.contains(char::is_control));
            prop_assert!(!safe.contains(is_harmful));
            prop_assert_eq!(harmless(&safe), safe.as_ref());
        }

        #[test]
        fn no_line_is_too_long(text in "[ -~日é]{0,80}", width in 2_usize..30) {
            for line in wrap(&text, width).iter().chain(&cut(&text, width)) {
                prop_assert!(columns(line) <= width, "{line:?}");
            }
            prop_assert_eq!(cut(&text, width).concat(), text);
        }
    }
}
