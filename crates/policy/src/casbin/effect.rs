//! How the lines that match become one decision.

/// The five policy effects that Casbin knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PolicyEffect {
    /// A line allows.
    AllowOverride,
    /// No line denies.
    DenyOverride,
    /// A line allows, and no line denies.
    AllowAndDeny,
    /// The first line that allows or denies decides.
    Priority,
    /// The same, with the lines of subjects before those of their roles.
    SubjectPriority,
}

/// The texts of the effects, after `p.` in them was written `p_`. Casbin compares them as they are.
pub(super) const EFFECTS: [(&str, PolicyEffect); 5] = [
    ("some(where (p_eft == allow))", PolicyEffect::AllowOverride),
    ("!some(where (p_eft == deny))", PolicyEffect::DenyOverride),
    (
        "some(where (p_eft == allow)) && !some(where (p_eft == deny))",
        PolicyEffect::AllowAndDeny,
    ),
    ("priority(p_eft) || deny", PolicyEffect::Priority),
    (
        "subjectPriority(p_eft) || deny",
        PolicyEffect::SubjectPriority,
    ),
];

/// What a line says if it matches: its column `eft`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEffect {
    Allow,
    Deny,
    /// Another word than `allow` and `deny`: the line does not count.
    Indeterminate,
}

impl LineEffect {
    pub(super) fn of(word: &str) -> Self {
        match word {
            "allow" => Self::Allow,
            "deny" => Self::Deny,
            _ => Self::Indeterminate,
        }
    }
}

impl PolicyEffect {
    pub(super) fn of(text: &str) -> Option<Self> {
        let found = EFFECTS.iter().find(|(known, _)| *known == text);
        found.map(|(_, effect)| *effect)
    }

    /// Whether a matching line ends the search, and what is decided then.
    pub(super) fn decided_by(self, line: LineEffect) -> Option<bool> {
        match (self, line) {
            (_, LineEffect::Indeterminate)
            | (Self::AllowOverride, LineEffect::Deny)
            | (Self::DenyOverride | Self::AllowAndDeny, LineEffect::Allow) => None,
            (_, LineEffect::Allow) => Some(true),
            (_, LineEffect::Deny) => Some(false),
        }
    }

    /// What is decided if no line ended the search; `allowed` if one that matched allows.
    pub(super) fn at_end(self, allowed: bool) -> bool {
        match self {
            Self::DenyOverride => true,
            Self::AllowAndDeny => allowed,
            Self::AllowOverride | Self::Priority | Self::SubjectPriority => false,
        }
    }
}
