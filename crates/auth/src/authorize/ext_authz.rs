//! A program that says what somebody may do: `docker_auth`'s `ext_authz`.

use identity::process::{ProcessError, Program};
use policy::{AclQuery, Labels};
use serde::Serialize;

/// The program of `ext_authz`: it reads one JSON object on standard input and answers with its exit
/// code, 0 for all that was asked and 1 for nothing of it.
pub struct ExtAuthz {
    program: Program,
}

/// Why a program gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExtAuthzError {
    /// It could not be run to its end.
    #[error("the program could not be run to its end")]
    Process(#[source] ProcessError),
    /// It ended with neither 0 nor 1.
    #[error(
        "the program ended with code {code}: 0 grants what was asked, 1 nothing of it, no other means anything; it \
         complained: {complaint:?}"
    )]
    Code {
        /// Its exit code.
        code: i32,
        /// The beginning of what it wrote to standard error.
        complaint: String,
    },
}

/// What the program reads, its members spelt and ordered as `docker_auth` sends them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Question<'a> {
    account: &'a str,
    r#type: &'a str,
    name: &'a str,
    service: &'a str,
    #[serde(rename = "IP")]
    ip: String,
    actions: &'a [String],
    labels: Option<&'a Labels>,
}

impl ExtAuthz {
    /// Asks `program` for every decision.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self { program }
    }

    pub(super) async fn decide(&self, query: &AclQuery<'_>) -> Result<Vec<String>, ExtAuthzError> {
        let finished = self
            .program
            .run(question(query).as_bytes())
            .await
            .map_err(ExtAuthzError::Process)?;
        match finished.code {
            0 => Ok(query.actions.to_vec()),
            1 => Ok(Vec::new()),
            code => Err(ExtAuthzError::Code {
                code,
                complaint: finished.complaint,
            }),
        }
    }
}

/// The question as Go's `encoding/json` writes it: without spaces, and with `<`, `>`, `&` and the
/// two line separators escaped, which outside of strings cannot occur.
fn question(query: &AclQuery<'_>) -> String {
    let question = Question {
        account: query.account,
        r#type: query.resource_type,
        name: query.name,
        service: query.service,
        ip: query.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        actions: query.actions,
        labels: (!query.labels.is_empty()).then_some(query.labels),
    };
    #[expect(
        clippy::expect_used,
        reason = "strings and maps with string keys always have a JSON form"
    )]
    let json = serde_json::to_string(&question).expect("a question is plain data");
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_has_docker_auth_s_seven_members() {
        let query = AclQuery {
            account: "user",
            labels: &Labels::new(),
            resource_type: "registry",
            name: "catalog",
            service: "Docker registry",
            ip: Some("111.250.164.33".parse().unwrap()),
            actions: &["*".to_owned()],
        };
        assert_eq!(
            question(&query),
            r#"{"Account":"user","Type":"registry","Name":"catalog","Service":"Docker registry","IP":"111.250.164.33","Actions":["*"],"Labels":null}"#
        );
    }

    #[test]
    fn the_question_is_escaped_as_go_escapes() {
        let labels = Labels::from([(
            "group".to_owned(),
            vec!["<&>".to_owned(), "é\u{2028}".to_owned()],
        )]);
        let query = AclQuery {
            account: "a\"b\\\u{1}\n",
            labels: &labels,
            resource_type: "t",
            name: "n",
            service: "",
            ip: None,
            actions: &[],
        };
        assert_eq!(
            question(&query),
            r#"{"Account":"a\"b\\\u0001\n","Type":"t","Name":"n","Service":"","IP":"","Actions":[],"Labels":{"group":["\u003c\u0026\u003e","é\u2028"]}}"#
        );
    }
}
