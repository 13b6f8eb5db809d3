//! What is valid in a model or a policy but probably not intended.

use super::error::CasbinFile;

/// Something that is valid but probably not intended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasbinWarning {
    /// Which file it is in.
    pub file: CasbinFile,
    /// On which line, counted from 1.
    pub line: usize,
    /// What it is.
    pub kind: CasbinWarningKind,
}

/// What is probably not intended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CasbinWarningKind {
    /// A definition of the model that is not used.
    #[error("`{0}` has no effect: used are r, p, e and m, and g, g2, … without a gap")]
    Unused(String),
    /// A definition that another replaces.
    #[error("`{name}` is defined again on line {line}, and the last counts")]
    DefinedAgain {
        /// Its name.
        name: String,
        /// Where it is defined again.
        line: usize,
    },
    /// Casbin rewrites a text in quotes.
    #[error(
        "Casbin reads {written:?} as {read:?}: it takes `r.` and `p.` for columns, and brackets for parentheses if the matcher has `in` anywhere"
    )]
    TextRewritten {
        /// The text as it is written.
        written: String,
        /// What it becomes.
        read: String,
    },
    /// A word in the column `eft` that is neither allow nor deny.
    #[error("the effect {0:?} is neither allow nor deny, so this line has no effect")]
    EffectWord(String),
    /// A role that is given, and that nothing names.
    #[error(
        "the role {0:?} is given here, and no line of the policy and no other role has that name"
    )]
    UnnamedRole(String),
    /// A pattern that depends on the request.
    #[error(
        "`{used_by}` takes its pattern from `r.{column}`, so the client that asks chooses what it matches"
    )]
    RequestPattern {
        /// The function or operator.
        used_by: &'static str,
        /// The column of the request.
        column: String,
    },
    /// There is no line that could match.
    #[error("the policy has no line that begins with `p`")]
    NoLine,
}
