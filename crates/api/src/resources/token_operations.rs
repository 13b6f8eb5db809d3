//! What is done with robots and with personal tokens alike: they differ in who may, and in how one is
//! named.

use std::time::Duration;

use common::IpNetwork;
use personal_tokens::{CreatedSecret, NewToken, NewTokenHolder, TokenFilter, TokenKind};
use policy::ScopeCeiling;

use super::token_view::{CreatedTokenView, NewSecret, TokenView, created, key, position, store};
use crate::call::{ApiCall, CallInput, InBody};
use crate::pages::{Cursor, PageLimit};
use crate::problem::ApiProblem;
use crate::reply::{CreatedObject, NoContent, Page};
use crate::scope::RequiredScope;

/// What a new token may do, and for how long.
pub(super) struct TokenTerms {
    pub(super) ceiling: ScopeCeiling,
    pub(super) networks: Vec<IpNetwork>,
    pub(super) lifetime: Option<Duration>,
}

/// A page of the tokens of this kind that `filter` selects.
pub(super) async fn page<S: RequiredScope, I: CallInput>(
    call: &ApiCall<S, I>,
    kind: TokenKind,
    owner: Option<String>,
    (after, limit): (&Cursor, &PageLimit),
) -> Result<Page<TokenView>, ApiProblem> {
    let filter = TokenFilter {
        kind: Some(kind),
        owner,
        ..TokenFilter::default()
    };
    let after = position(after, kind)?;
    let tokens = store(call)?.page(filter, after, limit.get()).await?;
    let next = limit.last_if_full(&tokens);
    let next = next.map(|token| key(&token.position()));
    let items = tokens.iter().map(TokenView::from).collect();
    Ok(call.page(items, next.as_deref()))
}

pub(super) async fn create<S: RequiredScope, I: CallInput>(
    call: &ApiCall<S, I>,
    holder: NewTokenHolder,
    terms: TokenTerms,
) -> Result<CreatedSecret, ApiProblem> {
    let new = NewToken {
        holder,
        ceiling: terms.ceiling,
        networks: terms.networks,
        lifetime: terms.lifetime,
    };
    let owners = call.state.stores.token_server.accounts();
    let (by, now) = (call.caller.administrator(), call.state.clock.now());
    Ok(store(call)?.create(new, owners, &by, now).await?)
}

pub(super) async fn revoke<S: RequiredScope, I: CallInput>(
    call: &ApiCall<S, I>,
    token: TokenFilter,
) -> Result<NoContent, ApiProblem> {
    let (by, now) = (call.caller.administrator(), call.state.clock.now());
    let precondition = call.if_match();
    store(call)?
        .revoke_one(token, precondition, &by, now)
        .await?;
    Ok(NoContent)
}

pub(super) async fn rotate<S: RequiredScope>(
    call: &ApiCall<S, InBody<NewSecret>>,
    token: TokenFilter,
) -> Result<CreatedObject<CreatedTokenView>, ApiProblem> {
    let (by, now) = (call.caller.administrator(), call.state.clock.now());
    let (rotation, precondition) = (call.input.0.rotation()?, call.if_match());
    let rotated = store(call)?.rotate(token, rotation, precondition, &by, now);
    Ok(created(&rotated.await?, call.parent()))
}
