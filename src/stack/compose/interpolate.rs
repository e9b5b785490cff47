//! `$VAR` and `${VAR…}` as Compose substitutes them.

/// Nested defaults deeper than this are refused.
const MAX_DEPTH: usize = 50;

/// The longest value that comes of it, in bytes: values that name each other twice grow fast.
const MAX_LENGTH: usize = 1024 * 1024;

/// Where values come from; it also hears which variables had none.
pub(super) trait Scope {
    /// The value, `None` when the variable is not set.
    fn get(&mut self, name: &str) -> Option<String>;
    /// A variable was used without a value; `fallback` says that a default stepped in.
    fn unset(&mut self, name: &str, fallback: bool);
}

/// Why a text could not be substituted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The text is not in Compose's form.
    Syntax { near: String, remedy: &'static str },
    /// `${NAME:?message}` without a value.
    Required { name: String, message: String },
}

const CLOSE: &str = "close it with `}` on the same line, or write `$${` for the characters themselves";
const FORM: &str = "the forms are ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message}, ${NAME?message}, \
     ${NAME:+other} and ${NAME+other}";

/// Substitutes all variables of a text.
pub(super) fn expand(text: &str, scope: &mut dyn Scope) -> Result<String, Fault> {
    expand_at(text, scope, 0)
}

fn expand_at(text: &str, scope: &mut dyn Scope, depth: usize) -> Result<String, Fault> {
    if depth > MAX_DEPTH {
        return Err(syntax(text, "nest fewer defaults"));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let dollar = &rest[at..];
        let after = &dollar[1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some(body) = after.strip_prefix('{') {
            let end = closing(body).ok_or_else(|| syntax(dollar, CLOSE))?;
            out.push_str(&braced(&body[..end], scope, depth)?);
            rest = &body[end + 1..];
        } else {
            // Before anything but a name, a dollar sign is one.
            let (name, tail) = after.split_at(name_length(after));
            match name {
                "" => out.push('$'),
                name => out.push_str(&plain(name, scope)),
            }
            rest = tail;
        }
        if out.len() > MAX_LENGTH {
            return Err(syntax(text, "its value is longer than a megabyte; let variables name fewer others"));
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// What stands between `${` and `}`.
fn braced(body: &str, scope: &mut dyn Scope, depth: usize) -> Result<String, Fault> {
    let (name, form) = body.split_at(name_length(body));
    if name.is_empty() {
        return Err(syntax(&format!("${{{body}}}"), FORM));
    }
    if form.is_empty() {
        return Ok(plain(name, scope));
    }
    let (blank_counts, form) = match form.strip_prefix(':') {
        Some(form) => (true, form),
        None => (false, form),
    };
    let mut operator = form.chars();
    let sign = operator.next();
    if !matches!(sign, Some('-' | '?' | '+')) {
        return Err(syntax(&format!("${{{body}}}"), FORM));
    }
    let value = scope.get(name);
    let usable = value.clone().filter(|v| !blank_counts || !v.is_empty());
    // Compose substitutes what stands here before it looks whether it is needed.
    let is_needed = usable.is_some() == (sign == Some('+'));
    let operand = match is_needed {
        true => expand_at(operator.as_str(), scope, depth + 1)?,
        false => expand_at(operator.as_str(), &mut Quiet(scope), depth + 1)?,
    };
    match (sign, usable) {
        (Some('?'), None) => Err(Fault::Required { name: name.to_owned(), message: operand }),
        (Some('+'), Some(_)) | (Some('-'), None) => {
            if value.is_none() {
                scope.unset(name, true);
            }
            Ok(operand)
        }
        (Some('+'), None) => {
            if value.is_none() {
                scope.unset(name, true);
            }
            // One that is set and blank is blank.
            Ok(String::new())
        }
        (_, value) => Ok(value.unwrap_or_default()),
    }
}

/// Values for a text that is not used: what has none is not missed.
struct Quiet<'a>(&'a mut dyn Scope);

impl Scope for Quiet<'_> {
    fn get(&mut self, name: &str) -> Option<String> {
        self.0.get(name)
    }

    fn unset(&mut self, _: &str, _: bool) {}
}

fn plain(name: &str, scope: &mut dyn Scope) -> String {
    scope.get(name).unwrap_or_else(|| {
        scope.unset(name, false);
        String::new()
    })
}

/// The index of the `}` that closes a body. As in Compose, every `{` within
/// wants one of its own; when they do not match, the last one of the line counts.
fn closing(body: &str) -> Option<usize> {
    let line = body.split('\n').next().unwrap_or(body);
    if line[name_length(line)..].starts_with('}') {
        return Some(name_length(line));
    }
    let last = line.rfind('}')?;
    let mut open = 1usize;
    let mut bytes = line.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'}' if open == 1 => return Some(at),
            b'}' => open -= 1,
            b'{' => {
                open += 1;
                // What follows a brace is passed over, even if it is one.
                bytes.next();
            }
            _ => {}
        }
    }
    Some(last)
}

