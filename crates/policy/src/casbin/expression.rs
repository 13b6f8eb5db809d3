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
        let of_all = |list: &[Self]| list.iter().flat_map(Self::evaluated_columns).collect();
        match self {
            Self::Eval(column) => vec![*column],
            Self::Prefix(_, operand) => operand.evaluated_columns(),
            Self::List(list) | Self::Call(_, list) | Self::HasRole(_, list) => of_all(list),
            Self::Chain(first, more) => {
                let mut columns = first.evaluated_columns();
                columns.extend(more.iter().flat_map(|(_, right)| right.evaluated_columns()));
                columns
            }
            Self::Literal(_) | Self::Request(_) | Self::Policy(_) => Vec::new(),
        }
    }
}
