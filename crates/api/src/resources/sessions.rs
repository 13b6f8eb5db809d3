//! `/sessions`: refresh tokens, of the caller or of all.

use auth::sessions::{
    RevokedBy, Selection, SessionPosition, SessionRecord, Sessions, SessionsError, without_ended,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::authority::{ApiCaller, Reach};
use crate::call::{ApiCall, InQuery};
use crate::pages::{Cursor, PageLimit};
use crate::problem::ApiProblem;
use crate::reply::{NoContent, Page, Shown};
use crate::scope::{SessionsRead, SessionsWrite};

/// Which sessions are listed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionListParameters {
    /// Only those of this account.
    #[serde(default)]
    account: Option<String>,
    /// The `next` of the page before. Without it, the first page.
    #[serde(default)]
    after: Cursor,
    /// How many items at most. A page may have fewer, and still a next one.
    #[serde(default)]
    limit: PageLimit,
}

/// Whose sessions are revoked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevocationParameters {
    /// The account.
    account: String,
}

/// How many sessions were revoked.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RevokedSessions")]
pub struct RevokedSessionsView {
    /// The sessions that were not revoked before.
    pub revoked: usize,
}

pub(crate) async fn list(
    call: ApiCall<SessionsRead, InQuery<SessionListParameters>>,
) -> Result<Page<SessionRecord>, ApiProblem> {
    let SessionListParameters {
        account,
        after,
        limit,
    } = &call.input.0;
    let account = match call.caller.reach() {
        Reach::Everything => account.clone(),
        Reach::Own => Some(own(&call.caller, account.as_deref())?),
    };
    let selection = account.map_or(Selection::All, Selection::Account);
    let after = after.position(position)?;
    let now = call.state.clock.now();
    let page = sessions(&call)?.page(selection, after, limit.get(), now);
    let page = page.await?;
    let accounts = call.state.stores.token_server.accounts();
    let valid = without_ended(page.sessions, accounts).await;
    let items = valid.into_iter().map(SessionRecord::from).collect();
    let next = page
        .next
        .map(|next| format!("{} {}", next.id, next.account));
    Ok(call.page(items, next.as_deref()))
}

pub(crate) async fn revoke(call: ApiCall<SessionsWrite>) -> Result<NoContent, ApiProblem> {
    let id = call.parameter("id").to_owned();
    let selection = match call.caller.reach() {
        Reach::Everything => Selection::Id(id),
        Reach::Own => Selection::IdOf {
            id,
            account: call.caller.account().to_owned(),
        },
    };
    match end(&call, selection).await? {
        0 => Err(ApiProblem::not_found(
            "there is no session with this id, or it was revoked already",
        )),
        _ => Ok(NoContent),
    }
}

pub(crate) async fn revoke_all(
    call: ApiCall<SessionsWrite, InQuery<RevocationParameters>>,
) -> Result<Shown<RevokedSessionsView>, ApiProblem> {
    let RevocationParameters { account } = &call.input.0;
    let account = match call.caller.reach() {
        Reach::Everything => account.clone(),
        Reach::Own => own(&call.caller, Some(account))?,
    };
    let revoked = end(&call, Selection::Account(account)).await?;
    Ok(Shown {
        value: RevokedSessionsView { revoked },
        tag: None,
    })
}

/// Ends sessions, in the name of the caller.
async fn end<I>(
    call: &ApiCall<SessionsWrite, I>,
    selection: Selection,
) -> Result<usize, ApiProblem> {
    let by = RevokedBy::Administrator(call.caller.administrator());
    let now = call.state.clock.now();
    let revoked = sessions(call)?.revoke(selection, by, now);
    Ok(revoked.await?)
}

fn sessions<S, I>(call: &ApiCall<S, I>) -> Result<&Sessions, ApiProblem> {
    let sessions = call.state.stores.sessions.as_ref();
    sessions.ok_or_else(|| ApiProblem::not_found("this server keeps no sessions"))
}

/// The caller's own account, if the request names no other one.
fn own(caller: &ApiCaller, account: Option<&str>) -> Result<String, ApiProblem> {
    match account {
        Some(account) if account != caller.account() => Err(ApiProblem::only_own(
            "the token is for your own sessions: leave the parameter `account` away, or ask for a \
             scope for all of them",
        )),
        Some(_) | None => Ok(caller.account().to_owned()),
    }
}

/// The place that a cursor names: an id, which has no space, and an account.
fn position(key: &str) -> Option<SessionPosition> {
    let (id, account) = key.split_once(' ')?;
    Some(SessionPosition {
        account: account.to_owned(),
        id: id.to_owned(),
    })
}

impl From<SessionsError> for ApiProblem {
    fn from(error: SessionsError) -> Self {
        match error {
            SessionsError::Database(error) => error.into(),
            error => Self::internal(error),
        }
    }
}
