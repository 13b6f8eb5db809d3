//! Lists of robots and personal tokens.

use std::time::SystemTime;

use common::{rfc3339, unix_seconds};
use personal_tokens::{LastUse, PersonalToken, secret::sha256_hex};
use serde_json::{Value, json};

use crate::commands::table;
use crate::output;
use crate::when::relative;

/// A line for each under the names of its columns.
pub(in crate::commands) fn table(tokens: &[PersonalToken], now: SystemTime) -> String {
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

fn row(token: &PersonalToken, now: SystemTime) -> [String; 8] {
    let ago = |time| relative(unix_seconds(time), unix_seconds(now));
    let end = match token.disabled_at {
        Some(_) => "disabled".to_owned(),
        None => token
            .secrets
            .first()
            .map_or("-".to_owned(), |secret| ago(secret.expires_at)),
    };
    [
        token.log_name(),
        token.owner().unwrap_or("(system)").to_owned(),
        may_do(token),
        ago(token.created_at),
        token.created_by.clone(),
        end,
        token
            .last_use()
            .map_or("never".to_owned(), |last| used(last, &ago(last.time))),
        token.id.clone(),
    ]
}

/// `repository:team/*:pull,push from 10.0.0.0/8`; the first entry, and how many more there are.
fn may_do(token: &PersonalToken) -> String {
    let entries = token.ceiling.entries();
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
    if let [first, ..] = token.networks[..] {
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
fn used(last: &LastUse, ago: &str) -> String {
    let address = match last.address.as_str() {
        "" => "an unknown address",
        address => address,
    };
    let repository = match last.repository.as_str() {
        "" => String::new(),
        repository => format!(" ({repository})"),
    };
    format!("{ago} from {address}{repository}")
}

/// The same for programs.
pub(in crate::commands) fn json_list(tokens: &[PersonalToken]) -> String {
    let date = |time| rfc3339(unix_seconds(time));
    let listed = tokens.iter().map(|token| {
        let secrets = token.secrets.iter().map(|secret| {
            json!({
                "sha256": sha256_hex(&secret.fingerprint),
                "created_at": date(secret.created_at),
                "expires_at": date(secret.expires_at),
                "last_used_at": secret.last_use.as_ref().map(|last| date(last.time)),
                "last_used_from": secret.last_use.as_ref().map(|last| &last.address),
                "last_used_for": secret.last_use.as_ref().map(|last| &last.repository),
            })
        });
        let networks: Vec<_> = token.networks.iter().map(ToString::to_string).collect();
        json!({
            "id": token.id,
            "account": token.account(),
            "name": token.name.as_str(),
            "owner": token.owner(),
            "ceiling": token.ceiling.entries(),
            "networks": networks,
            "created_at": date(token.created_at),
            "created_by": token.created_by,
            "disabled": token.disabled_at.is_some(),
            "secrets": Value::from_iter(secrets),
        })
    });
    output::json(&Value::from_iter(listed))
}
