//! The scopes of the API: what a token must grant for an operation.

use std::fmt;

use auth::OWN_NAME as OWN;
use policy::API_TYPE;

/// What an operation needs: an action on one kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiScope {
    /// `users`, `robots`, …, or [`OWN`].
    pub name: &'static str,
    /// `read`, `write`, …
    pub action: &'static str,
}

/// The scopes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeRequirement {
    /// With this one, the caller may do it.
    pub full: ApiScope,
    /// With this one, the caller may do it with their own objects.
    pub own: Option<ApiScope>,
}

/// A scope requirement as a type, so that a handler's signature says what it needs.
pub(crate) trait RequiredScope: Send + 'static {
    const NEEDED: ScopeRequirement;
}

/// Declares scope requirements: `Name: name action`, with `, or own action` for one's own objects.
macro_rules! scopes {
    ($($(#[$doc:meta])* $type:ident: $name:literal $action:literal $(or own $own:literal)?;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $type;

        impl RequiredScope for $type {
            const NEEDED: ScopeRequirement = ScopeRequirement {
                full: ApiScope { name: $name, action: $action },
                own: scopes!(@own $($own)?),
            };
        }
    )*};
    (@own) => { None };
    (@own $own:literal) => { Some(ApiScope { name: OWN, action: $own }) };
}

scopes! {
    /// See what is one's own.
    OwnRead: "own" "read";
    /// See robots.
    RobotsRead: "robots" "read";
    /// Change robots.
    RobotsWrite: "robots" "write";
    /// See personal tokens.
    TokensRead: "tokens" "read" or own "read";
    /// Create personal tokens, or other secrets of them.
    TokensCreate: "tokens" "write" or own "create";
    /// Revoke personal tokens.
    TokensRevoke: "tokens" "write" or own "revoke";
    /// See rules.
    RulesRead: "rules" "read";
    /// Change rules.
    RulesWrite: "rules" "write";
    /// See the rules that make tags immutable.
    ImmutableTagsRead: "immutable-tags" "read";
    /// Change the rules that make tags immutable.
    ImmutableTagsWrite: "immutable-tags" "write";
    /// See quotas.
    QuotasRead: "quotas" "read";
    /// See sessions.
    SessionsRead: "sessions" "read" or own "read";
    /// End sessions.
    SessionsWrite: "sessions" "write" or own "revoke";
    /// See the administration log.
    AuditRead: "audit" "read";
    /// See what became of notifications.
    NotificationsRead: "notifications" "read";
    /// Send notifications again.
    NotificationsWrite: "notifications" "write";
    /// Check the tokens of workloads.
    TrustRead: "trust" "read";
    /// Explain what accounts are granted.
    ExplainRead: "explain" "read";
    /// See accounts.
    UsersRead: "users" "read";
    /// Change accounts.
    UsersWrite: "users" "write";
}

impl fmt::Display for ApiScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{API_TYPE}:{}:{}", self.name, self.action)
    }
}

/// The scopes that a client asks for, separated by a space.
impl fmt::Display for ScopeRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.full)?;
        self.own.map_or(Ok(()), |own| write!(f, " {own}"))
    }
}
