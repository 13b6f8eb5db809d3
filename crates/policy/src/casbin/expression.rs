//! An expression, read.

use super::function::MatcherFunction;
use super::operand::Operand;
use super::operator::{Operator, Prefix};

/// A matcher, or a part of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Literal(Operand<'static>),
    /// A column of the request.
    Request(usize),
    /// A column of the policy line.
    Policy(usize),
    Prefix(Prefix, Box<Expression>),
    /// Operators of one level, evaluated from the left.
    Chain(Box<Expression>, Vec<(Operator, Expression)>),
    /// What `in` searches.
    List(Vec<Expression>),
    Call(MatcherFunction, Vec<Expression>),
    /// Whether a name has a role, by the role definition of this number: name, role, domain.
    HasRole(usize, Vec<Expression>),
    /// The expression that this column of the policy line holds.
    Eval(usize),
}

/// A pattern that depends on the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestPattern {
    /// The function or operator that compiles it.
    pub(super) used_by: &'static str,
    /// The column of the request.
    pub(super) column: usize,
}

impl Expression {
    /// This and `right`, joined by `operator`.
    pub(super) fn then(self, operator: Operator, right: Self) -> Self {
        match self {
            Self::Chain(first, mut more)
                if more
                    .first()
                    .is_some_and(|(known, _)| known.level() == operator.level()) =>
            {
                more.push((operator, right));
                Self::Chain(first, more)
            }
            left => Self::Chain(Box::new(left), vec![(operator, right)]),
        }
    }

    /// The columns of the policy line that hold expressions.
    pub(super) fn evaluated_columns(&self) -> Vec<usize> {
        if let Self::Eval(column) = self {
            return vec![*column];
        }
        let parts = self.parts().into_iter();
        parts.flat_map(Self::evaluated_columns).collect()
    }

    /// The patterns that depend on the request.
    pub(super) fn request_patterns(&self) -> Vec<RequestPattern> {
        let mut found = Vec::new();
        let mut note = |used_by, pattern: &Self| {
            let column = pattern.request_column();
            found.extend(column.map(|column| RequestPattern { used_by, column }));
        };
        match self {
            Self::Call(function, arguments) => {
                if let Some(pattern) = arguments.get(1) {
                    note(function.name(), pattern);
                }
            }
            Self::Chain(_, more) => {
                for (operator, right) in more {
                    if matches!(operator, Operator::Matches | Operator::MatchesNot) {
                        note(operator.written(), right);
                    }
                }
            }
            _ => {}
        }
        let parts = self.parts().into_iter();
        found.extend(parts.flat_map(Self::request_patterns));
        found
    }

    /// The first column of the request that this names.
    fn request_column(&self) -> Option<usize> {
        match self {
            Self::Request(column) => Some(*column),
            other => other.parts().into_iter().find_map(Self::request_column),
        }
    }

    fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Prefix(_, operand) => vec![operand],
            Self::List(list) | Self::Call(_, list) | Self::HasRole(_, list) => {
                list.iter().collect()
            }
            Self::Chain(first, more) => {
                let more = more.iter().map(|(_, right)| right);
                std::iter::once(first.as_ref()).chain(more).collect()
            }
            Self::Literal(_) | Self::Request(_) | Self::Policy(_) | Self::Eval(_) => Vec::new(),
        }
    }
}
