//! Whether a command line can be taken apart as Compose does it.
//!
//! Compose takes a `command` or `entrypoint` that is one text apart with go-shellwords, which knows
//! quotes, backslashes, backticks and `$(…)`, and stops at `;`, `&`, `|`, `<` and `>`.

/// What is open at some point of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Single,
    Double,
    Backtick,
    Dollar,
}

/// Whether all that a command line opens is closed again.
pub(super) fn is_command_line(text: &str) -> bool {
    let mut open = Open::Nothing;
    let mut escaped = false;
    let mut before = ' ';
    for c in text.chars() {
        if escaped {
            (escaped, before) = (false, c);
            continue;
        }
        match (c, open) {
            ('\\', open) if open != Open::Single => escaped = true,
            ('\'', Open::Nothing) => open = Open::Single,
            ('\'', Open::Single) => open = Open::Nothing,
            ('"', Open::Nothing) => open = Open::Double,
            ('"', Open::Double) => open = Open::Nothing,
            ('`', Open::Nothing) => open = Open::Backtick,
            ('`', Open::Backtick) => open = Open::Nothing,
            ('(', Open::Nothing) if before == '$' => open = Open::Dollar,
            ('(', Open::Nothing | Open::Dollar) => return false,
            (')', Open::Nothing) => open = Open::Dollar,
            (')', Open::Dollar) => open = Open::Nothing,
            (';' | '&' | '|' | '<' | '>', Open::Nothing) => return true,
            _ => {}
        }
        before = c;
    }
    open == Open::Nothing && !escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for text in [
            "",
            "a b",
            "sh -c 'a \"b'",
            "echo \"a 'b\" c",
            "a \\' b",
            "echo $(date) `x`",
            "a; 'b",
            "a | (b",
            "echo '(' \"(\"",
            "sh -c 'a\\'",
        ] {
            assert!(is_command_line(text), "{text}");
        }
        for text in ["'a", "a\"", "a \\", "(a)", "a)", "$(a", "`a", "$((1))"] {
            assert!(!is_command_line(text), "{text}");
        }
    }
}