/// How many bytes at the front make a variable's name.
fn name_length(text: &str) -> usize {
    match text.as_bytes().first() {
        Some(first) if first.is_ascii_alphabetic() || *first == b'_' => {
            text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
        }
        _ => 0,
    }
}

fn syntax(near: &str, remedy: &'static str) -> Fault {
    Fault::Syntax { near: near.chars().take(40).collect(), remedy }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `SET` is set, `EMPTY` is set and blank.
    #[derive(Default)]
    struct Few {
        unset: Vec<(String, bool)>,
    }

    impl Scope for Few {
        fn get(&mut self, name: &str) -> Option<String> {
            match name {
                "SET" => Some("value".into()),
                "EMPTY" => Some(String::new()),
                _ => None,
            }
        }

        fn unset(&mut self, name: &str, fallback: bool) {
            self.unset.push((name.to_owned(), fallback));
        }
    }

    #[test]
    fn every_form() {
        let table = [
            ("plain", "plain"),
            ("", ""),
            ("$SET", "value"),
            ("$SET-x", "value-x"),
            ("a${SET}b$EMPTY$", "avalueb$"),
            ("a${SET}b${EMPTY}c", "avaluebc"),
            ("$NONE.", "."),
            ("$$SET $${SET} $$$SET", "$SET ${SET} $value"),
            ("${SET:-d}${SET-d}${EMPTY:-d}${EMPTY-d}${NONE:-d}${NONE-d}", "valuevalueddd"),
            ("${SET:+x}${SET+x}${EMPTY:+y}${EMPTY+z}${NONE:+n}${NONE+n}", "xxz"),
            ("${SET:?m}${SET?m}${EMPTY?m}", "valuevalue"),
            ("${EMPTY:?say $SET}", "required EMPTY: say value"),
            ("${NONE?}", "required NONE: "),
            ("${NONE:-${EMPTY:-${SET}}}", "value"),
            ("${NONE:-a{b}c}", "a{b}c"),
            ("${SET:-{\"a\":1}} x", "value x"),
            ("${NONE:-a}} ${SET}", "a} value"),
            ("${NONE:-{} x", "{ x"),
            ("${NONE:-a:b-c?d}", "a:b-c?d"),
            ("${NONE:-http://${SET}:80/}", "http://value:80/"),
            ("${SET:-${NONE:?asked all the same}}", "required NONE: asked all the same"),
            ("${SET:-${NONE}}", "value"),
            ("$1 $(date) $ SET 100$", "$1 $(date) $ SET 100$"),
            ("${", "error"),
            ("${NONE:-x\ny}", "error"),
            ("${}", "error"),
            ("${1}", "error"),
            ("${SET", "error"),
            ("${SET/a/b}", "error"),
            ("${SET:}", "error"),
            ("${SET:=x}", "error"),
            ("${SET x}", "error"),
            ("ü${SET}ü", "üvalueü"),
            ("${NONE:-ü}", "ü"),
        ];
        for (text, expected) in table {
            let shown = match expand(text, &mut Few::default()) {
                Ok(text) => text,
                Err(Fault::Syntax { .. }) => "error".into(),
                Err(Fault::Required { name, message }) => format!("required {name}: {message}"),
            };
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn a_default_is_not_a_blank() {
        let mut few = Few::default();
        let _ = expand("$A ${B} ${C:-x} ${D+x} ${E:?x}", &mut few);
        let expected = [("A", false), ("B", false), ("C", true), ("D", true)];
        assert_eq!(few.unset, expected.map(|(n, f)| (n.to_owned(), f)));
    }

    #[test]
    fn values_do_not_multiply() {
        struct Large;
        impl Scope for Large {
            fn get(&mut self, _: &str) -> Option<String> {
                Some("x".repeat(MAX_LENGTH / 2))
            }
            fn unset(&mut self, _: &str, _: bool) {}
        }
        assert!(expand("$A$A", &mut Large).is_ok());
        assert!(expand("$A$A$A$A", &mut Large).is_err());
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = format!("{}x{}", "${A:-".repeat(5000), "}".repeat(5000));
        assert!(expand(&text, &mut Few::default()).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "[${}:?+\\-A-Zü a-z0-9]{0,60}|.{0,60}") {
            let _ = expand(&text, &mut Few::default());
        }

        #[test]
        fn escaped_text_comes_back(text in ".{0,60}") {
            let escaped = text.replace('$', "$$");
            prop_assert_eq!(expand(&escaped, &mut Few::default()), Ok(text));
        }
    }
}
