//! `--trace`: shows the six steps of token authentication as they happen.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;

use client::{ExchangeEvent, ExchangeObserver, Step};
use common::{Clock, SystemClock, escape_line, escape_lines, rfc3339, unix_seconds};
use token::{Access, Scope, UnverifiedToken};

use crate::when::relative;

/// Writes each exchange to standard error.
pub(crate) struct Trace {
    /// Several exchanges may run at once; each is written as a whole.
    line: Mutex<()>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            line: Mutex::new(()),
        }
    }
}

impl ExchangeObserver for Trace {
    fn observe(&self, event: &ExchangeEvent<'_>) {
        let text = shown(event, unix_seconds(SystemClock.now()));
        let _guard = self.line.lock();
        // The command goes on without its trace.
        let _ = std::io::stderr()
            .lock()
            .write_all(escape_lines(&text).as_bytes());
    }
}

/// An event as lines.
fn shown(event: &ExchangeEvent<'_>, now: u64) -> String {
    let mut text = String::new();
    let written = match event {
        ExchangeEvent::Request {
            step,
            method,
            url,
            headers,
            form,
        } => writeln!(text, "{} > {method} {url}", number(*step, 0)).and_then(|()| {
            pairs(&mut text, headers, ": ")?;
            pairs(&mut text, form, " = ")
        }),
        ExchangeEvent::Response {
            step,
            status,
            headers,
        } => writeln!(text, "{} < {status}", number(*step, 1))
            .and_then(|()| pairs(&mut text, headers, ": ")),
        ExchangeEvent::Failed(error) => writeln!(text, "  ! {}", escape_line(&error.to_string())),
        ExchangeEvent::Challenged(challenge) => {
            writeln!(text, "    challenge: {}", challenge.scheme).and_then(|()| {
                challenge.parameters.iter().try_for_each(|(name, value)| {
                    writeln!(text, "      {name:10} {}", escape_line(value))
                })
            })
        }
        ExchangeEvent::Granted {
            asked,
            token,
            lifetime,
            refresh_token,
        } => {
            let refresh_token = if *refresh_token {
                ", with a refresh token"
            } else {
                ""
            };
            writeln!(
                text,
                "    token valid for {} s{refresh_token}",
                lifetime.as_secs()
            )
            .and_then(|()| match token {
                Some(token) => granted(&mut text, asked, token, now),
                None => writeln!(
                    text,
                    "      requested  {asked}\n      it is not a JWT: only the registry can read it"
                ),
            })
        }
        ExchangeEvent::Retry { after, reason } => {
            writeln!(
                text,
                "  ~ trying again in {} ms: {}",
                after.as_millis(),
                escape_line(reason)
            )
        }
        ExchangeEvent::Redirected {
            to,
            with_authorization,
        } => {
            let authorization = if *with_authorization {
                "with"
            } else {
                "without"
            };
            writeln!(
                text,
                "    redirected to {to}, {authorization} Authorization header"
            )
        }
        _ => Ok(()),
    };
    // Writing into a string does not fail.
    let _ = written;
    text
}

