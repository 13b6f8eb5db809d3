//! The labels of accounts: what rules can match besides the name.

use policy::Labels;

/// The most that the labels of one account take, in bytes of their JSON.
pub const MAX_LABELS: usize = 4096;

/// A change of an account's labels. Labels that it does not name stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelChange {
    /// Labels that get these values instead of the ones that they have.
    pub set: Labels,
    /// Labels that are removed.
    pub remove: Vec<String>,
    /// Whether the account may lack labels that are to be removed.
    pub allows_absent: bool,
}

/// Why an account cannot have such labels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A label has no name.
    #[error("a label has no name")]
    NoName,
    /// A name or a value holds a control character.
    #[error("the label {0:?} has a control character in its name or a value")]
    ControlCharacter(String),
    /// The account does not have a label that is to be removed.
    #[error("the account has no label {0:?}")]
    Unknown(String),
    /// They are too long together.
    #[error("the labels take {0} bytes as JSON, and at most {MAX_LABELS} are allowed")]
    TooLong(usize),
}

impl LabelChange {
    /// What `labels` are after the change.
    pub(crate) fn applied_to(&self, mut labels: Labels) -> Result<Labels, LabelError> {
        for name in &self.remove {
            if labels.remove(name).is_none() && !self.allows_absent {
                return Err(LabelError::Unknown(name.clone()));
            }
        }
        labels.extend(self.set.clone());
        check(&labels)?;
        Ok(labels)
    }
}

fn check(labels: &Labels) -> Result<(), LabelError> {
    let is_plain = |text: &String| !text.contains(char::is_control);
    for (name, values) in labels {
        if name.is_empty() {
            return Err(LabelError::NoName);
        }
        if !is_plain(name) || !values.iter().all(is_plain) {
            return Err(LabelError::ControlCharacter(name.clone()));
        }
    }
    match to_json(labels).len() {
        0..=MAX_LABELS => Ok(()),
        length => Err(LabelError::TooLong(length)),
    }
}

/// As they are stored.
pub(crate) fn to_json(labels: &Labels) -> String {
    serde_json::json!(labels).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(all: &[(&str, &[&str])]) -> Labels {
        let label = |(name, values): &(&str, &[&str])| {
            let values = values.iter().map(ToString::to_string).collect();
            ((*name).to_owned(), values)
        };
        all.iter().map(label).collect()
    }

    fn change(set: &[(&str, &[&str])], remove: &[&str]) -> LabelChange {
        LabelChange {
            set: labels(set),
            remove: remove.iter().map(ToString::to_string).collect(),
            allows_absent: false,
        }
    }

    #[test]
    fn a_change_leaves_other_labels() {
        let before = labels(&[("team", &["red"]), ("site", &["oslo"]), ("vip", &[])]);
        let after = change(&[("team", &["blue", "green"])], &["vip"]).applied_to(before);
        assert_eq!(
            after,
            Ok(labels(&[("team", &["blue", "green"]), ("site", &["oslo"])]))
        );
    }

    #[test]
    fn what_labels_cannot_be() {
        let refused = |change: LabelChange| change.applied_to(Labels::new()).unwrap_err();
        assert_eq!(refused(change(&[("", &["x"])], &[])), LabelError::NoName);
        assert_eq!(
            refused(change(&[("a", &["x\ny"])], &[])),
            LabelError::ControlCharacter("a".to_owned())
        );
        assert_eq!(
            refused(change(&[], &["a"])),
            LabelError::Unknown("a".to_owned())
        );
        let lenient = LabelChange {
            allows_absent: true,
            ..change(&[], &["a"])
        };
        assert_eq!(lenient.applied_to(Labels::new()), Ok(Labels::new()));
        let long = "x".repeat(MAX_LABELS);
        assert!(matches!(
            refused(change(&[("a", &[&long])], &[])),
            LabelError::TooLong(_)
        ));
    }
}
