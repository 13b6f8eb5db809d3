//! The kinds of password hashes that exist and are not supported.

/// The beginning of each, and its name.
const KINDS: &[(&str, &str)] = &[
    ("$apr1$", "an Apache MD5 hash ($apr1$)"),
    ("{SHA}", "an unsalted SHA-1 hash ({SHA})"),
    ("{SSHA}", "a salted SHA-1 hash ({SSHA})"),
    ("$1$", "an MD5 crypt hash ($1$)"),
    ("$5$", "a SHA-256 crypt hash ($5$)"),
    ("$6$", "a SHA-512 crypt hash ($6$)"),
    ("$7$", "a scrypt hash ($7$)"),
    ("$scrypt$", "a scrypt hash"),
    ("$y$", "a yescrypt hash ($y$)"),
    ("$gy$", "a gost-yescrypt hash ($gy$)"),
    ("$pbkdf2", "a PBKDF2 hash"),
    ("$argon2i$", "an argon2i hash"),
    ("$argon2d$", "an argon2d hash"),
];

/// The most likely kind of `text`, which is neither bcrypt nor argon2id.
pub(super) fn name(text: &str) -> &'static str {
    if let Some((_, name)) = KINDS.iter().find(|(prefix, _)| text.starts_with(prefix)) {
        return name;
    }
    if text.len() == 13
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte))
    {
        return "a traditional crypt hash (DES), or a plain password";
    }
    "a plain password, or an unknown kind of hash"
}
