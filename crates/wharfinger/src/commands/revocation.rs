//! Which objects of many a command revokes.

use clap::Args;

/// One by its ID, all of a user, or all. A command says what they are.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct RevocationArguments {
    /// The one with this ID, which `list` shows.
    #[arg(long)]
    id: Option<String>,
    /// All of this user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// All of all users.
    #[arg(long)]
    all: bool,
}

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RevocationSelection {
    /// The object with this ID.
    Id(String),
    /// What this user has.
    OfUser(String),
    /// Everything.
    All,
}

impl RevocationArguments {
    pub(super) fn selection(self) -> RevocationSelection {
        match self {
            Self { id: Some(id), .. } => RevocationSelection::Id(id),
            Self {
                user: Some(user), ..
            } => RevocationSelection::OfUser(user),
            Self { .. } => RevocationSelection::All,
        }
    }
}
