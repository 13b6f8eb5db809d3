//! What programs and servers are asked: may this account do this?

use policy::{AclQuery, Labels};
use serde::Serialize;

use super::go_json::go_json;

/// The question, its members spelt and ordered as `docker_auth` sends them to `ext_authz`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Question<'a> {
    account: &'a str,
    r#type: &'a str,
    name: &'a str,
    service: &'a str,
    #[serde(rename = "IP")]
    ip: String,
    actions: &'a [String],
    labels: Option<&'a Labels>,
}

impl<'a> Question<'a> {
    pub(super) fn about(query: &AclQuery<'a>) -> Self {
        Self {
            account: query.account,
            r#type: query.resource_type,
            name: query.name,
            service: query.service,
            ip: query.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            actions: query.actions,
            labels: (!query.labels.is_empty()).then_some(query.labels),
        }
    }

    pub(super) fn to_json(&self) -> String {
        #[expect(
            clippy::expect_used,
            reason = "strings and maps with string keys always have a JSON form"
        )]
        serde_json::to_string(self).expect("a question is plain data")
    }

    /// The question as `docker_auth` writes it.
    pub(super) fn to_go_json(&self) -> String {
        go_json(self)
    }
}

/// A question that asks for nothing, to see whether there is an answer.
pub(super) fn probe_query() -> AclQuery<'static> {
    static NO_LABELS: Labels = Labels::new();
    AclQuery {
        account: "",
        labels: &NO_LABELS,
        resource_type: "repository",
        name: "",
        service: "",
        ip: None,
        actions: &[],
    }
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
            Question::about(&query).to_go_json(),
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
            Question::about(&query).to_go_json(),
            r#"{"Account":"a\"b\\\u0001\n","Type":"t","Name":"n","Service":"","IP":"","Actions":[],"Labels":{"group":["\u003c\u0026\u003e","é\u2028"]}}"#
        );
    }
}
