//! Requests for tokens, as the server's log or its audit table recorded them.

use std::collections::HashMap;
use std::io::BufRead;
use std::net::IpAddr;

use audit::{AuditFilter, AuditStore};
use policy::Labels;
use serde::Deserialize;
use token::Scope;

use crate::commands::managed_database::failed;
use crate::failure::Failure;

/// How many different requests are compared.
const MAX_REQUESTS: usize = 1_000_000;

/// The longest line that is read, in bytes. The server writes shorter ones.
const MAX_LINE: u64 = 1 << 20;

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RecordedRequest {
    pub(super) account: String,
    /// The account's labels at that time, as the log shows them.
    pub(super) labels: String,
    pub(super) service: String,
    pub(super) ip: Option<IpAddr>,
    pub(super) scope: Scope,
}

/// The members of a decision's line, or of an event, that are needed.
#[derive(Deserialize)]
struct DecisionLine {
    #[serde(default)]
    account: String,
    #[serde(default)]
    labels: String,
    service: String,
    #[serde(alias = "requested")]
    asked: String,
    #[serde(default)]
    address: String,
}

/// How many records of the audit table are read at once.
const PAGE: u32 = 1000;

/// The different requests, each with how often it was made.
#[derive(Default)]
struct RequestCounts(HashMap<RecordedRequest, u64>);

impl RequestCounts {
    /// Counts the requests of a decision in JSON. What is not a decision is passed over.
    fn add(&mut self, line: &[u8]) -> Result<(), Failure> {
        let Ok(decision) = serde_json::from_slice::<DecisionLine>(line) else {
            return Ok(());
        };
        for scope in decision.asked.split_whitespace() {
            let Ok(scope) = scope.parse() else { continue };
            let request = RecordedRequest {
                account: decision.account.clone(),
                labels: decision.labels.clone(),
                service: decision.service.clone(),
                ip: decision.address.parse().ok(),
                scope,
            };
            *self.0.entry(request).or_default() += 1;
        }
        if self.0.len() > MAX_REQUESTS {
            return Err(Failure::usage(format!(
                "there are more than {MAX_REQUESTS} different requests"
            ))
            .hint("give a log of a part of them"));
        }
        Ok(())
    }

    /// All of them, by account.
    fn sorted(self) -> Vec<(RecordedRequest, u64)> {
        let mut requests: Vec<_> = self.0.into_iter().collect();
        requests.sort_by_cached_key(|(request, _)| {
            let RecordedRequest {
                account,
                scope,
                service,
                ip,
                labels,
            } = request;
            let texts = [account, service, labels].map(String::clone);
            (texts, scope.to_string(), *ip)
        });
        requests
    }
}

/// The requests of a log in JSON.
pub(super) fn read(mut log: impl BufRead) -> Result<Vec<(RecordedRequest, u64)>, Failure> {
    let mut requests = RequestCounts::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = std::io::Read::take(&mut log, MAX_LINE);
        let length = bounded
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::system("the log cannot be read").caused_by(&error))?;
        if length == 0 {
            return Ok(requests.sorted());
        }
        requests.add(&line)?;
    }
}

/// The requests of an audit table.
pub(super) async fn read_table(store: &AuditStore) -> Result<Vec<(RecordedRequest, u64)>, Failure> {
    let mut requests = RequestCounts::default();
    for kind in ["token_issued", "token_refused"] {
        let filter = AuditFilter {
            kind: Some(kind.to_owned()),
            ..AuditFilter::default()
        };
        let mut after = 0;
        loop {
            let records = store.export(filter.clone(), after, PAGE).await;
            let records = records.map_err(|error| failed(&error))?;
            let Some(last) = records.last() else { break };
            after = last.id;
            for record in &records {
                requests.add(record.document.as_bytes())?;
            }
        }
    }
    Ok(requests.sorted())
}

/// The labels that the log shows as `team=red,blue vip=`. A value with a comma or a space cannot be
/// told from two.
pub(super) fn shown_labels(text: &str) -> Labels {
    let labels = text.split_whitespace().filter_map(|label| {
        let (name, values) = label.split_once('=')?;
        let values = values.split(',').filter(|value| !value.is_empty());
        Some((name.to_owned(), values.map(str::to_owned).collect()))
    });
    labels.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_from_the_decisions_of_a_log() {
        let log = r#"{"level":"INFO","message":"listening","address":"127.0.0.1:5001"}
{"status":200,"account":"ann","labels":"team=red,blue vip=","service":"r","asked":"repository:a:pull,push repository:b:pull","granted":"","address":"192.0.2.7"}
{"status":200,"account":"ann","labels":"team=red,blue vip=","service":"r","asked":"repository:b:pull","granted":"","address":"192.0.2.7"}
{"status":200,"account":"","service":"r","asked":"","granted":"","address":""}
a line of another program
"#;
        let requests = read(log.as_bytes()).unwrap();
        let shown: Vec<_> = requests
            .iter()
            .map(|(request, count)| format!("{} {} {count}", request.account, request.scope))
            .collect();
        assert_eq!(
            shown,
            ["ann repository:a:pull,push 1", "ann repository:b:pull 2"]
        );
        let labels = shown_labels(&requests[0].0.labels);
        assert_eq!(labels["team"], ["red", "blue"]);
        assert_eq!(labels["vip"], [""; 0]);
    }
}
