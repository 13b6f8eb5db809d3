//! Every operation of the API.

use http::Method;

use crate::operation::ApiOperation;
use crate::resources::{
    account, audit, audit_events, explanations, immutable_tags, notifications, quotas, robots,
    rules, sessions, tokens, trust, users,
};

/// The path of the OpenAPI document, the only one that needs no token.
pub(crate) const OPENAPI: &str = "/openapi.json";

/// The table. The types of a row's handler say which scope it needs.
pub(crate) fn operations() -> Vec<ApiOperation> {
    use ApiOperation as Op;
    let get = |path| (Method::GET, path);
    vec![
        Op::new(
            get("/account"),
            "showAccount",
            "Show who the caller is",
            account::show,
        ),
        Op::new(
            get("/users"),
            "listUsers",
            "List the accounts of the database, by name",
            users::list,
        ),
        Op::new(
            (Method::POST, "/users"),
            "createUser",
            "Add an account",
            users::create,
        ),
        Op::new(
            get("/users/{name}"),
            "showUser",
            "Show an account",
            users::show,
        ),
        Op::new(
            (Method::PATCH, "/users/{name}"),
            "updateUser",
            "Change the password, the labels or the state of an account",
            users::update,
        ),
        Op::new(
            (Method::DELETE, "/users/{name}"),
            "removeUser",
            "Remove an account and its tokens",
            users::remove,
        ),
        Op::new(
            get("/robots"),
            "listRobots",
            "List the robots, by owner",
            robots::list,
        ),
        Op::new(
            (Method::POST, "/robots"),
            "createRobot",
            "Add a robot, and show its secret once",
            robots::create,
        ),
        Op::new(
            get("/robots/{name}"),
            "showRobot",
            "Show a robot",
            robots::show,
        ),
        Op::new(
            (Method::PATCH, "/robots/{name}"),
            "updateRobot",
            "Disable or enable a robot",
            robots::update,
        ),
        Op::new(
            (Method::DELETE, "/robots/{name}"),
            "removeRobot",
            "Remove a robot, and revoke its secrets",
            robots::remove,
        ),
        Op::new(
            (Method::POST, "/robots/{name}/secrets"),
            "rotateRobot",
            "Replace the secret of a robot, and show the new one once",
            robots::rotate,
        ),
        Op::new(
            get("/tokens"),
            "listTokens",
            "List the personal tokens, by owner",
            tokens::list,
        ),
        Op::new(
            (Method::POST, "/tokens"),
            "createToken",
            "Create a personal token, and show its secret once",
            tokens::create,
        ),
        Op::new(
            get("/tokens/{id}"),
            "showToken",
            "Show a personal token",
            tokens::show,
        ),
        Op::new(
            (Method::DELETE, "/tokens/{id}"),
            "revokeToken",
            "Revoke a personal token",
            tokens::revoke,
        ),
        Op::new(
            (Method::POST, "/tokens/{id}/secrets"),
            "rotateToken",
            "Replace the secret of a personal token, and show the new one once",
            tokens::rotate,
        ),
        Op::new(
            get("/rules"),
            "listRules",
            "List the rules of the database, in their order",
            rules::list,
        ),
        Op::new(
            (Method::POST, "/rules"),
            "createRule",
            "Add a rule",
            rules::create,
        ),
        Op::new(
            get("/rules/{number}"),
            "showRule",
            "Show a rule",
            rules::show,
        ),
        Op::new(
            (Method::PATCH, "/rules/{number}"),
            "updateRule",
            "Move a rule",
            rules::update,
        ),
        Op::new(
            (Method::DELETE, "/rules/{number}"),
            "removeRule",
            "Remove a rule",
            rules::remove,
        ),
        Op::new(
            get("/immutable-tags"),
            "listImmutableTagRules",
            "List the rules of the database that make tags immutable",
            immutable_tags::list,
        ),
        Op::new(
            (Method::POST, "/immutable-tags"),
            "createImmutableTagRule",
            "Add a rule that makes tags immutable",
            immutable_tags::create,
        ),
        Op::new(
            get("/immutable-tags/{number}"),
            "showImmutableTagRule",
            "Show a rule that makes tags immutable",
            immutable_tags::show,
        ),
        Op::new(
            (Method::DELETE, "/immutable-tags/{number}"),
            "removeImmutableTagRule",
            "Remove a rule that makes tags immutable",
            immutable_tags::remove,
        ),
        Op::new(
            get("/quotas"),
            "listQuotas",
            "List the quotas of the registry and what is used of them, by prefix",
            quotas::list,
        ),
        Op::new(
            get("/sessions"),
            "listSessions",
            "List the sessions that are valid now, by account",
            sessions::list,
        ),
        Op::new(
            (Method::DELETE, "/sessions"),
            "revokeSessions",
            "Revoke all sessions of an account",
            sessions::revoke_all,
        ),
        Op::new(
            (Method::DELETE, "/sessions/{id}"),
            "revokeSession",
            "Revoke a session",
            sessions::revoke,
        ),
        Op::new(
            get("/audit"),
            "listChanges",
            "List the administration log, the latest change first",
            audit::list,
        ),
        Op::new(
            get("/audit/events"),
            "listEvents",
            "List what happened, the latest event first",
            audit_events::list,
        ),
        Op::new(
            get("/notifications"),
            "listNotifications",
            "List what became of notifications, the latest first",
            notifications::list,
        ),
        Op::new(
            (Method::POST, "/notifications/retries"),
            "retryNotifications",
            "Send notifications again",
            notifications::retry,
        ),
        Op::new(
            (Method::POST, "/trust/checks"),
            "checkTrust",
            "Say which issuer and rule take a workload's token, or what is wrong with it",
            trust::check,
        ),
        Op::new(
            (Method::POST, "/explanations"),
            "explain",
            "Explain what an account or a token is granted, and by which rules",
            explanations::explain,
        ),
    ]
}