fn number(step: Step, which: usize) -> String {
    let numbers = step.numbers().map(|(ask, answer)| [ask, answer][which]);
    numbers.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

fn pairs(text: &mut String, pairs: &[(String, String)], between: &str) -> std::fmt::Result {
    pairs
        .iter()
        .try_for_each(|(name, value)| writeln!(text, "    {name}{between}{}", escape_line(value)))
}

/// The requested and the granted access, and the claims.
fn granted(text: &mut String, asked: &str, token: &UnverifiedToken, now: u64) -> std::fmt::Result {
    let header = token.header();
    let mut key = vec![header.algorithm.clone()];
    key.extend(header.key_id.iter().map(|id| format!("kid {id}")));
    key.extend(header.jwk.iter().map(|_| "jwk".to_owned()));
    key.extend(
        header
            .x5c
            .iter()
            .map(|chain| format!("x5c of {} certificate(s)", chain.len())),
    );
    let Ok(claims) = token.claims() else {
        return writeln!(
            text,
            "      claims     {}",
            escape_line(token.claims_json())
        );
    };
    let time = |seconds: u64| match seconds {
        0 => "missing".to_owned(),
        seconds => format!("{} ({})", rfc3339(seconds), relative(seconds, now)),
    };
    let subject = if claims.subject.is_empty() {
        "anonymous"
    } else {
        &claims.subject
    };
    let rows = [
        (
            "requested",
            if asked.is_empty() {
                "nothing".to_owned()
            } else {
                asked.to_owned()
            },
        ),
        ("granted", access(&claims.access)),
        ("missing", missing(asked, &claims.access)),
        ("header", key.join(", ")),
        ("iss", claims.issuer.clone()),
        ("sub", subject.to_owned()),
        ("aud", claims.audience.join(", ")),
        ("iat", time(claims.issued_at)),
        ("nbf", time(claims.not_before)),
        ("exp", time(claims.expires_at)),
        ("jti", claims.id.clone()),
    ];
    let shown = rows.iter().filter(|(_, value)| !value.is_empty());
    shown
        .into_iter()
        .try_for_each(|(name, value)| writeln!(text, "      {name:10} {}", escape_line(value)))
}

fn access(access: &[Access]) -> String {
    let entries = access.iter().map(|entry| {
        format!(
            "{}:{}:{}",
            entry.resource_type,
            entry.name,
            entry.actions.join(",")
        )
    });
    let all: Vec<String> = entries.collect();
    if all.is_empty() {
        "nothing".to_owned()
    } else {
        all.join(" ")
    }
}

/// What was requested and not granted.
fn missing(asked: &str, access: &[Access]) -> String {
    let granted = |scope: &Scope| -> BTreeSet<&str> {
        let same = |entry: &&Access| {
            entry.resource_type == scope.resource_type && entry.name == scope.name
        };
        access
            .iter()
            .filter(same)
            .flat_map(|entry| entry.actions.iter().map(String::as_str))
            .collect()
    };
    let scopes = asked
        .split(' ')
        .filter_map(|scope| scope.parse::<Scope>().ok());
    let lacking = scopes.filter_map(|scope| {
        let granted = granted(&scope);
        let lacks = |action: &&String| !granted.contains(action.as_str()) && !granted.contains("*");
        let actions: Vec<String> = scope.actions.iter().filter(lacks).cloned().collect();
        (!actions.is_empty()).then(|| {
            format!(
                "{}:{}:{}",
                scope.resource_type,
                scope.name,
                actions.join(",")
            )
        })
    });
    lacking.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use data_encoding::BASE64URL_NOPAD;
    use token::Challenge;

    use super::*;

    fn token(claims: &str) -> UnverifiedToken {
        let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let text = format!(
            "{}.{}.{}",
            part(r#"{"alg":"ES256","kid":"K","x5c":["x"]}"#),
            part(claims),
            part("signature")
        );
        UnverifiedToken::parse(&text).unwrap()
    }

    #[test]
    fn a_token_is_taken_apart() {
        let claims = r#"{"iss":"Acme","sub":"ann","aud":"registry","iat":1000,"nbf":990,"exp":1900,"jti":"j",
            "access":[{"type":"repository","name":"a","actions":["pull"]}]}"#;
        let token = token(claims);
        let event = ExchangeEvent::Granted {
            asked: "repository:a:pull,push",
            token: Some(&token),
            lifetime: Duration::from_secs(900),
            refresh_token: true,
        };
        let expected = "    \
    token valid for 900 s, with a refresh token
      requested  repository:a:pull,push
      granted    repository:a:pull
      missing    repository:a:push
      header     ES256, kid K, x5c of 1 certificate(s)
      iss        Acme
      sub        ann
      aud        registry
      iat        1970-01-01T00:16:40Z (10s ago)
      nbf        1970-01-01T00:16:30Z (20s ago)
      exp        1970-01-01T00:31:40Z (in 14m 50s)
      jti        j
";
        assert_eq!(shown(&event, 1010), expected);
    }

    #[test]
    fn a_challenge_is_taken_apart() {
        let challenge =
            &Challenge::parse_all([r#"Bearer realm="https://a/t",scope="repository:a:pull""#])
                .unwrap()[0];
        let expected = "    challenge: Bearer\n      realm      https://a/t\n      scope      repository:a:pull\n";
        assert_eq!(shown(&ExchangeEvent::Challenged(challenge), 0), expected);
    }

    #[test]
    fn everything_is_missing_from_nothing() {
        assert_eq!(
            missing("repository:a:pull registry:catalog:*", &[]),
            "repository:a:pull registry:catalog:*"
        );
        let all = Access {
            resource_type: "repository".into(),
            name: "a".into(),
            actions: vec!["*".into()],
        };
        assert_eq!(missing("repository:a:delete", &[all]), "");
    }
}
