//! The token server without a socket: requests in, responses out.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first failure"
)]

mod api_scopes;
mod casbin;
mod device;
mod endpoint;
mod events;
mod exchange;
mod external_policies;
mod limits;
mod refresh;
mod sessions;
mod stored_rules;
mod support;
