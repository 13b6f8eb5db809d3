//! The token on the command line, in the forms in which users have it.

use serde_json::Value;

use crate::failure::Failure;
use crate::files;

/// The bare token in `argument`, or on standard input when that is `-`.
pub(super) fn token(argument: &str) -> Result<String, Failure> {
    let text = if argument == "-" {
        files::read_standard_input()?.to_string()
    } else {
        argument.to_owned()
    };
    let token = bare(&text).ok_or_else(|| {
        Failure::negative("there is no token in this JSON")
            .hint("a token endpoint answers {\"token\": \"…\"}")
    })?;
    if token.is_empty() {
        Err(Failure::usage("there is no token: nothing was given"))
    } else {
        Ok(token)
    }
}

fn bare(text: &str) -> Option<String> {
    let text = text.trim();
    if text.starts_with('{') {
        let answer: Value = serde_json::from_str(text).ok()?;
        let token = ["token", "access_token"]
            .iter()
            .find_map(|name| answer.get(name)?.as_str());
        return token.map(str::to_owned);
    }
    let text = without_prefix(text, "authorization:");
    let text = without_prefix(text, "bearer ");
    let text = text.trim_matches(['"', '\'']);
    // Terminals and mails break long lines.
    Some(text.split_whitespace().collect())
}

/// RFC 9110 §11.1: the scheme's case does not matter, nor does a header's.
fn without_prefix<'a>(text: &'a str, prefix: &str) -> &'a str {
    match text.split_at_checked(prefix.len()) {
        Some((head, rest)) if head.eq_ignore_ascii_case(prefix) => rest.trim_start(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_the_token() {
        for text in [
            "a.b.c",
            "  a.b.c\n",
            "Bearer a.b.c",
            "bearer a.b.c",
            "Authorization: Bearer a.b.c",
            "\"a.b.c\"",
            "a.\n  b.c",
            r#"{"token": "a.b.c", "expires_in": 300}"#,
            r#"{"access_token": "a.b.c"}"#,
        ] {
            assert_eq!(bare(text).as_deref(), Some("a.b.c"), "{text}");
        }
        assert_eq!(bare(r#"{"errors": []}"#), None);
        assert_eq!(bare("{"), None);
    }
}
