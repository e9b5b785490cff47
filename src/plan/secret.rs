//! Hides secrets in the lines of files that a plan shows: a reviewer need not know them.
//!
//! A value is secret by the name before it, in the notations of common configuration files, or by its
//! form. A reference to a secret is shown.

use std::ops::Range;

/// Words of a name by which its value is a secret.
const WORDS: [&str; 15] = [
    "apikey",
    "authtoken",
    "accesskey",
    "credential",
    "credentials",
    "masterauth",
    "pass",
    "presharedkey",
    "privatekey",
    "pw",
    "pwd",
    "requirepass",
    "secretkey",
    "secrets",
    "token",
];

/// Parts of a word by which it is one of those.
const PARTS: [&str; 4] = ["password", "passwd", "passphrase", "secret"];

/// What a key is for, where it is a secret one.
const KEYS: [&str; 12] = [
    "access",
    "api",
    "app",
    "auth",
    "encryption",
    "jwt",
    "master",
    "preshared",
    "private",
    "secret",
    "session",
    "signing",
];

/// Last words of a name by which it only says where a secret is, or how it has to be.
const HARMLESS_ENDS: [&str; 17] = [
    "algorithm",
    "dir",
    "enabled",
    "endpoint",
    "expires",
    "expiry",
    "file",
    "header",
    "length",
    "lifetime",
    "name",
    "path",
    "policy",
    "required",
    "ttl",
    "type",
    "url",
];

/// Settings that have a blank before their value.
const DIRECTIVES: [&str; 6] = ["auth_pass", "masterauth", "passwd", "password", "requirepass", "rpcpassword"];

/// How hashed passwords begin, with and without Compose's doubled dollar signs.
const HASHES: [&str; 5] = [":$apr1$", ":$2", ":$$apr1$$", ":$$2", ":{SHA}"];

/// How well-known tokens begin.
const TOKENS: [&str; 10] =
    ["dckr_pat_", "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "rk_live_", "sk_live_", "xoxb-", "xoxp-"];

/// Whether what has this name is a secret: `POSTGRES_PASSWORD`, `clientSecret`, `api-key`.
pub fn names_secret(name: &str) -> bool {
    let words = words(name);
    if words.last().is_some_and(|last| HARMLESS_ENDS.contains(&last.as_str())) {
        return false;
    }
    let is_key =
        |pair: &[String]| matches!(pair, [what, key] if key == "key" && KEYS.contains(&what.as_str()));
    name == "_auth"
        || words.windows(2).any(is_key)
        || words
            .iter()
            .any(|word| WORDS.contains(&word.as_str()) || PARTS.iter().any(|part| word.contains(part)))
}

/// A name's words, in lower case: `dbPassword` and `DB_PASSWORD` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        let begins = !before.is_alphanumeric() || before.is_lowercase() && c.is_uppercase();
        before = c;
        match words.last_mut() {
            _ if !c.is_alphanumeric() => {}
            Some(word) if !begins => word.extend(c.to_lowercase()),
            _ => words.push(c.to_lowercase().collect()),
        }
    }
    words
}

/// Whether a file is called like a secret, and holds that alone: `db_password.txt`, `token`.
pub fn is_secret_file(path: &str, text: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().filter(|stem| !stem.is_empty()).unwrap_or(name);
    let is_text = !name.contains('.') || name.ends_with(".txt") || name.ends_with(".secret");
    is_text && names_secret(stem) && text.lines().count() <= 3
}

/// The lines of a text, with `…` for the secrets in them.
pub fn without_secrets(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut block = Block::None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let shown = match block {
            Block::Key if line.contains("-----END ") => {
                block = Block::None;
                line.to_owned()
            }
            Block::Below(outer) if indent <= outer && !line.trim().is_empty() => {
                block = Block::None;
                hide(line)
            }
            Block::Key | Block::Below(_) if !line.trim().is_empty() => format!("{}…", &line[..indent]),
            Block::Key | Block::Below(_) => line.to_owned(),
            Block::None => hide(line),
        };
        if matches!(block, Block::None) {
            if line.contains("-----BEGIN ") && line.trim_end().ends_with("PRIVATE KEY-----") {
                block = Block::Key;
            } else if secrets(line)
                .any(|value| matches!(line[value].trim_end(), "|" | ">" | "|-" | ">-" | "|+" | ">+"))
            {
                block = Block::Below(indent);
            }
        }
        lines.push(shown);
    }
    lines
}

/// Lines that are secret as a whole.
enum Block {
    None,
    /// Those of a private key.
    Key,
    /// A block of YAML, as far as its lines are indented by more than this.
    Below(usize),
}

fn hide(line: &str) -> String {
    let mut ranges: Vec<_> = secrets(line).filter(|value| is_given(&line[value.clone()])).collect();
    ranges.extend(by_form(line));
    ranges.sort_by_key(|range| range.start);
    let (mut shown, mut from) = (String::new(), 0);
    for range in ranges {
        if range.start < from {
            continue;
        }
        shown.push_str(&line[from..range.start]);
        shown.push('…');
        from = range.end;
    }
    shown + &line[from..]
}

