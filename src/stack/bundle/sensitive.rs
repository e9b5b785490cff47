//! Files that hold secrets, recognised by name or by content.

/// Names of environment files, of keys, and of files in which clients keep their logins.
pub(super) const NAMES: [&str; 17] = [
    ".env",
    "*.env",
    ".env.*",
    "*.key",
    "*.pem",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.kdbx",
    "secrets/",
    "id_rsa",
    "id_ecdsa",
    "id_ed25519",
    ".netrc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
];

/// Keys and logins are short: only this many bytes are searched.
const SEARCHED: usize = 65_536;

/// Whether a file with such a name is public all the same: a certificate, or an example of an `.env`.
pub(super) fn is_public(path: &str, content: &[u8]) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_example = [".example", ".sample", ".template", ".dist"].iter().any(|end| name.ends_with(end));
    let text = String::from_utf8_lossy(&content[..content.len().min(SEARCHED)]);
    let is_certificate = || {
        let begins = |what: &str| text.trim_start().starts_with(what);
        (begins("-----BEGIN CERTIFICATE-----") || begins("-----BEGIN PUBLIC KEY-----"))
            && !text.contains("PRIVATE KEY-----")
            && content.len() <= SEARCHED
    };
    name.starts_with(".env.") && is_example || name.ends_with(".pem") && is_certificate()
}

/// Whether the content is a private key, or a client's file that holds a key or a login. Source code that
/// only mentions one does not count: it may have to be readable for everyone.
pub(super) fn holds_secret(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&content[..content.len().min(SEARCHED)]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let has_key = || text.contains("PRIVATE KEY-----");
    match text.as_bytes().first() {
        Some(b'-') => text.starts_with("-----BEGIN ") && has_key(),
        // openssl writes this before a key that it extracts from PKCS #12.
        Some(b'B') => text.starts_with("Bag Attributes") && has_key(),
        Some(b'P') => text.starts_with("PuTTY-User-Key-File-"),
        Some(b'A') => text.starts_with("AGE-SECRET-KEY-"),
        // A service account; a login of Docker's.
        Some(b'{') => has_key() || text.contains("\"auths\"") && text.contains("\"auth\""),
        // ~/.aws/credentials.
        Some(b'[') => text.lines().any(|line| line.trim_start().starts_with("aws_secret_access_key")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{holds_secret, is_public};

    #[test]
    fn public_files_with_such_names() {
        let certificate = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";
        let both = format!("{certificate}-----BEGIN PRIVATE KEY-----\n");
        for (path, content, expected) in [
            ("tls/fullchain.pem", certificate, true),
            ("public.pem", "-----BEGIN PUBLIC KEY-----\n", true),
            ("both.pem", both.as_str(), false),
            ("empty.pem", "", false),
            ("server.key", certificate, false),
            (".env.example", "A=1\n", true),
            ("app/.env.sample", "A=1\n", true),
            (".env.production", "A=1\n", false),
        ] {
            assert_eq!(is_public(path, content.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn what_is_in_a_file() {
        for (content, expected) in [
            ("-----BEGIN PRIVATE KEY-----\nMII\n", true),
            ("\u{feff}\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3\n", true),
            ("-----BEGIN CERTIFICATE-----\nMII\n-----BEGIN RSA PRIVATE KEY-----\n", true),
            ("-----BEGIN CERTIFICATE-----\nMII\n", false),
            ("-----BEGIN PUBLIC KEY-----\nMII\n", false),
            ("Bag Attributes\n  x\n-----BEGIN PRIVATE KEY-----\n", true),
            ("PuTTY-User-Key-File-3: ssh-ed25519\n", true),
            ("{\"type\": \"service_account\", \"private_key\": \"-----BEGIN PRIVATE KEY-----\\nMII\"}", true),
            ("{\"auths\": {\"ghcr.io\": {\"auth\": \"dTpw\"}}}", true),
            ("{\"auths\": {}}", false),
            ("[default]\naws_secret_access_key = x\n", true),
            ("[default]\nregion = x\n", false),
            ("if text.startswith('-----BEGIN PRIVATE KEY-----'):\n", false),
            ("# Keys\n\n    -----BEGIN PRIVATE KEY-----\n", false),
            ("", false),
        ] {
            assert_eq!(holds_secret(content.as_bytes()), expected, "{content}");
        }
        assert!(!holds_secret(&[0xff, 0xfe, b'-']));
    }
}
