//! The values of an expression, and what operators do with them.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::error::EvaluationError;
use super::number::printed;
use super::operator::{Operator, Prefix};

/// A value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Bool(bool),
    /// What `?` leaves when its condition does not hold.
    Nothing,
    /// When a policy is checked, what depends on the request.
    Unknown(OperandKind),
}

/// What an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperandKind {
    Text,
    Number,
    Bool,
    /// Only the value itself will tell.
    Any,
}

impl Operand<'_> {
    /// The same, with its text borrowed.
    pub(super) fn borrowed(&self) -> Operand<'_> {
        match self {
            Self::Text(text) => Operand::Text(Cow::Borrowed(text)),
            Self::Number(number) => Operand::Number(*number),
            Self::Bool(flag) => Operand::Bool(*flag),
            Self::Nothing => Operand::Nothing,
            Self::Unknown(kind) => Operand::Unknown(*kind),
        }
    }

    /// Whether it is not known yet.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    fn kind(&self) -> Option<OperandKind> {
        match self {
            Self::Text(_) => Some(OperandKind::Text),
            Self::Number(_) => Some(OperandKind::Number),
            Self::Bool(_) => Some(OperandKind::Bool),
            Self::Nothing => None,
            Self::Unknown(kind) => Some(*kind),
        }
    }

    fn described(&self) -> String {
        match self {
            Self::Text(text) => format!("the text {text:?}"),
            Self::Number(number) => format!("the number {}", printed(*number)),
            Self::Bool(flag) => flag.to_string(),
            Self::Nothing => "nothing".to_owned(),
            Self::Unknown(OperandKind::Text) => "a text".to_owned(),
            Self::Unknown(OperandKind::Number) => "a number".to_owned(),
            Self::Unknown(OperandKind::Bool) => "true or false".to_owned(),
            Self::Unknown(OperandKind::Any) => "a value".to_owned(),
        }
    }

    /// The text for `used_by`; `None` if it is a text that is not known yet.
    pub(super) fn text(&self, used_by: &str) -> Result<Option<&str>, EvaluationError> {
        match self {
            Self::Text(text) => Ok(Some(text)),
            Self::Unknown(OperandKind::Text | OperandKind::Any) => Ok(None),
            Self::Number(_) | Self::Bool(_) | Self::Nothing | Self::Unknown(_) => {
                Err(self.unfit(used_by))
            }
        }
    }

    fn number(&self, used_by: &str) -> Result<Option<f64>, EvaluationError> {
        match self {
            Self::Number(number) => Ok(Some(*number)),
            Self::Unknown(OperandKind::Number | OperandKind::Any) => Ok(None),
            Self::Text(_) | Self::Bool(_) | Self::Nothing | Self::Unknown(_) => {
                Err(self.unfit(used_by))
            }
        }
    }

    fn flag(&self, used_by: &str) -> Result<Option<bool>, EvaluationError> {
        match self {
            Self::Bool(flag) => Ok(Some(*flag)),
            Self::Unknown(OperandKind::Bool | OperandKind::Any) => Ok(None),
            Self::Text(_) | Self::Number(_) | Self::Nothing | Self::Unknown(_) => {
                Err(self.unfit(used_by))
            }
        }
    }

    fn unfit(&self, used_by: &str) -> EvaluationError {
        EvaluationError::Operand {
            used_by: used_by.to_owned(),
            operand: self.described(),
        }
    }

    /// Whether a matcher with this result matches: `true`, or a number other than 0.
    pub(super) fn matches(&self) -> Result<bool, EvaluationError> {
        match self {
            Self::Bool(flag) => Ok(*flag),
            Self::Number(number) => Ok(*number != 0.0),
            Self::Unknown(kind) if *kind != OperandKind::Text => Ok(false),
            Self::Text(_) | Self::Nothing | Self::Unknown(_) => {
                Err(EvaluationError::Result(self.described()))
            }
        }
    }

    /// The same, where only `true` matches and a number is an error.
    pub(super) fn holds(&self) -> Result<bool, EvaluationError> {
        match self {
            Self::Number(_) | Self::Unknown(OperandKind::Number) => {
                Err(EvaluationError::Result(self.described()))
            }
            _ => self.matches(),
        }
    }

    /// Whether an operator with this on its left has this as its result, whatever its right is.
    pub(super) fn decides(&self, operator: Operator) -> bool {
        match operator {
            Operator::And => *self == Self::Bool(false),
            Operator::Or => *self == Self::Bool(true),
            Operator::Else | Operator::Coalesce => *self != Self::Nothing && !self.is_unknown(),
            _ => false,
        }
    }
}

