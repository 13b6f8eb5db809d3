//! What robots and personal tokens share: how they are shown, what a new one is made of, and which
//! problem each error of their operations is.

use std::time::{Duration, SystemTime};

use common::{IpNetwork, parse_duration, rfc3339, unix_seconds, with_causes};
use personal_tokens::secret::sha256_hex;
use personal_tokens::{
    CeilingTextError, CreatedSecret, PersonalToken, PersonalTokens, PersonalTokensError, Rotation,
    TokenName, TokenPosition, TokenSecret, read_ceiling,
};
use policy::{CeilingEntry, ScopeCeiling};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::ApiCall;
use crate::etag::EntityTag;
use crate::pages::Cursor;
use crate::problem::ApiProblem;
use crate::reply::{CreatedObject, Shown};

/// A robot or a personal token, as commands with `--json` show it, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Token")]
pub struct TokenView {
    /// What lists and logs call it.
    pub id: String,
    /// The account in whose name access tokens are made: `robot+NAME` for a robot.
    pub account: String,
    /// Its name; a robot's without `robot+`.
    pub name: String,
    /// The person that owns it; null for a robot of the system.
    pub owner: Option<String>,
    /// The most that it may do; null for all that its owner may.
    pub ceiling: Option<Vec<CeilingEntry>>,
    /// Where it may be used from; empty for everywhere.
    pub networks: Vec<String>,
    /// When it was created (RFC 3339).
    pub created_at: String,
    /// Who created it.
    pub created_by: String,
    /// Whether it is refused until it is enabled again.
    pub disabled: bool,
    /// Its secrets, the latest first.
    pub secrets: Vec<TokenSecretView>,
}

/// What is known of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "TokenSecret")]
pub struct TokenSecretView {
    /// The SHA-256 of its text, in base 16.
    pub sha256: String,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it is over.
    pub expires_at: String,
    /// When it was last used, to the minute; null if never.
    pub last_used_at: Option<String>,
    /// From which address; empty if it was not known.
    pub last_used_from: Option<String>,
    /// For which repository; empty if for none.
    pub last_used_for: Option<String>,
}

/// A secret that was just made, and what it belongs to. It has no `Debug`, because of the secret.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CreatedToken")]
pub struct CreatedTokenView {
    /// The robot or the personal token.
    pub token: TokenView,
    /// The secret. It is stored nowhere, so it cannot be shown again.
    pub secret: String,
}

/// One entry of a ceiling that is to be set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewCeilingEntry")]
pub(crate) struct NewCeilingEntry {
    /// A pattern on the kind of resource: `repository`.
    #[serde(rename = "type")]
    resource_type: String,
    /// A pattern on its name: `team/*`.
    name: String,
    /// The actions that it allows; `*` is every one.
    actions: Vec<String>,
}

/// How a secret is replaced.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewSecret")]
pub(crate) struct NewSecret {
    /// How long the old secret stays valid, such as `1h`. Without it, the old secret ends at once.
    #[serde(default)]
    overlap: Option<String>,
    /// How long the new secret is valid, such as `30d`. Without it, as long as the old one was made
    /// to last.
    #[serde(default)]
    ttl: Option<String>,
}

impl NewSecret {
    pub(super) fn rotation(&self) -> Result<Rotation, ApiProblem> {
        let overlap = length("/overlap", self.overlap.as_deref())?;
        Ok(Rotation {
            overlap: overlap.unwrap_or_default(),
            lifetime: length("/ttl", self.ttl.as_deref())?,
        })
    }
}

/// The operations on robots and personal tokens.
pub(super) fn store<S, I>(call: &ApiCall<S, I>) -> Result<&PersonalTokens, ApiProblem> {
    let tokens = call.state.stores.personal_tokens.as_ref();
    tokens
        .ok_or_else(|| ApiProblem::not_found("this server keeps no robots and no personal tokens"))
}

/// The name of a new robot or token.
pub(super) fn name(text: &str) -> Result<TokenName, ApiProblem> {
    let name = text.parse::<TokenName>();
    name.map_err(|error| ApiProblem::invalid_value("/name", error.to_string()))
}

/// The ceiling of a new robot or token; `None` is all that its owner may.
pub(super) fn ceiling(entries: Option<&[NewCeilingEntry]>) -> Result<ScopeCeiling, ApiProblem> {
    let Some(entries) = entries else {
        return Ok(ScopeCeiling::Unlimited);
    };
    let entry = |entry: &NewCeilingEntry| CeilingEntry {
        resource_type: entry.resource_type.clone(),
        name: entry.name.clone(),
        actions: entry.actions.clone(),
    };
    read_ceiling(entries.iter().map(entry).collect()).map_err(|error| {
        let pointer = match &error {
            CeilingTextError::Pattern(_, error) => format!("/ceiling/{}", error.entry),
            _ => "/ceiling".to_owned(),
        };
        ApiProblem::invalid_value(pointer, with_causes(&error))
    })
}

