//! One condition of a rule, compiled.

use crate::captures::Capture;
use crate::entry::Conditions;
use crate::error::ConditionError;
use crate::mismatch::Mismatch;
use crate::pattern::Pattern;
use crate::variables::Bindings;
use crate::{AclQuery, Attribute, Field};
use common::IpNetwork;

/// Something that has to hold for a rule to decide.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// The client's address is in a network.
    Ip { written: String, network: IpNetwork },
    /// One of the query's texts matches.
    Text(Attribute, Pattern),
    /// One of a label's values matches.
    Label(String, Pattern),
}

impl Condition {
    /// Compiles `conditions`, of a rule with `captures`: each, or what is wrong with it.
    pub(crate) fn compile(
        conditions: Conditions,
        captures: &[Capture],
    ) -> Vec<Result<Self, (Field, ConditionError)>> {
        let mut compiled = Vec::new();
        for attribute in Attribute::ALL {
            let Some(text) = conditions.on(attribute) else {
                continue;
            };
            let pattern = Pattern::compile(text.to_owned(), true, captures);
            let condition = pattern.map(|pattern| Self::Text(attribute, pattern));
            compiled.push(condition.map_err(|problem| (Field::Text(attribute), problem)));
        }
        if let Some(written) = conditions.ip {
            let network = written
                .parse()
                .map_err(|error| (Field::Ip, ConditionError::Ip(error)));
            compiled.push(network.map(|network| Self::Ip { written, network }));
        }
        for (name, text) in conditions.labels {
            // A label's value is not known in the pattern of a label.
            compiled.push(match Pattern::compile(text, false, captures) {
                Ok(pattern) => Ok(Self::Label(name, pattern)),
                Err(problem) => Err((Field::Label(name), problem)),
            });
        }
        compiled
    }

    /// Why it does not hold, if it does not.
    pub(crate) fn check(&self, bindings: &Bindings<'_>) -> Result<(), Mismatch> {
        let query = bindings.query;
        match self {
            Self::Ip { network, .. } => match query.ip {
                Some(ip) if network.contains(ip) => Ok(()),
                Some(_) => Err(Mismatch::Differs),
                None => Err(Mismatch::NoAddress),
            },
            Self::Text(attribute, pattern) => pattern.check_text(attribute.of(query), bindings),
            Self::Label(name, pattern) => match query.labels.get(name) {
                Some(values) => pattern.check_any(values, bindings),
                None => Err(Mismatch::NoLabel),
            },
        }
    }

    /// Roughly what it costs to check, to try the cheap ones first.
    pub(crate) fn cost(&self) -> u8 {
        match self {
            Self::Ip { .. } => 0,
            Self::Text(_, pattern) | Self::Label(_, pattern) => pattern.cost(),
        }
    }

    /// The field that the condition tests.
    pub(crate) fn field(&self) -> Field {
        match self {
            Self::Ip { .. } => Field::Ip,
            Self::Text(attribute, _) => Field::Text(*attribute),
            Self::Label(name, _) => Field::Label(name.clone()),
        }
    }

    /// The pattern as the configuration has it.
    pub(crate) fn written(&self) -> &str {
        match self {
            Self::Ip { written, .. } => written,
            Self::Text(_, pattern) | Self::Label(_, pattern) => &pattern.text,
        }
    }

    /// The patterns with their variables replaced for a query, `limit` at most.
    pub(crate) fn expansions(&self, bindings: &Bindings<'_>, limit: usize) -> Vec<String> {
        match self {
            Self::Ip { network, .. } => vec![network.to_string()],
            Self::Text(_, pattern) | Self::Label(_, pattern) => pattern.expansions(bindings, limit),
        }
    }

    /// The values that are tested.
    pub(crate) fn values(&self, query: &AclQuery<'_>) -> Vec<String> {
        match self {
            Self::Ip { .. } => query.ip.iter().map(ToString::to_string).collect(),
            Self::Text(attribute, _) => vec![attribute.of(query).to_owned()],
            Self::Label(name, _) => query.labels.get(name).cloned().unwrap_or_default(),
        }
    }
}
