//! The `WWW-Authenticate` header: how a server asks for credentials.
//!
//! It tells clients where to get tokens. Its grammar is full of traps: commas separate parameters
//! *and* challenges, and they occur in quotes.

use std::fmt;

/// The longest header that is read, in bytes; a realm and some scopes fit many times.
const LONGEST: usize = 16 * 1024;

/// One challenge: a scheme and its parameters (RFC 9110 §11.3).
///
/// ```
/// let header = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull,push""#;
/// let challenges = token::Challenge::parse_all([header]).unwrap();
/// assert!(challenges[0].is("bearer"));
/// assert_eq!(challenges[0].parameter("scope"), Some("repository:a:pull,push"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// `Bearer`, `Basic`, …, as it was written.
    pub scheme: String,
    /// The parameters in their order, names in lower case.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Reads every challenge of some `WWW-Authenticate` fields, of which each may hold several (RFC
    /// 9110 §11.6.1). A challenge that cannot be read is skipped with the rest of its field if there
    /// is another one.
    ///
    /// # Errors
    /// If there is no other one.
    pub fn parse_all<'a>(
        fields: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Self>, ChallengeError> {
        let (mut challenges, mut wrong) = (Vec::new(), None);
        for field in fields {
            if let Err(error) = Self::parse_field(field, &mut challenges) {
                wrong.get_or_insert(error);
            }
        }
        match wrong {
            Some(error) if challenges.is_empty() => Err(error),
            _ => Ok(challenges),
        }
    }

    fn parse_field(field: &str, into: &mut Vec<Self>) -> Result<(), ChallengeError> {
        if field.len() > LONGEST {
            return Err(ChallengeError::TooLong {
                length: field.len(),
            });
        }
        let before = into.len();
        let parsed = Reader { field, rest: field }.challenges(into);
        if parsed.is_err() && into.len() > before {
            // The last one is not whole.
            into.pop();
        }
        parsed
    }

    /// Whether it is of this scheme; case does not matter (RFC 9110 §11.1).
    #[must_use]
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of the parameter called `name` (in lower case).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// As a header's value, every parameter quoted.
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.scheme)?;
        for (i, (name, value)) in self.parameters.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            write!(f, "{}{name}=\"{value}\"", if i == 0 { " " } else { "," })?;
        }
        Ok(())
    }
}

/// Why a header is not a challenge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    /// Longer than 16384 bytes.
    #[error("a WWW-Authenticate field of {length} bytes, more than {LONGEST}")]
    TooLong {
        /// How long it is.
        length: usize,
    },
    /// A character at a wrong place.
    #[error("WWW-Authenticate cannot be read at byte {position}: {field}")]
    Grammar {
        /// The whole field.
        field: String,
        /// Where the reading stopped.
        position: usize,
    },
    /// A quote opens and never closes.
    #[error("WWW-Authenticate has a quote that never closes: {0}")]
    Unclosed(String),
}