/// The result of an operator before an operand.
pub(super) fn prefixed<'a>(
    prefix: Prefix,
    operand: &Operand<'_>,
) -> Result<Operand<'a>, EvaluationError> {
    let written = prefix.written();
    let of_number = |result: fn(f64) -> f64| Ok(number(operand.number(written)?.map(result)));
    match prefix {
        Prefix::Not => Ok(flag(operand.flag(written)?.map(|flag| !flag))),
        Prefix::Negate => of_number(|number| -number),
        Prefix::Complement => of_number(|number| from_bits(!bits(number))),
    }
}

/// The result of an operator that evaluates both its operands. `=~`, `!~` and `in` are not here: they
/// need more than two values.
pub(super) fn operated<'a>(
    operator: Operator,
    left: Operand<'a>,
    right: Operand<'a>,
) -> Result<Operand<'a>, EvaluationError> {
    let written = operator.written();
    let arithmetic = |result: fn(f64, f64) -> f64| {
        let (left, right) = (left.number(written)?, right.number(written)?);
        Ok(number(
            left.zip(right).map(|(left, right)| result(left, right)),
        ))
    };
    match operator {
        Operator::Then => Ok(match left.flag(written)? {
            Some(true) => right,
            Some(false) => Operand::Nothing,
            None => Operand::Unknown(OperandKind::Any),
        }),
        Operator::Else | Operator::Coalesce => Ok(match left {
            Operand::Nothing => right,
            Operand::Unknown(_) => Operand::Unknown(OperandKind::Any),
            left => left,
        }),
        Operator::Or | Operator::And => {
            let (left, right) = (left.flag(written)?, right.flag(written)?);
            Ok(flag(left.zip(right).map(|(left, right)| match operator {
                Operator::Or => left || right,
                _ => left && right,
            })))
        }
        Operator::Equal => Ok(flag(equal(&left, &right))),
        Operator::Different => Ok(flag(equal(&left, &right).map(|equal| !equal))),
        Operator::Less => compared(written, &left, &right, Ordering::is_lt),
        Operator::LessOrEqual => compared(written, &left, &right, Ordering::is_le),
        Operator::Greater => compared(written, &left, &right, Ordering::is_gt),
        Operator::GreaterOrEqual => compared(written, &left, &right, Ordering::is_ge),
        Operator::Add => added(&left, &right),
        Operator::Subtract => arithmetic(|left, right| left - right),
        Operator::Multiply => arithmetic(|left, right| left * right),
        Operator::Divide => arithmetic(|left, right| left / right),
        Operator::Remainder => arithmetic(|left, right| left % right),
        Operator::Power => arithmetic(f64::powf),
        Operator::BitOr => arithmetic(|left, right| from_bits(bits(left) | bits(right))),
        Operator::BitAnd => arithmetic(|left, right| from_bits(bits(left) & bits(right))),
        Operator::BitXor => arithmetic(|left, right| from_bits(bits(left) ^ bits(right))),
        Operator::ShiftLeft => arithmetic(|left, right| shifted(left, right, u64::checked_shl)),
        Operator::ShiftRight => arithmetic(|left, right| shifted(left, right, u64::checked_shr)),
        Operator::Matches | Operator::MatchesNot | Operator::In => Err(left.unfit(written)),
    }
}

