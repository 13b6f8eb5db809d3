//! The section `api`: the HTTP API, for programs and for people without a shell on the server.

use identity::Rate;

use super::diagnostics::Problem;
use super::registry::{Auth as RegistryAuth, RegistryServerConfig};
use super::schema::key;
use super::section::Section;

/// The API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiConfig {
    /// The `aud` of its tokens.
    pub(crate) service: String,
    /// How many requests an account may make, and an address without a valid token.
    pub(crate) rate: Rate,
}

/// The service of the API's tokens, unless another is set. A registry beside a token server is
/// `wharfinger`.
const SERVICE: &str = "wharfinger-api";

const RATE: Rate = Rate::per_minute(600);

/// On where there are accounts in the database, unless the section turns it off.
pub(super) fn read(
    root: &mut Section<'_>,
    has_accounts: bool,
    registry: Option<&RegistryServerConfig>,
) -> Option<ApiConfig> {
    let key = key::mapping("api")
        .means(
            "the HTTP API at `/api/v1`, for those whom a rule with `match: {type: wharfinger}` \
             lets use it",
        )
        .otherwise("on with `accounts`");
    if !has_accounts && !root.context.is_describing() {
        // Asked for, so that it is a known key.
        root.setting(key);
        if let Some(section) = root.present("api") {
            let message = "the API manages accounts in the database, and there are none: write \
                           `accounts: {}`";
            section.warn(Problem::NoEffect, message);
        }
        return None;
    }
    root.always(key, |section| {
        let is_enabled = section.get(
            key::switch("enabled")
                .means("whether there is an API")
                .default(true),
        );
        let api = ApiConfig {
            service: section.get(
                key::parsed("service", "text", service)
                    .means(
                        "what a token must be for (`aud`); no registry may have the same, or it \
                         could use the tokens that it gets here",
                    )
                    .default(SERVICE.to_owned()),
            ),
            rate: section.get(
                key::parsed("rate", "rate", key::from_str)
                    .means(
                        "requests of each account, and of each address (of IPv6, 64 bits) without \
                         a valid token; then 429 with `Retry-After`",
                    )
                    .default(RATE),
            ),
        };
        if is_enabled && is_service_of(registry, &api.service) {
            let message = "a registry has this service, too: choose another";
            section.error_about("service", Problem::Conflict, message);
        }
        is_enabled.then_some(api)
    })
}

fn service(text: &str) -> Result<String, String> {
    match text.is_empty() || text.contains(char::is_control) {
        true => Err("empty, or with a control character".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn is_service_of(registry: Option<&RegistryServerConfig>, service: &str) -> bool {
    match registry.map(|registry| &registry.auth) {
        Some(RegistryAuth::Token(issuers)) => {
            issuers.iter().any(|issuer| issuer.service == service)
        }
        Some(RegistryAuth::Htpasswd { .. } | RegistryAuth::Open) | None => false,
    }
}