/// Where values of settings are whose name says that they are secret.
fn secrets(line: &str) -> impl Iterator<Item = Range<usize>> {
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + line.get(from..)?.find(is_of_name)?;
            let length = line[start..].find(|c| !is_of_name(c)).unwrap_or(line.len() - start);
            let end = start + length;
            from = end;
            if let Some(value) = value(line, start..end) {
                from = value.end;
                return Some(value);
            }
        }
    })
}

/// Where the value of a secret setting is, if that is the name of one.
fn value(line: &str, name: Range<usize>) -> Option<Range<usize>> {
    let (before, rest) = (&line[..name.start], &line[name.end..]);
    let name = &line[name];
    let behind = rest.trim_start();
    let quoted = behind.starts_with(['"', '\'']);
    let unquoted = behind.trim_start_matches(['"', '\'', ']']).trim_start();
    let value = if before.ends_with('<') && rest.starts_with('>') {
        rest.get(1..)?
    } else if let Some(value) = unquoted.strip_prefix("=>").or_else(|| unquoted.strip_prefix(":=")) {
        value
    } else if before.ends_with('/') && rest.starts_with(':') {
        // An image's tag.
        return None;
    } else if unquoted.starts_with("==") || unquoted.starts_with("://") || unquoted.starts_with("::") {
        return None;
    } else if let Some(value) = unquoted.strip_prefix(['=', ':']) {
        value
    } else if quoted && let Some(value) = unquoted.strip_prefix(',') {
        // `define('DB_PASSWORD', 'x')`.
        value
    } else if name.starts_with("--") && rest.starts_with(' ') {
        // `--requirepass x`, in a command.
        let value = rest.trim_start();
        let start = line.len() - value.len();
        let length = value.find([' ', '"', '\'', ',']).unwrap_or(value.len());
        let is_value = length > 0 && !value.starts_with('-');
        return (is_value && names_secret(name)).then_some(start..start + length);
    } else if name.eq_ignore_ascii_case("password") && rest.starts_with(" '") {
        // SQL.
        rest
    } else if DIRECTIVES.contains(&name)
        && (before.trim().is_empty() || before.starts_with("machine "))
        && rest.starts_with([' ', '\t'])
        && (rest.split_whitespace().count() == 1 || rest.trim_start().starts_with('"'))
    {
        rest
    } else {
        return None;
    };
    if !names_secret(name) {
        return None;
    }
    let start = line.len() - value.trim_start().len();
    let value = value.trim();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let ends = match quote {
        Some(quote) => {
            value.char_indices().skip(1).find(|(at, c)| *c == quote && !value[..*at].ends_with('\\'))
        }
        None if before.ends_with('<') => value.find('<').map(|at| (at, '<')),
        None => None,
    };
    Some(match (quote, ends) {
        // Without the quotes.
        (Some(_), Some((end, _))) => start + 1..start + end,
        (_, Some((end, _))) => start..start + end,
        (_, None) => start..start + value.len(),
    })
}

/// Whether a value is one, and neither a reference nor code that gives it.
fn is_given(value: &str) -> bool {
    let value = value.trim().trim_end_matches([',', ';']);
    let is_code = || {
        let name =
            value.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.')).unwrap_or(value.len());
        name > 0 && value[name..].starts_with(['(', '[']) || value.starts_with("process.env.")
    };
    let refers = ["$", "{{", "%(", "*", "!", "/run/", "/etc/", "/var/", "./", "../"];
    let nothing = [
        "", "true", "false", "yes", "no", "null", "nil", "none", "None", "~", "|", ">", "|-", ">-", "|+",
        ">+", "[", "{", "[]", "{}",
    ];
    !nothing.contains(&value)
        && !refers.iter().any(|start| value.starts_with(start))
        && !value.starts_with(['[', '{', '#'])
        && !is_code()
}

