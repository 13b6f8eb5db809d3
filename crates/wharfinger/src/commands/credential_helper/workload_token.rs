//! The token that a platform gave, or gives, to this job or pod.

use std::path::Path;
use std::time::Duration;

use client::Host;
use common::Secret;
use openid::{ProviderClient, RequestAuthorization};
use serde::Deserialize;
use serde_json::Value;
use token::UnverifiedToken;

use crate::failure::Failure;
use crate::files;

/// How long the platform may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The answer of GitHub's and Forgejo's token service.
#[derive(Deserialize)]
struct IdTokenResponse {
    value: String,
}

/// The platform's token for `host`; `None` outside of a job, and for a registry that it is not for.
///
/// A token that is sent to another registry than the one that it is for could be used there by that
/// other registry. So its audience is the registry, or `WHARFINGER_REGISTRY` names the registry.
pub(super) async fn workload_token(
    host: &Host,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Secret>, Failure> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let name = host.to_string();
    let named = variable("WHARFINGER_REGISTRY");
    let is_named = named
        .as_ref()
        .map(|named| named.split(',').any(|named| named.trim() == name));
    if is_named == Some(false) {
        return Ok(None);
    }
    let is_named = is_named.is_some();
    let own = match variable("WHARFINGER_ID_TOKEN_FILE") {
        Some(file) => Some(files::read(Path::new(&file))?.trim().into()),
        None => variable("WHARFINGER_ID_TOKEN").map(Secret::from),
    };
    if let Some(token) = own {
        let is_for_host = is_named || audiences(&token).contains(&name);
        return Ok(is_for_host.then_some(token));
    }
    let (Some(url), Some(bearer)) = (
        variable("ACTIONS_ID_TOKEN_REQUEST_URL"),
        variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
    ) else {
        return Ok(None);
    };
    let audience = match variable("WHARFINGER_AUDIENCE") {
        Some(audience) if is_named => audience,
        Some(_) => {
            return Err(
                Failure::usage("WHARFINGER_AUDIENCE is set without WHARFINGER_REGISTRY")
                    .hint("name the registry that may get tokens with this audience"),
            );
        }
        None => name,
    };
    request(&url, &bearer.into(), &audience).await.map(Some)
}

/// Asks the job's platform for a token.
async fn request(url: &str, bearer: &Secret, audience: &str) -> Result<Secret, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::system("the platform gives this job no token").caused_by(error)
    };
    let client = ProviderClient::new(TIMEOUT).map_err(|error| failed(&error))?;
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("audience", audience)
        .finish();
    let separator = if url.contains('?') { '&' } else { '?' };
    let response = client
        .requiring_encryption()
        .get(
            &format!("{url}{separator}{query}"),
            RequestAuthorization::Bearer(bearer),
        )
        .await
        .map_err(|error| failed(&error))?;
    let answer: IdTokenResponse = response.json().map_err(|error| {
        failed(&error).hint("a job of GitHub Actions needs `permissions: {id-token: write}`")
    })?;
    Ok(answer.value.into())
}

/// The audiences that a token names, unverified: this program only decides where to send it.
fn audiences(token: &Secret) -> Vec<String> {
    let claims = UnverifiedToken::parse(token.expose())
        .ok()
        .and_then(|token| serde_json::from_str::<Value>(token.claims_json()).ok());
    match claims.as_ref().and_then(|claims| claims.get("aud")) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}
