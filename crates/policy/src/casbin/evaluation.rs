//! Evaluating an expression for a request and a line of the policy.
//!
//! Both may be unknown: then the result is as much as is certain, and whatever can fail does. That is
//! how a policy is checked before there is a request.

use std::cell::RefCell;
use std::collections::HashSet;

use super::error::EvaluationError;
use super::expression::Expression;
use super::function::MatcherFunction;
use super::lines::Line;
use super::operand::{Operand, OperandKind, equal, operated, prefixed};
use super::operator::Operator;
use super::patterns::{CompiledPattern, Patterns};
use super::roles::Roles;

/// What an expression is evaluated for.
pub(super) struct Evaluation<'a> {
    roles: &'a [Roles],
    patterns: &'a Patterns,
    /// What a request says; `None` if that is not known.
    request: Option<&'a [&'a str]>,
    /// The patterns that were compiled, if they are to be kept.
    compiled: Option<&'a RefCell<Patterns>>,
    /// The roles that were last looked up: most lines ask about the same account.
    looked_up: RefCell<Option<LookedUpRoles<'a>>>,
}

/// All roles of a name.
struct LookedUpRoles<'a> {
    definition: usize,
    name: String,
    domain: String,
    roles: HashSet<&'a str>,
}

impl<'a> Evaluation<'a> {
    /// For `request`, with the patterns of the policy.
    pub(super) fn of_request(
        request: &'a [&'a str],
        roles: &'a [Roles],
        patterns: &'a Patterns,
    ) -> Self {
        Self {
            roles,
            patterns,
            request: Some(request),
            compiled: None,
            looked_up: RefCell::default(),
        }
    }

    /// For a request that is not known. What is compiled is put into `compiled`.
    pub(super) fn of_unknown(
        roles: &'a [Roles],
        patterns: &'a Patterns,
        compiled: &'a RefCell<Patterns>,
    ) -> Self {
        Self {
            roles,
            patterns,
            request: None,
            compiled: Some(compiled),
            looked_up: RefCell::default(),
        }
    }

    /// The value of `expression` for `line`; for any line without one.
    pub(super) fn value(
        &self,
        expression: &'a Expression,
        line: Option<&'a Line>,
    ) -> Result<Operand<'a>, EvaluationError> {
        let unknown = Operand::Unknown(OperandKind::Text);
        match expression {
            Expression::Literal(literal) => Ok(literal.borrowed()),
            Expression::Request(column) => Ok(match self.request {
                Some(request) => Operand::Text(request.get(*column).copied().unwrap_or("").into()),
                None => unknown,
            }),
            Expression::Policy(column) => Ok(match line {
                Some(line) => Operand::Text(line.column(*column).into()),
                None => unknown,
            }),
            Expression::Prefix(prefix, operand) => prefixed(*prefix, &self.value(operand, line)?),
            Expression::Chain(first, more) => {
                let mut left = self.value(first, line)?;
                for (operator, right) in more {
                    left = self.operate(*operator, left, right, line)?;
                }
                Ok(left)
            }
            Expression::Call(function, arguments) => self.call(*function, arguments, line),
            Expression::HasRole(definition, arguments) => {
                self.has_role(*definition, arguments, line)
            }
            Expression::Eval(column) => match line {
                Some(line) => {
                    let rule = line.rule(*column).ok_or(EvaluationError::NoLine)?;
                    self.value(rule, Some(line))
                }
                None => Ok(Operand::Unknown(OperandKind::Any)),
            },
            // Only `in` has one, and evaluates it.
            Expression::List(_) => Ok(Operand::Nothing),
        }
    }

    fn operate(
        &self,
        operator: Operator,
        left: Operand<'a>,
        right: &'a Expression,
        line: Option<&'a Line>,
    ) -> Result<Operand<'a>, EvaluationError> {
        if left.decides(operator) {
            return Ok(left);
        }
        if operator == Operator::Then && left == Operand::Bool(false) {
            return Ok(Operand::Nothing);
        }
        if let (Operator::In, Expression::List(list)) = (operator, right) {
            return self.is_in(&left, list, line);
        }
        let right = self.value(right, line)?;
        match operator {
            Operator::Matches | Operator::MatchesNot => {
                let written = operator.written();
                let (value, pattern) = (left.text(written)?, right.text(written)?);
                let function = MatcherFunction::RegexMatch;
                let result = self.match_pattern(function, value, pattern, Some(""));
                match (operator, result.map_err(|error| error.used_by(written))?) {
                    (Operator::MatchesNot, Operand::Bool(flag)) => Ok(Operand::Bool(!flag)),
                    (_, result) => Ok(result),
                }
            }
            operator => operated(operator, left, right),
        }
    }

    fn is_in(
        &self,
        value: &Operand<'a>,
        list: &'a [Expression],
        line: Option<&'a Line>,
    ) -> Result<Operand<'a>, EvaluationError> {
        let mut found = Some(false);
        // All are evaluated before one is compared, so that an error in any of them counts.
        let list: Vec<_> = list.iter().map(|item| self.value(item, line)).collect();
        for item in list {
            found = match (found, equal(value, &item?)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (None, _) | (_, None) => None,
                (Some(false), Some(false)) => Some(false),
            };
        }
        Ok(found.map_or(Operand::Unknown(OperandKind::Bool), Operand::Bool))
    }

    fn call(
        &self,
        function: MatcherFunction,
        arguments: &'a [Expression],
        line: Option<&'a Line>,
    ) -> Result<Operand<'a>, EvaluationError> {
        let arguments = self.values(arguments, line)?;
        let [value, pattern, name] = texts(&arguments, function.name())?;
        self.match_pattern(function, value, pattern, name)
    }

    /// The result of a function, as far as its arguments are known.
    fn match_pattern(
        &self,
        function: MatcherFunction,
        value: Option<&str>,
        pattern: Option<&str>,
        name: Option<&str>,
    ) -> Result<Operand<'a>, EvaluationError> {
        let unknown = || Ok(Operand::Unknown(function.result()));
        let Some(pattern) = pattern else {
            return unknown();
        };
        let known = value.zip(name);
        if function.plain("", "").is_some() {
            let result = value.and_then(|value| function.plain(value, pattern));
            return result.map_or_else(unknown, Ok);
        }
        let result = |compiled: &CompiledPattern| match known {
            Some((value, name)) => compiled.result(function, value, name),
            None => unknown(),
        };
        if let Some(compiled) = self.patterns.find(function, pattern) {
            return result(compiled);
        }
        let Some(kept) = self.compiled else {
            return result(&CompiledPattern::of(function, pattern)?);
        };
        if kept.borrow().find(function, pattern).is_none() {
            let compiled = CompiledPattern::of(function, pattern)?;
            kept.borrow_mut().keep(function, pattern, compiled);
        }
        kept.borrow()
            .find(function, pattern)
            .map_or_else(unknown, result)
    }

    fn has_role(
        &self,
        definition: usize,
        arguments: &'a [Expression],
        line: Option<&'a Line>,
    ) -> Result<Operand<'a>, EvaluationError> {
        let arguments = self.values(arguments, line)?;
        let ([Some(name), Some(role), Some(domain)], Some(roles)) =
            (texts(&arguments, "g")?, self.roles.get(definition))
        else {
            return Ok(Operand::Unknown(OperandKind::Bool));
        };
        if name == role {
            return Ok(Operand::Bool(true));
        }
        let mut looked_up = self.looked_up.borrow_mut();
        let known = looked_up.take().filter(|known| {
            (known.definition, known.name.as_str(), known.domain.as_str())
                == (definition, name, domain)
        });
        let known = looked_up.insert(known.unwrap_or_else(|| LookedUpRoles {
            definition,
            name: name.to_owned(),
            domain: domain.to_owned(),
            roles: roles.of(name, domain),
        }));
        Ok(Operand::Bool(known.roles.contains(role)))
    }

    fn values(
        &self,
        expressions: &'a [Expression],
        line: Option<&'a Line>,
    ) -> Result<Vec<Operand<'a>>, EvaluationError> {
        let values = expressions.iter();
        values
            .map(|expression| self.value(expression, line))
            .collect()
    }
}

/// The texts of up to three arguments of the function `name`; those that are absent are empty.
fn texts<'a>(
    arguments: &'a [Operand<'_>],
    name: &str,
) -> Result<[Option<&'a str>; 3], EvaluationError> {
    let mut texts = [Some(""); 3];
    for (text, argument) in texts.iter_mut().zip(arguments) {
        *text = argument.text(name)?;
    }
    Ok(texts)
}
