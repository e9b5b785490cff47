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
        // A service account; a login of Docker's.
        Some(b'{') => has_key() || text.contains("\"auths\"") && text.contains("\"auth\""),
        // ~/.aws/credentials.
        Some(b'[') => text.lines().any(|line| line.trim_start().starts_with("aws_secret_access_key")),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::holds_secret;

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
