//! `/robots`: accounts for machines.

use personal_tokens::{NewTokenHolder, PersonalTokensError, TokenFilter, TokenKind, TokenName};
use schemars::JsonSchema;
use serde::Deserialize;

use super::token_operations::{self, TokenTerms};
use super::token_view::{
    CreatedTokenView, NewCeilingEntry, NewSecret, TokenView, ceiling, created, length, name,
    networks, shown, store,
};
use crate::body::{nullable, present};
use crate::call::{ApiCall, InBody, InPatch, InQuery};
use crate::pages::{Cursor, PageLimit};
use crate::problem::ApiProblem;
use crate::reply::{CreatedObject, NoContent, Page, Shown};
use crate::scope::{RobotsRead, RobotsWrite};

/// Which robots are listed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RobotListParameters {
    /// Only robots of this person.
    #[serde(default)]
    owner: Option<String>,
    /// The `next` of the page before. Without it, the first page.
    #[serde(default)]
    after: Cursor,
    /// How many items at most.
    #[serde(default)]
    limit: PageLimit,
}

/// A robot that is to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRobot {
    /// Its name, without `robot+`.
    name: String,
    /// The account of the person that owns it; null, or absent, for the system.
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

/// A merge patch of a robot (RFC 7396). What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RobotPatch {
    /// Whether its secrets are refused.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "bool")]
    disabled: Option<bool>,
}

pub(crate) async fn list(
    call: ApiCall<RobotsRead, InQuery<RobotListParameters>>,
) -> Result<Page<TokenView>, ApiProblem> {
    let RobotListParameters {
        owner,
        after,
        limit,
    } = &call.input.0;
    let page = (after, limit);
    token_operations::page(&call, TokenKind::Robot, owner.clone(), page).await
}

pub(crate) async fn create(
    call: ApiCall<RobotsWrite, InBody<NewRobot>>,
) -> Result<CreatedObject<CreatedTokenView>, ApiProblem> {
    let body = &call.input.0;
    let holder = NewTokenHolder::Robot {
        name: name(&body.name)?,
        owner: body.owner.clone(),
    };
    let terms = TokenTerms {
        ceiling: ceiling(body.ceiling.as_deref())?,
        networks: networks(&body.networks)?,
        lifetime: length("/ttl", body.ttl.as_deref())?,
    };
    let robot = token_operations::create(&call, holder, terms).await?;
    let location = call.location_of(robot.token.name.as_str());
    Ok(created(&robot, location))
}

pub(crate) async fn show(call: ApiCall<RobotsRead>) -> Result<Shown<TokenView>, ApiProblem> {
    let filter = TokenFilter::robot(named(&call)?);
    Ok(shown(&store(&call)?.find(filter).await?))
}

pub(crate) async fn update(
    call: ApiCall<RobotsWrite, InPatch<RobotPatch>>,
) -> Result<Shown<TokenView>, ApiProblem> {
    let (tokens, robot, by) = (store(&call)?, named(&call)?, call.caller.administrator());
    let Some(is_disabled) = call.input.0.disabled else {
        let robot = tokens.find(TokenFilter::robot(robot)).await?;
        call.if_match().require(&robot.version())?;
        return Ok(shown(&robot));
    };
    let (precondition, now) = (call.if_match(), call.state.clock.now());
    let changed = tokens.set_disabled(robot, is_disabled, precondition, &by, now);
    Ok(shown(&changed.await?))
}

pub(crate) async fn remove(call: ApiCall<RobotsWrite>) -> Result<NoContent, ApiProblem> {
    let robot = TokenFilter::robot(named(&call)?);
    token_operations::revoke(&call, robot).await
}

pub(crate) async fn rotate(
    call: ApiCall<RobotsWrite, InBody<NewSecret>>,
) -> Result<CreatedObject<CreatedTokenView>, ApiProblem> {
    let robot = TokenFilter::robot(named(&call)?);
    token_operations::rotate(&call, robot).await
}

/// The robot that the path names. A name that no robot can have is not found.
fn named<S, I>(call: &ApiCall<S, I>) -> Result<TokenName, ApiProblem>
where
    S: crate::scope::RequiredScope,
    I: crate::call::CallInput,
{
    let name = call.parameter("name").parse();
    name.map_err(|_| PersonalTokensError::NotFound.into())
}
