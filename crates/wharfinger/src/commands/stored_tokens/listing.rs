//! Lists of robots and personal tokens.

use std::time::SystemTime;

use api::{TokenSecretView, TokenView};
use identity::ROBOT_PREFIX;

use crate::commands::table;
use crate::when::relative_date;

/// A line for each under the names of its columns.
pub(in crate::commands) fn table(tokens: &[TokenView], now: SystemTime) -> String {
    let head = [
        "NAME",
        "OWNER",
        "MAY DO",
        "CREATED",
        "BY",
        "EXPIRES",
        "LAST USED",
        "ID",
    ];
    table::table(head, tokens.iter().map(|token| row(token, now)).collect())
}

fn row(token: &TokenView, now: SystemTime) -> [String; 8] {
    let ago = |date: &str| relative_date(date, now);
    let end = match token.disabled {
        true => "disabled".to_owned(),
        false => token
            .secrets
            .first()
            .map_or("-".to_owned(), |secret| ago(&secret.expires_at)),
    };
    // Dates in UTC are in the order of their texts.
    let last = token
        .secrets
        .iter()
        .filter(|secret| secret.last_used_at.is_some())
        .max_by_key(|secret| secret.last_used_at.clone());
    [
        log_name(token),
        token.owner.as_deref().unwrap_or("(system)").to_owned(),
        may_do(token),
        ago(&token.created_at),
        token.created_by.clone(),
        end,
        last.map_or("never".to_owned(), |last| used(last, now)),
        token.id.clone(),
    ]
}

/// What the administration log calls it: `robot+ci`, `ann/laptop`.
pub(super) fn log_name(token: &TokenView) -> String {
    match token.account.starts_with(ROBOT_PREFIX) {
        true => token.account.clone(),
        false => format!("{}/{}", token.account, token.name),
    }
}

/// `repository:team/*:pull,push from 10.0.0.0/8`; the first entry, and how many more there are.
fn may_do(token: &TokenView) -> String {
    let entries = token.ceiling.as_deref();
    let mut text = match entries {
        None => "all that its owner may".to_owned(),
        Some([]) => "nothing".to_owned(),
        Some([first, rest @ ..]) => {
            let more = match rest.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let actions = first.actions.join(",");
            format!("{}:{}:{actions}{more}", first.resource_type, first.name)
        }
    };
    if let [first, ..] = &token.networks[..] {
        text += &format!(" from {first}");
        text += if token.networks.len() > 1 {
            ", …"
        } else {
            ""
        };
    }
    text
}

/// `2h ago from 192.0.2.7 (team/app)`.
fn used(secret: &TokenSecretView, now: SystemTime) -> String {
    let ago = secret
        .last_used_at
        .as_deref()
        .map(|date| relative_date(date, now));
    let address = match secret.last_used_from.as_deref() {
        None | Some("") => "an unknown address",
        Some(address) => address,
    };
    let repository = match secret.last_used_for.as_deref() {
        None | Some("") => String::new(),
        Some(repository) => format!(" ({repository})"),
    };
    format!("{} from {address}{repository}", ago.unwrap_or_default())
}
