//! Changes of one account, which are made together and logged one by one.

use std::time::SystemTime;

use common::{Secret, unix_seconds};
use database::{AdministrativeChange, Administrator, DatabaseConnection, log_change, params};
use policy::Labels;
use serde_json::{Value, json};

use crate::error::AccountError;
use crate::labels::{self, LabelChange};

/// Changes of an account, which are made together. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct AccountUpdate {
    /// Another password. The sessions of the old one end.
    pub password: Option<Secret>,
    /// Changes of its labels.
    pub labels: Option<LabelChange>,
    /// Whether logins are rejected. The sessions of an account that is disabled end for good.
    pub disabled: Option<bool>,
}

/// A change of one account that is being made.
pub(crate) struct AccountChange<'a> {
    pub(crate) connection: &'a DatabaseConnection<'a>,
    pub(crate) name: &'a str,
    pub(crate) by: &'a Administrator,
    pub(crate) at: SystemTime,
}

impl AccountChange<'_> {
    pub(crate) fn set_password(&self, hash: &str) -> Result<(), AccountError> {
        self.connection.execute(
            "UPDATE accounts SET password = ?2, changed_at = ?3 WHERE name = ?1",
            params![self.name, hash, unix_seconds(self.at)],
        )?;
        self.log("user.passwd", &json!({}))
    }

    pub(crate) fn set_labels(
        &self,
        before: &Labels,
        change: &LabelChange,
    ) -> Result<(), AccountError> {
        let after = change.applied_to(before.clone())?;
        if after == *before {
            return Ok(());
        }
        self.connection.execute(
            "UPDATE accounts SET labels = ?2, changed_at = ?3 WHERE name = ?1",
            params![self.name, labels::to_json(&after), unix_seconds(self.at)],
        )?;
        let details = json!({ "set": change.set, "remove": change.remove });
        self.log("user.label", &details)
    }

    /// Sessions of an account that was disabled do not return when it is enabled.
    pub(crate) fn set_disabled(&self, disabled: bool) -> Result<(), AccountError> {
        let updated = self.connection.execute(
            "UPDATE accounts SET disabled = ?2, epoch = epoch + ?2, changed_at = ?3
             WHERE name = ?1 AND disabled <> ?2",
            params![self.name, disabled, unix_seconds(self.at)],
        )?;
        match (updated, disabled) {
            (0, _) => Ok(()),
            (_, true) => self.log("user.disable", &json!({})),
            (_, false) => self.log("user.enable", &json!({})),
        }
    }

    pub(crate) fn log(&self, action: &'static str, details: &Value) -> Result<(), AccountError> {
        let change = AdministrativeChange {
            action,
            object: self.name,
            details,
        };
        Ok(log_change(self.connection, self.by, self.at, change)?)
    }
}
