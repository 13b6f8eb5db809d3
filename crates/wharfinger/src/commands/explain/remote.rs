//! `explain --server`: the server's API explains, with the rules and the labels that it has.

use auth::{ScopeReport, TokenExplanation};
use client::{ApiClient, ApiRoute};
use policy::Labels;
use serde_json::json;
use token::Scope;

use super::{Arguments, label, note_odd_names, text};
use crate::failure::Failure;
use crate::output;

/// The report of the server on `scopes`.
pub(super) async fn explain(
    api: &ApiClient,
    arguments: &Arguments,
    scopes: &[Scope],
) -> Result<String, Failure> {
    note_odd_names(scopes);
    let route = ApiRoute::new(&["explanations"], &[("explain", "read")]);
    let texts: Vec<_> = scopes.iter().map(ToString::to_string).collect();
    let mut question = json!({"scopes": texts, "service": arguments.service});
    if let Some(ip) = arguments.ip {
        question["address"] = json!(ip);
    }
    if let Some(token) = &arguments.token {
        question["token"] = json!(token);
        let explanation: TokenExplanation = api.ask(route, &question).await?;
        return Ok(match arguments.json {
            true => output::json(&json!(explanation)),
            false => text::token(&explanation),
        });
    }
    question["account"] = json!(arguments.account);
    question["labels"] = json!(label::with_arguments(Labels::new(), &arguments.labels));
    let reports: Vec<ScopeReport> = api.ask(route, &question).await?;
    Ok(match arguments.json {
        true => output::json(&json!(reports)),
        false => text::scopes(&reports, &arguments.account),
    })
}
