//! `docker_auth`'s `ext_authz`: a program that says what an account may do.

use common::BoxFuture;
use identity::LoginSource;
use identity::process::{ProcessError, Program};
use policy::{AclQuery, Labels};
use serde::Serialize;

use super::go_json::go_json;
use super::{AuthorizeError, Authorizer, DecidedBy, Decision};

const NAME: &str = "ext_authz";

/// The program of `ext_authz`. It reads one JSON object on standard input. Its exit code is the
/// answer: 0 grants all that was asked and 1 nothing of it.
pub struct ExtAuthz {
    program: Program,
}

/// Why the program has no answer.
#[derive(Debug, thiserror::Error)]
enum ExtAuthzError {
    #[error("the program could not be run to its end")]
    Process(#[source] ProcessError),
    #[error(
        "the program ended with code {code}, not 0 (grant all) or 1 (grant nothing); its standard error: {stderr:?}"
    )]
    Code { code: i32, stderr: String },
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

    async fn ask(
        &self,
        query: &AclQuery<'_>,
        source: &LoginSource,
    ) -> Result<Option<Decision>, AuthorizeError> {
        let output = self.program.run(source, question(query).as_bytes()).await;
        let output = output.map_err(not_run)?;
        let granted = match output.code {
            0 => query.actions.to_vec(),
            1 => Vec::new(),
            code => {
                let stderr = output.stderr;
                return Err(failed(ExtAuthzError::Code { code, stderr }));
            }
        };
        Ok(Some(Decision {
            granted,
            by: DecidedBy {
                policy: Some(NAME),
                rule: None,
            },
        }))
    }
}

impl Authorizer for ExtAuthz {
    fn name(&self) -> &'static str {
        NAME
    }

    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>> {
        Box::pin(self.ask(query, source))
    }
}

fn not_run(error: ProcessError) -> AuthorizeError {
    match error {
        ProcessError::Busy => AuthorizeError::Busy { policy: NAME },
        ProcessError::Start { .. }
        | ProcessError::Limit { .. }
        | ProcessError::Output
        | ProcessError::Signal { .. }
        | ProcessError::Lost(_) => failed(ExtAuthzError::Process(error)),
    }
}

fn failed(error: ExtAuthzError) -> AuthorizeError {
    AuthorizeError::Policy {
        policy: NAME,
        source: error.into(),
    }
}

/// The question as `docker_auth` writes it.
fn question(query: &AclQuery<'_>) -> String {
    go_json(&Question {
        account: query.account,
        r#type: query.resource_type,
        name: query.name,
        service: query.service,
        ip: query.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        actions: query.actions,
        labels: (!query.labels.is_empty()).then_some(query.labels),
    })
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
