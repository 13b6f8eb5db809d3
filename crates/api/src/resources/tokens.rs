//! `/tokens`: personal tokens, of the caller or of all.

use personal_tokens::{NewTokenHolder, TokenFilter, TokenKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::token_operations::{self, TokenTerms};
use super::token_view::{
    CreatedTokenView, NewCeilingEntry, NewSecret, TokenView, ceiling, created, length, name,
    networks, shown, store,
};
use crate::authority::{ApiCaller, Reach};
use crate::body::nullable;
use crate::call::{ApiCall, CallInput, InBody, InQuery};
use crate::pages::{Cursor, PageLimit};
use crate::problem::ApiProblem;
use crate::reply::{CreatedObject, NoContent, Page, Shown};
use crate::scope::{RequiredScope, TokensCreate, TokensRead, TokensRevoke};

/// The owner that stands for every person.
const EVERY_PERSON: &str = "*";

/// Which personal tokens are listed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenListParameters {
    /// The account of the person that owns them; `*` for every person. Without it, the caller.
    #[serde(default)]
    owner: Option<String>,
    /// The `next` of the page before. Without it, the first page.
    #[serde(default)]
    after: Cursor,
    /// How many items at most.
    #[serde(default)]
    limit: PageLimit,
}

/// A personal token that is to be created.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPersonalToken {
    /// What its owner calls it.
    name: String,
    /// The account of the person that owns it. Without it, the caller.
    #[serde(default)]
    owner: Option<String>,
    /// The most that it may do; null for all that its owner may. It must be there.
    #[serde(deserialize_with = "nullable")]
    ceiling: Option<Vec<NewCeilingEntry>>,
    /// Where it may be used from, such as `10.0.0.0/8`; empty, or absent, for everywhere.
    #[serde(default)]
    networks: Vec<String>,
    /// How long its secret is valid, such as `30d`. Without it, `personal_tokens.ttl`.
    #[serde(default)]
    ttl: Option<String>,
}

pub(crate) async fn list(
    call: ApiCall<TokensRead, InQuery<TokenListParameters>>,
) -> Result<Page<TokenView>, ApiProblem> {
    let TokenListParameters {
        owner,
        after,
        limit,
    } = &call.input.0;
    let owner = match owner.as_deref() {
        Some(EVERY_PERSON) if call.caller.reach() == Reach::Everything => None,
        owner => Some(owned_by(&call.caller, owner)?),
    };
    token_operations::page(&call, TokenKind::Personal, owner, (after, limit)).await
}

pub(crate) async fn create(
    call: ApiCall<TokensCreate, InBody<NewPersonalToken>>,
) -> Result<CreatedObject<CreatedTokenView>, ApiProblem> {
    let body = &call.input.0;
    let holder = NewTokenHolder::Person {
        account: owned_by(&call.caller, body.owner.as_deref())?,
        name: name(&body.name)?,
    };
    let terms = TokenTerms {
        ceiling: ceiling(body.ceiling.as_deref())?,
        networks: networks(&body.networks)?,
        lifetime: length("/ttl", body.ttl.as_deref())?,
    };
    let token = token_operations::create(&call, holder, terms).await?;
    let location = call.location_of(&token.token.id);
    Ok(created(&token, location))
}

pub(crate) async fn show(call: ApiCall<TokensRead>) -> Result<Shown<TokenView>, ApiProblem> {
    Ok(shown(&store(&call)?.find(named(&call)).await?))
}

pub(crate) async fn revoke(call: ApiCall<TokensRevoke>) -> Result<NoContent, ApiProblem> {
    token_operations::revoke(&call, named(&call)).await
}

pub(crate) async fn rotate(
    call: ApiCall<TokensCreate, InBody<NewSecret>>,
) -> Result<CreatedObject<CreatedTokenView>, ApiProblem> {
    token_operations::rotate(&call, named(&call)).await
}

/// The token that the path names. If the caller may only have their own, another's is not there: the
/// owner is a condition of the operation, so nothing can change between a check and the change.
fn named<S: RequiredScope, I: CallInput>(call: &ApiCall<S, I>) -> TokenFilter {
    TokenFilter {
        kind: Some(TokenKind::Personal),
        id: Some(call.parameter("id").to_owned()),
        owner: match call.caller.reach() {
            Reach::Everything => None,
            Reach::Own => Some(call.caller.account().to_owned()),
        },
        ..TokenFilter::default()
    }
}

/// The owner that a request names, or the caller.
fn owned_by(caller: &ApiCaller, owner: Option<&str>) -> Result<String, ApiProblem> {
    let owner = owner.unwrap_or(caller.account());
    if caller.reach() == Reach::Own && owner != caller.account() {
        return Err(ApiProblem::only_own(
            "the token is for your own tokens: leave `owner` away, or ask for a scope for all of \
             them",
        ));
    }
    Ok(owner.to_owned())
}