/// Where a new robot or token may be used from.
pub(super) fn networks(texts: &[String]) -> Result<Vec<IpNetwork>, ApiProblem> {
    let networks = texts.iter().enumerate().map(|(index, text)| {
        let network = text.parse::<IpNetwork>();
        network.map_err(|error| {
            ApiProblem::invalid_value(format!("/networks/{index}"), error.to_string())
        })
    });
    networks.collect()
}

/// A length of time, if there is one at `pointer`.
pub(super) fn length(pointer: &str, text: Option<&str>) -> Result<Option<Duration>, ApiProblem> {
    let length = text.map(parse_duration).transpose();
    length.map_err(|error| ApiProblem::invalid_value(pointer, error.to_string()))
}

pub(super) fn shown(token: &PersonalToken) -> Shown<TokenView> {
    Shown {
        value: TokenView::from(token),
        tag: Some(EntityTag::of(&token.version())),
    }
}

/// 201 with the secret, which is shown only now.
pub(super) fn created(
    created: &CreatedSecret,
    location: String,
) -> CreatedObject<CreatedTokenView> {
    CreatedObject {
        value: CreatedTokenView::from(created),
        location,
        tag: Some(EntityTag::of(&created.token.version())),
    }
}

/// The key of a place in a list, which has one kind: `owner/name`. A name has no slash.
pub(super) fn key(position: &TokenPosition) -> String {
    format!("{}/{}", position.owner, position.name)
}

/// The place that a cursor names; `None` for the first page.
pub(super) fn position(
    after: &Cursor,
    kind: personal_tokens::TokenKind,
) -> Result<Option<TokenPosition>, ApiProblem> {
    after.position(|key| {
        let (owner, name) = key.rsplit_once('/')?;
        Some(TokenPosition {
            kind,
            owner: owner.to_owned(),
            name: name.parse().ok()?,
        })
    })
}

fn date(time: SystemTime) -> String {
    rfc3339(unix_seconds(time))
}

impl From<&PersonalToken> for TokenView {
    fn from(token: &PersonalToken) -> Self {
        Self {
            id: token.id.clone(),
            account: token.account().to_owned(),
            name: token.name.to_string(),
            owner: token.owner().map(str::to_owned),
            ceiling: token.ceiling.entries().map(<[_]>::to_vec),
            networks: token.networks.iter().map(ToString::to_string).collect(),
            created_at: date(token.created_at),
            created_by: token.created_by.clone(),
            disabled: token.disabled_at.is_some(),
            secrets: token.secrets.iter().map(TokenSecretView::from).collect(),
        }
    }
}

impl From<&TokenSecret> for TokenSecretView {
    fn from(secret: &TokenSecret) -> Self {
        let last = secret.last_use.as_ref();
        Self {
            sha256: sha256_hex(&secret.fingerprint),
            created_at: date(secret.created_at),
            expires_at: date(secret.expires_at),
            last_used_at: last.map(|last| date(last.time)),
            last_used_from: last.map(|last| last.address.clone()),
            last_used_for: last.map(|last| last.repository.clone()),
        }
    }
}

impl From<&CreatedSecret> for CreatedTokenView {
    fn from(created: &CreatedSecret) -> Self {
        Self {
            token: TokenView::from(&created.token),
            secret: created.secret.expose().to_owned(),
        }
    }
}

impl From<PersonalTokensError> for ApiProblem {
    fn from(error: PersonalTokensError) -> Self {
        use PersonalTokensError as E;
        match error {
            E::Database(error) => error.into(),
            E::Backend(error) => error.into(),
            E::Precondition(failed) => failed.into(),
            E::NameTaken(_) => Self::already_exists(error.to_string()),
            E::OwnerUnknown(_) | E::OwnerUnverifiable { .. } | E::OwnedByRobot => {
                Self::invalid_value("/owner", error.to_string())
            }
            E::TooManyNetworks => Self::invalid_value("/networks", error.to_string()),
            E::NoCeiling => Self::invalid_value("/ceiling", error.to_string()),
            E::TooLong(_) | E::TooShort => Self::invalid_value("/ttl", error.to_string()),
            E::TooMany { .. } => Self::limit_reached(error.to_string()),
            E::NotFound => Self::not_found(error.to_string()),
            _ => Self::internal(error),
        }
    }
}