/// Where hashed passwords and well-known tokens are.
fn by_form(line: &str) -> Vec<Range<usize>> {
    let end = |from: usize| {
        let rest = &line[from..];
        from + rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',')).unwrap_or(rest.len())
    };
    let hashes = HASHES.iter().flat_map(|hash| line.match_indices(hash)).map(|(at, _)| at + 1..end(at + 1));
    let tokens = TOKENS.iter().flat_map(|token| line.match_indices(token)).map(|(at, _)| at..end(at));
    let bearers = ["Bearer ", "Basic "]
        .into_iter()
        .flat_map(|word| line.match_indices(word))
        .map(|(at, found)| at + found.len()..end(at + found.len()));
    let bearers = bearers.filter(|range| is_given(&line[range.clone()]));
    hashes.chain(tokens).chain(bearers).filter(|range| range.len() >= 8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        for (text, expected) in [
            ("POSTGRES_PASSWORD: hunter2", "POSTGRES_PASSWORD: …"),
            ("      - \"MYSQL_ROOT_PASSWORD=a b\"", "      - \"MYSQL_ROOT_PASSWORD=…"),
            ("DB_PW=x", "DB_PW=…"),
            ("export API_KEY='x y' # c", "export API_KEY='…' # c"),
            ("{\"password\": \"x\", \"user\": \"u\"}", "{\"password\": \"…\", \"user\": \"u\"}"),
            ("  clientSecret: abc", "  clientSecret: …"),
            ("client_secret = abc", "client_secret = …"),
            ("requirepass x", "requirepass …"),
            ("requirepass \"x y\"", "requirepass \"…\""),
            ("PresharedKey = QUJD=", "PresharedKey = …"),
            ("PrivateKey = QUJD=", "PrivateKey = …"),
            ("PublicKey = QUJD=", "PublicKey = QUJD="),
            ("machine h login u password p", "machine h login u password …"),
            ("//registry.example/:_authToken=x", "//registry.example/:_authToken=…"),
            ("_auth = eA==", "_auth = …"),
            ("define( 'DB_PASSWORD', 'x' );", "define( 'DB_PASSWORD', '…' );"),
            ("    'password' => 'x',", "    'password' => '…',"),
            ("$config['db_password'] = 'x';", "$config['db_password'] = '…';"),
            ("<password>x</password>", "<password>…</password>"),
            ("auth_pass 1111", "auth_pass …"),
            ("create user a with password 'x y';", "create user a with password '…';"),
            (
                "proxy_set_header Authorization \"Basic dTpwdw==\";",
                "proxy_set_header Authorization \"Basic …\";",
            ),
            (
                "command: redis-server --requirepass x --port 1",
                "command: redis-server --requirepass … --port 1",
            ),
            (
                "command: [\"redis-server\", \"--requirepass\", \"x\"]",
                "command: [\"redis-server\", \"--requirepass\", \"…\"]",
            ),
            ("command: x --token=y", "command: x --token=…"),
            ("admin:$apr1$aaaaaaaa$bbbb", "admin:…"),
            ("- traefik.x.users=u:$$2y$$05$$aaaaaaaaaa,v:{SHA}bbbbbbbbbbbb", "- traefik.x.users=u:…,v:…"),
            ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer …"),
            ("x: glpat-abcdefghijkl", "x: …"),
            ("token: 'it\\'s'", "token: '…'"),
            ("PASSWORD: ü", "PASSWORD: …"),
            ("key: |", "key: |"),
            ("key: |\n  a\nb: c", "key: |\n  a\nb: c"),
            ("private_key: |\n  a\n\n  b\nb: c", "private_key: |\n  …\n\n  …\nb: c"),
            (
                "x: |\n  -----BEGIN PRIVATE KEY-----\n  MII\n  -----END PRIVATE KEY-----\n  y",
                "x: |\n  -----BEGIN PRIVATE KEY-----\n  …\n  -----END PRIVATE KEY-----\n  y",
            ),
        ] {
            assert_eq!(without_secrets(text).join("\n"), expected);
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in [
            "POSTGRES_PASSWORD: ${PASSWORD}",
            "POSTGRES_PASSWORD_FILE: /run/secrets/password",
            "secrets:",
            "secrets: [password]",
            "      - source: password",
            "  password: {file: ./password}",
            "password: /run/secrets/password",
            "token: *token",
            "token = os.environ[\"TOKEN\"]",
            "const token = getToken();",
            "password: process.env.PASSWORD,",
            "proxy_pass http://app;",
            "if token == other {",
            "max_tokens: 4096",
            "token_lifetime: 3600",
            "password_policy: strong",
            "secret_name: x",
            "A password is needed: see below",
            "password of the server is in the vault",
            "image: vault/secret:1",
            "key: value",
            "http://token://x",
            "enable_password: true",
            "[\"CMD\", \"pg_isready\"]",
            "ü: ü",
            "command: x --no-password --port 1",
            "command: x --password ${PASSWORD} y",
            "Authorization: Bearer $TOKEN_OF_THE_DAY",
        ] {
            assert_eq!(without_secrets(text).join("\n"), text);
        }
    }

    #[test]
    fn files_that_are_called_like_secrets() {
        for (path, text, expected) in [
            ("/srv/a/c/db_password.txt", "x\n", true),
            ("c/token", "x", true),
            ("secret.txt", "x\ny\n", true),
            ("tokens.py", "x\n", false),
            ("password.php", "x\n", false),
            ("password.txt", "a\nb\nc\nd\n", false),
            ("notes.txt", "x\n", false),
        ] {
            assert_eq!(is_secret_file(path, text), expected, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn lines_stay_lines(text in "(password|token|<|>|=|:|\"|'|,| |\n|ü|[a-z$|]|-----BEGIN PRIVATE KEY-----){0,20}") {
            assert_eq!(without_secrets(&text).len(), text.lines().count());
        }
    }
}
