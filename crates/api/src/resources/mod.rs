//! The handlers, one file for each kind of object.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod audit_events;
pub(crate) mod explanations;
pub(crate) mod immutable_tags;
pub(crate) mod notifications;
pub(crate) mod quotas;
pub(crate) mod robots;
mod rule_number;
pub(crate) mod rules;
pub(crate) mod sessions;
mod token_operations;
pub(crate) mod token_view;
pub(crate) mod tokens;
pub(crate) mod trust;
pub(crate) mod users;
