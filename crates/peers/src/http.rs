//! Requests that curl sends: its HTTP and TLS are not ours.

use std::process::Command;

use crate::{Output, program, run};

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The value of the first header field called `name` (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// The text after `"name":"` in a JSON body, up to the next quote. That is enough for tokens,
    /// which need no escapes.
    #[must_use]
    pub fn json_string(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("\"{name}\""))?;
        let rest = rest
            .trim_start()
            .strip_prefix(':')?
            .trim_start()
            .strip_prefix('"')?;
        rest.split('"').next()
    }
}

/// A plain `GET` of `url`.
///
/// # Panics
/// If there is no response.
#[must_use]
pub fn get(url: &str) -> Answer {
    request(&[url])
}

/// Runs curl with `arguments`: `["-u", "user:password", "-d", "grant_type=password", URL]`. Any
/// certificate is accepted.
///
/// # Panics
/// If there is no response.
#[must_use]
#[track_caller]
pub fn request(arguments: &[&str]) -> Answer {
    let output = curl(arguments);
    assert!(output.status.success(), "{output}");
    parse(&output.stdout)
}

/// [`request`], but `None` if there is no response.
#[must_use]
pub fn try_request(arguments: &[&str]) -> Option<Answer> {
    let output = curl(arguments);
    output.status.success().then(|| parse(&output.stdout))
}

fn curl(arguments: &[&str]) -> Output {
    run(Command::new(program("curl"))
        .args([
            "--silent",
            "--show-error",
            "--include",
            "--insecure",
            "--max-time",
            "60",
        ])
        .args(arguments))
}

/// Splits the output of `curl --include`. Interim responses (1xx) are dropped.
fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.trim_end(), ""));
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status line in {text:?}"));
    if (100..200).contains(&status) {
        return parse(body);
    }
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Answer {
        status,
        headers,
        body: body.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_an_answer() {
        let answer = parse(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\n\r\n{\"token\": \"a.b\"}",
        );
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(answer.json_string("token"), Some("a.b"));
        assert_eq!(answer.json_string("tok"), None);
    }
}
