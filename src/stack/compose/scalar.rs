//! What YAML takes a value without quotes for, as the reader of Compose (go-yaml 3) does.

/// The kind of a single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    /// Text.
    Text,
    /// `true` or `false`.
    Truth,
    /// A whole number.
    Integer,
    /// Any other number.
    Float,
    /// A date, with or without a time.
    Time,
}

/// The kind of a value that stands without quotes.
pub(super) fn of(text: &str) -> Scalar {
    match text {
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Scalar::Truth,
        ".nan" | ".NaN" | ".NAN" => Scalar::Float,
        _ if is_infinite(text) => Scalar::Float,
        // Only what begins like a number is looked at.
        _ if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => Scalar::Text,
        _ if is_time(text) => Scalar::Time,
        _ if integer(text).is_some() => Scalar::Integer,
        _ if is_float(&text.replace('_', "")) => Scalar::Float,
        _ => Scalar::Text,
    }
}

/// A whole number in decimal, or with `0x`, `0o`, `0b` or `0` in front; underscores are passed over.
pub(super) fn integer(text: &str) -> Option<i64> {
    let text = text.replace('_', "");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    // What follows the sign is no second one.
    let is_plain = digits.starts_with(|c: char| c.is_ascii_alphanumeric());
    is_plain.then(|| i64::from_str_radix(&format!("{sign}{digits}"), radix).ok())?
}

/// A number with a fraction of zero, or with an exponent, that is a whole one.
pub(super) fn whole(text: &str) -> Option<i64> {
    let number: f64 = Some(text.replace('_', "")).filter(|_| of(text) == Scalar::Float)?.parse().ok()?;
    // Up to here each whole number is exact.
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

fn is_infinite(text: &str) -> bool {
    matches!(text.trim_start_matches(['+', '-']), ".inf" | ".Inf" | ".INF")
}

fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(n, e)| (n, Some(e)));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.is_none_or(|text| is_digits(text.strip_prefix(['+', '-']).unwrap_or(text)));
    let (whole, part) = number.split_once('.').map_or((number, None), |(whole, part)| (whole, Some(part)));
    exponent
        && match part {
            None => is_digits(whole),
            Some("") => is_digits(whole),
            Some(part) => is_digits(part) && (whole.is_empty() || is_digits(whole)),
        }
}

/// `2026-11-30`, and what may follow it.
fn is_time(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let year = digits(text);
    let Some(rest) = text[year..].strip_prefix('-').filter(|_| year == 4) else { return false };
    let month = digits(rest);
    let Some(rest) = rest[month..].strip_prefix('-').filter(|_| (1..=2).contains(&month)) else {
        return false;
    };
    let day = digits(rest);
    let rest = &rest[day..];
    (1..=2).contains(&day)
        && (rest.is_empty() || rest.starts_with(['T', 't', ' ']) && rest.matches(':').count() >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (text, expected) in [
            ("a", Scalar::Text),
            ("yes", Scalar::Text),
            ("True", Scalar::Truth),
            ("tRue", Scalar::Text),
            ("0", Scalar::Integer),
            ("-12", Scalar::Integer),
            ("1_000", Scalar::Integer),
            ("0x1F", Scalar::Integer),
            ("0o17", Scalar::Integer),
            ("017", Scalar::Integer),
            ("08", Scalar::Float),
            ("0b11", Scalar::Integer),
            ("1.5", Scalar::Float),
            ("1.", Scalar::Float),
            (".5", Scalar::Float),
            (".", Scalar::Text),
            ("1e3", Scalar::Float),
            ("1e", Scalar::Text),
            ("-.inf", Scalar::Float),
            ("3.9.1", Scalar::Text),
            ("8080:80", Scalar::Text),
            ("2026-11-30", Scalar::Time),
            ("2026-11-30 10:00:00", Scalar::Time),
            ("2026-11", Scalar::Text),
            ("127.0.0.1", Scalar::Text),
            ("--1", Scalar::Text),
            ("+-1", Scalar::Text),
            ("-", Scalar::Text),
            ("99999999999999999999", Scalar::Float),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        for (text, expected) in [("0x2", Some(2)), ("010", Some(8)), ("-0b11", Some(-3)), ("1.0", None)] {
            assert_eq!(integer(text), expected, "{text}");
        }
        for (text, expected) in [
            ("1.0", Some(1)),
            ("1e3", Some(1000)),
            ("2.5", None),
            ("1e400", None),
            (".inf", None),
            ("a", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
    }
}
