//! The query, and its scopes.

use super::{Row, get_url, row};

pub(super) fn rows() -> Vec<Row> {
    let malformed = |name, query| row(name, auth(query), 400, "hexadecimal");
    let accepted = |name, query| row(name, auth(query), 200, "token");
    vec![
        malformed("a lone percent", "service=%"),
        malformed("half an escape", "service=%4"),
        malformed("an escape of letters", "service=%zz"),
        malformed("an escape in a name", "%zz=1"),
        accepted("a nul byte in the service", "service=a%00b"),
        accepted("a newline in the service", "service=a%0d%0ab"),
        accepted("a service that is not UTF-8", "service=%ff%fe"),
        accepted("the same parameter twice", "service=a&service=b"),
        row(
            "an account without password",
            auth("account=alice"),
            401,
            "incorrect",
        ),
        accepted("only separators", "&&&==&"),
    ]
}

pub(super) fn scopes() -> Vec<Row> {
    let scope = |scope: &str| auth(&format!("scope={scope}"));
    let malformed = |name, text: &str| row(name, scope(text), 400, "type:name:actions");
    let without_type = |name, text: &str| row(name, scope(text), 400, "no resource type");
    let accepted = |name, text: &str| row(name, scope(text), 200, "token");
    let many = |count: usize| vec!["repository:a:pull"; count].join("%20");
    let long_name = format!("repository:{}:pull", "a".repeat(20_000));
    let many_actions = format!("repository:a:{}", "pull,".repeat(4_000));
    vec![
        malformed("a scope of one part", "repository"),
        malformed("a scope of two parts", "repository:a"),
        malformed("a scope of five parts", "a:b:c:d:e"),
        without_type("a scope without type", ":a:pull"),
        without_type("a scope whose type is upper case", "REPO:a:pull"),
        malformed("a trailing space", "repository:a:pull%20"),
        malformed("a double space", "repository:a:pull++repository:b:pull"),
        malformed("an empty second scope", "repository:a:pull&scope="),
        accepted("a hundred scopes", &many(100)),
        row(
            "a hundred and one scopes",
            scope(&many(101)),
            400,
            "at most 100",
        ),
        accepted("a scope without name", "repository::pull"),
        accepted("a scope without actions", "repository:a:"),
        accepted("a path for a name", "repository:../../etc/passwd:pull"),
        accepted("a nul byte in a name", "repository:a%00b:pull"),
        accepted("a name of 20,000 letters", &long_name),
        accepted("ten thousand actions", &many_actions),
    ]
}

fn auth(query: &str) -> String {
    get_url(&format!("/auth?{query}"))
}
