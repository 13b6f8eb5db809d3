//! `/explanations`: what an account or a token is granted, and by which rules.

use std::net::IpAddr;

use auth::{
    AskedPolicies, AuthorizeError, ExplainedRequest, MAX_SCOPES, ScopeReport, TokenExplanation,
};
use identity::{BackendError, BackendFault, Identity, PermissionSource};
use personal_tokens::TokenFilter;
use policy::{Labels, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use token::Scope;

use crate::body::SecretText;
use crate::call::{ApiCall, InBody};
use crate::problem::ApiProblem;
use crate::reply::Shown;
use crate::scope::ExplainRead;

/// What is asked. Either about an account, which needs no password, or about a token.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExplanationRequest {
    /// The account; empty for anonymous. Its labels are those of today.
    #[serde(default)]
    account: String,
    /// Labels in addition to those that the account has.
    #[serde(default)]
    labels: Labels,
    /// A robot, as `robot+NAME`, or a robot or a personal token by its id. It is not a secret, but
    /// a client may send one by mistake.
    token: Option<SecretText>,
    /// The scopes, as `repository:team/app:pull,push`. Several may be in one text, with spaces.
    #[serde(default)]
    scope: String,
    /// The scopes, each by itself.
    #[serde(default)]
    scopes: Vec<String>,
    /// The registry's service.
    #[serde(default)]
    service: String,
    /// The client's address.
    address: Option<IpAddr>,
}

/// What `wharfinger explain --json` prints, too.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Explanation")]
pub(crate) enum ExplanationView {
    /// About an account: a report for each scope.
    Account(Vec<ScopeReport>),
    /// About a token: both sides of each scope.
    Token(TokenExplanation),
}

pub(crate) async fn explain(
    call: ApiCall<ExplainRead, InBody<ExplanationRequest>>,
) -> Result<Shown<ExplanationView>, ApiProblem> {
    let asked = &call.input.0;
    let scopes = asked.scopes()?;
    let request = ExplainedRequest {
        service: &asked.service,
        ip: asked.address,
        scopes: &scopes,
    };
    let explainer = call.state.stores.token_server.explainer();
    let value = match &asked.token {
        Some(_) if !asked.account.is_empty() || !asked.labels.is_empty() => {
            return Err(ApiProblem::invalid_value(
                "/token",
                "ask about a token, or about an account with labels, but not about both",
            ));
        }
        Some(token) => {
            let identity = token_identity(&call, token).await?;
            let explained = explainer.explain_token(&identity, request);
            ExplanationView::Token(explained.await?)
        }
        None => {
            let identity = account_identity(&call).await?;
            // Programs and servers are not asked, because this is no request of that account.
            let explained = explainer.explain(&identity, request, AskedPolicies::Rules);
            ExplanationView::Account(explained.await?)
        }
    };
    Ok(Shown { value, tag: None })
}

impl ExplanationRequest {
    fn scopes(&self) -> Result<Vec<Scope>, ApiProblem> {
        let together = self.scope.split(' ').filter(|text| !text.is_empty());
        let together = together.map(|text| ("/scope".to_owned(), text));
        let each = self.scopes.iter().enumerate();
        let each = each.map(|(index, text)| (format!("/scopes/{index}"), text.as_str()));
        let mut scopes = Vec::new();
        for (pointer, text) in together.chain(each) {
            if scopes.len() == MAX_SCOPES {
                let detail = format!("at most {MAX_SCOPES} scopes are explained at once");
                return Err(ApiProblem::invalid_value(pointer, detail));
            }
            let scope = text.parse::<Scope>();
            scopes.push(
                scope.map_err(|error| ApiProblem::invalid_value(pointer, error.to_string()))?,
            );
        }
        match scopes.is_empty() {
            true => Err(ApiProblem::invalid_value(
                "/scope",
                "a scope is missing: write what a client asks for, as repository:team/app:pull",
            )),
            false => Ok(scopes),
        }
    }
}

/// The account with its labels of today and those of the request. An account that no backend knows
/// has those of the request alone.
async fn account_identity(
    call: &ApiCall<ExplainRead, InBody<ExplanationRequest>>,
) -> Result<Identity, ApiProblem> {
    let ExplanationRequest {
        account, labels, ..
    } = &call.input.0;
    let known = match account.as_str() {
        "" => None,
        account => {
            call.state
                .stores
                .token_server
                .accounts()
                .look_up(account)
                .await?
        }
    };
    let mut identity = known.unwrap_or_else(|| {
        Identity::new(Subject {
            account: account.clone(),
            labels: Labels::new(),
        })
    });
    let subject = match &mut identity.permissions {
        PermissionSource::Owner(owner) => owner,
        PermissionSource::Account | PermissionSource::Ceiling => &mut identity.subject,
    };
    for (name, values) in labels {
        let label = subject.labels.entry(name.clone()).or_default();
        label.extend(values.iter().cloned());
    }
    Ok(identity)
}

/// The account for which a robot's or a personal token stands today.
async fn token_identity(
    call: &ApiCall<ExplainRead, InBody<ExplanationRequest>>,
    reference: &SecretText,
) -> Result<Identity, ApiProblem> {
    // The text is not repeated: it may be a secret.
    let unknown = || {
        ApiProblem::invalid_value(
            "/token",
            "there is no robot or personal token of this name or id: write robot+NAME, or the id \
             that lists show",
        )
    };
    let tokens = call
        .state
        .stores
        .personal_tokens
        .as_ref()
        .ok_or_else(unknown)?;
    let filter = TokenFilter::named_by(reference.0.expose()).map_err(|_| unknown())?;
    let token = tokens.list(filter).await?.pop().ok_or_else(unknown)?;
    let rejected = |fault: identity::OpaqueTokenFault| {
        ApiProblem::invalid_value("/token", format!("the server rejects it: {fault}"))
    };
    let opaque = token.newest(call.state.clock.now()).map_err(rejected)?;
    let accounts = call.state.stores.token_server.accounts();
    accounts.identify(opaque).await?.map_err(rejected)
}

impl From<BackendError> for ApiProblem {
    fn from(error: BackendError) -> Self {
        match error.fault {
            BackendFault::Broken => Self::internal(error),
            BackendFault::Unavailable => Self::unavailable(error),
        }
    }
}

impl From<AuthorizeError> for ApiProblem {
    fn from(error: AuthorizeError) -> Self {
        match error {
            AuthorizeError::Policy { .. } => Self::internal(error),
            AuthorizeError::Busy { .. } | AuthorizeError::Unavailable { .. } => {
                Self::unavailable(error)
            }
        }
    }
}