/// Whether two operands are the same, of one kind; `None` if one is not known yet.
pub(super) fn equal(left: &Operand<'_>, right: &Operand<'_>) -> Option<bool> {
    (!left.is_unknown() && !right.is_unknown()).then(|| left == right)
}

/// Numbers are compared, or texts as bytes.
fn compared<'a>(
    written: &str,
    left: &Operand<'_>,
    right: &Operand<'_>,
    is_so: fn(Ordering) -> bool,
) -> Result<Operand<'a>, EvaluationError> {
    if left.kind() == Some(OperandKind::Text) {
        let texts = left.text(written)?.zip(right.text(written)?);
        return Ok(flag(texts.map(|(left, right)| is_so(left.cmp(right)))));
    }
    if left.kind() == Some(OperandKind::Any) {
        return match right {
            Operand::Bool(_) | Operand::Nothing => Err(right.unfit(written)),
            _ => Ok(flag(None)),
        };
    }
    let numbers = left.number(written)?.zip(right.number(written)?);
    Ok(flag(numbers.map(|(left, right)| {
        // Nothing is less than, equal to or greater than what is no number.
        left.partial_cmp(&right).is_some_and(is_so)
    })))
}

/// Numbers are added. If one is a text, the other is appended as text.
fn added<'a>(left: &Operand<'_>, right: &Operand<'_>) -> Result<Operand<'a>, EvaluationError> {
    let is_text = |operand: &Operand<'_>| operand.kind() == Some(OperandKind::Text);
    if is_text(left) || is_text(right) {
        let text = left.appended().zip(right.appended());
        let text = text.map(|(left, right)| Operand::Text((left + &right).into()));
        return Ok(text.unwrap_or(Operand::Unknown(OperandKind::Text)));
    }
    let is_open = |operand: &Operand<'_>| operand.kind() == Some(OperandKind::Any);
    let (numbers, open) = (
        left.number("+")?.zip(right.number("+")?),
        is_open(left) || is_open(right),
    );
    Ok(match numbers {
        None if open => Operand::Unknown(OperandKind::Any),
        numbers => number(numbers.map(|(left, right)| left + right)),
    })
}

impl Operand<'_> {
    /// The text that is appended to another; `None` if it is not known yet.
    fn appended(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.to_string()),
            Self::Number(number) => Some(printed(*number)),
            Self::Bool(flag) => Some(flag.to_string()),
            Self::Nothing => Some("<nil>".to_owned()),
            Self::Unknown(_) => None,
        }
    }
}

fn flag<'a>(flag: Option<bool>) -> Operand<'a> {
    flag.map_or(Operand::Unknown(OperandKind::Bool), Operand::Bool)
}

fn number<'a>(number: Option<f64>) -> Operand<'a> {
    number.map_or(Operand::Unknown(OperandKind::Number), Operand::Number)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "as in govaluate, operators on bits are for whole numbers"
)]
fn bits(number: f64) -> i64 {
    // What no i64 is, is the least one to Go on amd64.
    if (-TWO_TO_63..TWO_TO_63).contains(&number) {
        number as i64
    } else {
        i64::MIN
    }
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

#[expect(clippy::cast_precision_loss, reason = "as in govaluate")]
fn from_bits(bits: i64) -> f64 {
    bits as f64
}

#[expect(clippy::cast_precision_loss, reason = "as in govaluate")]
fn shifted(left: f64, right: f64, shift: fn(u64, u32) -> Option<u64>) -> f64 {
    let distance = u32::try_from(unsigned(right)).unwrap_or(u32::MAX);
    shift(unsigned(left), distance).unwrap_or(0) as f64
}

/// A number below 0 is one from 2⁶⁴ down, as Go has it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as in govaluate, operators on bits are for whole numbers"
)]
fn unsigned(number: f64) -> u64 {
    if number < 0.0 {
        bits(number).cast_unsigned()
    } else {
        number as u64
    }
}
