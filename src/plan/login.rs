//! Addresses with a password in them (`https://user:password@host`): what is shown has none.

use std::borrow::Cow;

/// The text, with `…` for the password of each address.
pub fn without_passwords(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(password) = first_password(rest) {
        shown.push_str(rest.get(..password.start).unwrap_or_default());
        shown.push('…');
        rest = rest.get(password.end..).unwrap_or_default();
    }
    match shown.is_empty() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(shown + rest),
    }
}

/// An address without its login, and the login's name and password where it has both.
pub fn split_login(address: &str) -> (String, Option<(String, String)>) {
    let whole = || (address.to_owned(), None);
    let Some((scheme, rest)) = address.split_once("://") else { return whole() };
    let authority = rest.split('/').next().unwrap_or_default();
    let Some((login, host)) = authority.rsplit_once('@') else { return whole() };
    let Some((user, password)) = login.split_once(':') else { return whole() };
    let path = rest.get(authority.len()..).unwrap_or_default();
    (format!("{scheme}://{host}{path}"), Some((decoded(user), decoded(password))))
}

/// A text with `%XX` for some of its bytes.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(part.as_bytes().get(2..).unwrap_or_default());
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether an address in it has a password.
pub fn has_password(text: &str) -> bool {
    first_password(text).is_some()
}

/// Where the first password is.
fn first_password(text: &str) -> Option<std::ops::Range<usize>> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.find("://") {
        let start = from + at + "://".len();
        let rest = text.get(start..)?;
        let ends = |c: char| c.is_whitespace() || c.is_control() || "/?#\"'`<>,;|)]}".contains(c);
        let authority = rest.split(ends).next().unwrap_or_default();
        // The last `@` is the one before the host: a password may have others in it.
        if let Some((login, _)) = authority.rsplit_once('@')
            && let Some((user, password)) = login.split_once(':')
            && !password.is_empty()
            && !password.starts_with('$')
        {
            let begins = start + user.len() + 1;
            return Some(begins..begins + password.len());
        }
        from = start;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_its_login() {
        let split = |address: &str| {
            let (address, login) = split_login(address);
            login.map_or(address.clone(), |(user, password)| format!("{address} {user} {password}"))
        };
        for (address, expected) in [
            ("https://mirror.example/docker", "https://mirror.example/docker"),
            ("https://u:p%40w%@mirror.example:8443/docker/", "https://mirror.example:8443/docker/ u p@w%"),
            ("https://u@mirror.example/a@b", "https://u@mirror.example/a@b"),
        ] {
            assert_eq!(split(address), expected);
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        for (text, expected) in [
            ("http://u:PW@p:3128", "http://u:…@p:3128"),
            ("a https://u:P@W@h/x and redis://:PW2@r/0.", "a https://u:…@h/x and redis://:…@r/0."),
            ("{\"http-proxy\":\"http://u:PW@p\"}", "{\"http-proxy\":\"http://u:…@p\"}"),
            ("https://h/a:b@c", "https://h/a:b@c"),
            ("https://user@h", "https://user@h"),
            ("postgres://u:${PW}@h", "postgres://u:${PW}@h"),
            ("a://b ://c:d@e", "a://b ://c:…@e"),
            ("ü://ü:ü@ü", "ü://ü:…@ü"),
            ("://", "://"),
        ] {
            assert_eq!(without_passwords(text), expected);
            assert_eq!(has_password(text), text != expected, "{text}");
        }
    }
}