/// What is left of a field.
struct Reader<'a> {
    field: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn challenges(mut self, into: &mut Vec<Challenge>) -> Result<(), ChallengeError> {
        let first = into.len();
        loop {
            self.skip(|c| c == ',' || is_space(c));
            if self.rest.is_empty() {
                return Ok(());
            }
            let word = self.token()?;
            // `name=` continues the challenge before; anything else begins one.
            if into.len() > first && self.equals_sign() {
                let value = self.value()?;
                if let Some(challenge) = into.last_mut() {
                    challenge
                        .parameters
                        .push((word.to_ascii_lowercase(), value));
                }
                continue;
            }
            into.push(Challenge {
                scheme: word.to_owned(),
                parameters: Vec::new(),
            });
            self.credentials()?;
        }
    }

    /// What some schemes write instead of parameters (RFC 9110 §11.2, token68): read and dropped,
    /// for neither Bearer nor Basic has it in a challenge.
    fn credentials(&mut self) -> Result<(), ChallengeError> {
        let before = self.rest;
        if !before.starts_with(is_space) && !before.is_empty() && !before.starts_with(',') {
            return Err(self.stuck());
        }
        self.skip(is_space);
        let start = self.rest;
        self.skip(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        self.skip(|c| c == '=');
        self.skip(is_space);
        if !(self.rest.is_empty() || self.rest.starts_with(',')) {
            self.rest = start;
        }
        Ok(())
    }

    fn token(&mut self) -> Result<&'a str, ChallengeError> {
        let start = self.rest;
        self.skip(is_token);
        match &start[..start.len() - self.rest.len()] {
            "" => Err(self.stuck()),
            token => Ok(token),
        }
    }

    /// Passes `=` with the white space that RFC 9110 §5.6.3 calls bad and still allows.
    fn equals_sign(&mut self) -> bool {
        match self.rest.trim_start_matches(is_space).strip_prefix('=') {
            Some(rest) => {
                self.rest = rest.trim_start_matches(is_space);
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Result<String, ChallengeError> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            // Some servers write `service=` without a value.
            if self.rest.is_empty() || self.rest.starts_with(',') {
                return Ok(String::new());
            }
            return self.token().map(str::to_owned);
        };
        let (mut value, mut escaped) = (String::new(), false);
        for (at, c) in quoted.char_indices() {
            match c {
                _ if escaped => {
                    value.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    self.rest = &quoted[at + 1..];
                    return Ok(value);
                }
                c => value.push(c),
            }
        }
        Err(ChallengeError::Unclosed(self.field.to_owned()))
    }

    fn skip(&mut self, what: impl Fn(char) -> bool) {
        self.rest = self.rest.trim_start_matches(what);
    }

    fn stuck(&self) -> ChallengeError {
        ChallengeError::Grammar {
            field: self.field.to_owned(),
            position: self.field.len() - self.rest.len(),
        }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

/// RFC 9110 §5.6.2.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schemes(fields: &[&str]) -> Vec<String> {
        Challenge::parse_all(fields.iter().copied())
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn reads_what_registries_send() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:odewahn/myalpine:pull""#;
        assert_eq!(schemes(&[hub]), [hub]);
        assert_eq!(
            schemes(&[r#"Basic realm="Registry Realm""#]),
            [r#"Basic realm="Registry Realm""#]
        );
        let spaced = r#"bearer   Realm = "https://a/b" , error=invalid_token ,"#;
        assert_eq!(
            schemes(&[spaced]),
            [r#"bearer realm="https://a/b",error="invalid_token""#]
        );
        assert_eq!(schemes(&[""]), [""; 0]);
    }

    #[test]
    fn tells_several_challenges_apart() {
        let one = r#"Bearer realm="a,b",service="s", Basic realm="r""#;
        let two = r#"Negotiate, Digest dG9rZW4=, Basic realm=r"#;
        assert_eq!(
            schemes(&[one, two]),
            [
                r#"Bearer realm="a,b",service="s""#,
                r#"Basic realm="r""#,
                "Negotiate",
                "Digest",
                r#"Basic realm="r""#
            ]
        );
    }

    #[test]
    fn a_challenge_that_cannot_be_read_does_not_hide_another() {
        let good = r#"Bearer realm="https://a/token""#;
        for bad in [
            r#"Negotiate {"x"}"#,
            r#"Digest nonce="x"#,
            "Basic realm=(x)",
        ] {
            assert_eq!(schemes(&[bad, good]), [good], "{bad}");
            assert_eq!(schemes(&[good, bad]), [good], "{bad}");
            let both = format!("{good}, {bad}");
            assert_eq!(schemes(&[&both])[0], good, "{bad}");
        }
        assert_eq!(schemes(&["=", good]), [good]);
    }

    #[test]
    fn a_parameter_may_be_empty() {
        let written = r#"Bearer realm="https://a/token",service=,scope="#;
        let read = r#"Bearer realm="https://a/token",service="",scope="""#;
        assert_eq!(schemes(&[written]), [read]);
    }

    #[test]
    fn unescapes_quotes() {
        let challenges = Challenge::parse_all([r#"Basic realm="a \"b\" \\ é""#]).unwrap();
        assert_eq!(challenges[0].parameter("realm"), Some(r#"a "b" \ é"#));
    }

    #[test]
    fn what_is_no_challenge_says_where() {
        let wrong = |field: &str| Challenge::parse_all([field]).unwrap_err().to_string();
        assert_eq!(
            wrong(r#"="x""#),
            r#"WWW-Authenticate cannot be read at byte 0: ="x""#
        );
        assert_eq!(
            wrong(r#"Bearer realm="x" "y""#),
            r#"WWW-Authenticate cannot be read at byte 17: Bearer realm="x" "y""#
        );
        assert_eq!(
            wrong(r#"Bearer realm="x"#),
            r#"WWW-Authenticate has a quote that never closes: Bearer realm="x"#
        );
        assert_eq!(
            wrong("Basic a=b,realm=(x)"),
            "WWW-Authenticate cannot be read at byte 16: Basic a=b,realm=(x)"
        );
        assert!(wrong(&"x".repeat(LONGEST + 1)).contains("16385 bytes"));
    }

    proptest! {
        #[test]
        fn print_and_parse(scheme in "[A-Za-z]{1,9}", parameters in proptest::collection::vec(("[a-z]{1,9}", "\\PC{0,20}"), 1..4)) {
            let challenge = Challenge { scheme, parameters };
            prop_assert_eq!(Challenge::parse_all([challenge.to_string().as_str()]), Ok(vec![challenge]));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = Challenge::parse_all([text.as_str()]);
        }
    }
}
