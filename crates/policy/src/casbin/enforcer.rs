//! A model and its policy, ready to decide.

use std::cell::RefCell;

use super::effect::{LineEffect, PolicyEffect};
use super::error::{CasbinError, CasbinFile, CasbinProblem, EvaluationError};
use super::evaluation::Evaluation;
use super::expression::{Expression, RequestPattern};
use super::lines::{Line, PolicyLines};
use super::model::Model;
use super::order::{by_priority, by_subject};
use super::parser::{KnownNames, parse};
use super::patterns::Patterns;
use super::rewriting;
use super::roles::Roles;
use super::warning::{CasbinWarning, CasbinWarningKind};

/// A model and its policy, checked.
#[derive(Clone, Debug)]
pub struct Enforcer {
    /// How many values a request has.
    values: usize,
    matcher: Expression,
    effect: PolicyEffect,
    /// The lines in the order in which they are matched; none if the matcher names no column of them.
    lines: Vec<Line>,
    no_line: Line,
    roles: Vec<Roles>,
    patterns: Patterns,
    warnings: Vec<CasbinWarning>,
}

/// A decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// Whether the request is allowed.
    pub allowed: bool,
    /// The number of the policy's line that decided, counted from 1; `None` if no line did.
    pub line: Option<usize>,
}

/// Why there is no decision. Casbin's callers take that for "not allowed".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct EnforceError {
    /// The number of the policy's line that was matched then.
    pub line: Option<usize>,
    /// What went wrong.
    pub problem: EvaluationError,
}

impl Enforcer {
    /// Reads a model and its policy, for requests of `values` values.
    ///
    /// # Errors
    /// What is wrong with the model; if nothing is, what is wrong with any line of the policy.
    pub fn compile(model: &str, policy: &str, values: usize) -> Result<Self, Vec<CasbinError>> {
        let (model, policy) = (without_mark(model), without_mark(policy));
        let mut warnings = Vec::new();
        let model = Model::read(model, values, &mut warnings)?;
        let roles: Vec<_> = model.roles.iter().map(|roles| roles.kind.clone()).collect();
        let names = KnownNames {
            request: &model.request.names,
            policy: model.columns(),
            roles: &roles,
            eval: true,
        };
        let (text, line) = &model.matcher;
        let matcher = parse(text, names)
            .map_err(|problem| vec![error(CasbinFile::Model, *line, problem.into())])?;
        let mut read = PolicyLines::read(policy, &model);
        read_rules(&mut read, &matcher, names);
        order(&mut read, &model);
        warnings.extend(read.warnings(&model));
        warnings.extend(request_patterns(&matcher, &read.lines, &model));
        // Casbin looks for the text, wherever it is.
        let names_lines = text.contains("p_");
        let mut enforcer = Self {
            values,
            matcher,
            effect: model.effect,
            roles: read.roles(model.roles.len()),
            lines: if names_lines { read.lines } else { Vec::new() },
            no_line: Line::empty(),
            patterns: Patterns::default(),
            warnings,
        };
        let (patterns, evaluated) = enforcer.check(*line);
        read.errors.extend(evaluated);
        read.errors
            .sort_by_key(|error| (error.file == CasbinFile::Policy, error.line));
        if !read.errors.is_empty() {
            return Err(read.errors);
        }
        enforcer.patterns = patterns;
        Ok(enforcer)
    }

    /// What is valid in both files but probably not intended.
    pub fn warnings(&self) -> impl Iterator<Item = &CasbinWarning> {
        self.warnings.iter()
    }

    /// Decides a request: its values, in the order of the model's `r`.
    ///
    /// # Errors
    /// When the matcher cannot be evaluated for this request.
    pub fn enforce(&self, request: &[&str]) -> Result<Enforcement, EnforceError> {
        let failed = |line: &Line, problem| EnforceError {
            line: Some(line.number).filter(|number| *number > 0),
            problem,
        };
        if request.len() != self.values {
            let (expected, found) = (self.values, request.len());
            return Err(failed(
                &self.no_line,
                EvaluationError::Request { expected, found },
            ));
        }
        let evaluation = Evaluation::of_request(request, &self.roles, &self.patterns);
        if self.lines.is_empty() {
            let result = evaluation.value(&self.matcher, Some(&self.no_line));
            let holds = result.and_then(|result| result.holds());
            let holds = holds.map_err(|problem| failed(&self.no_line, problem))?;
            return Ok(Enforcement {
                allowed: holds || self.effect.at_end(false),
                line: None,
            });
        }
        let mut allowed_by = None;
        for line in &self.lines {
            let result = evaluation.value(&self.matcher, Some(line));
            let matches = result.and_then(|result| result.matches());
            if !matches.map_err(|problem| failed(line, problem))? {
                continue;
            }
            if let Some(allowed) = self.effect.decided_by(line.effect) {
                return Ok(Enforcement {
                    allowed,
                    line: Some(line.number),
                });
            }
            if line.effect == LineEffect::Allow {
                allowed_by = allowed_by.or(Some(line.number));
            }
        }
        let allowed = self.effect.at_end(allowed_by.is_some());
        Ok(Enforcement {
            allowed,
            // If it is allowed because nothing denies it, no line says so.
            line: allowed_by.filter(|_| self.effect == PolicyEffect::AllowAndDeny),
        })
    }

    /// Evaluates the matcher, which is on `line` of the model, for any line and for each line, with a
    /// request that is not known. Gives the patterns that the policy names, and what can fail.
    fn check(&self, line: usize) -> (Patterns, Vec<CasbinError>) {
        let (none, compiled) = (Patterns::default(), RefCell::default());
        let evaluation = Evaluation::of_unknown(&self.roles, &none, &compiled);
        let result = |of_line| {
            let result = evaluation.value(&self.matcher, of_line);
            result.and_then(|result| match (self.lines.is_empty(), result) {
                (true, result) => result.holds(),
                (false, result) => result.matches(),
            })
        };
        let mut errors = Vec::new();
        if let Err(problem) = result(None) {
            errors.push(error(CasbinFile::Model, line, problem.into()));
            return (none, errors);
        }
        for line in &self.lines {
            if let Err(problem) = result(Some(line)) {
                errors.push(error(CasbinFile::Policy, line.number, problem.into()));
            }
        }
        (compiled.take(), errors)
    }
}

/// Reads the expressions that lines hold for `eval`. A line with an error is left out.
fn read_rules(policy: &mut PolicyLines, matcher: &Expression, names: KnownNames<'_>) {
    let columns = matcher.evaluated_columns();
    let names = KnownNames {
        eval: false,
        ..names
    };
    let PolicyLines { lines, errors, .. } = policy;
    lines.retain_mut(|line| {
        let rules = columns.iter().map(|column| {
            let rule = parse(&rewriting::columns(line.column(*column)), names);
            rule.map(|rule| (*column, rule))
        });
        match rules.collect() {
            Ok(rules) => line.rules = rules,
            Err(problem) => {
                let problem = CasbinProblem::Expression(problem);
                errors.push(error(CasbinFile::Policy, line.number, problem));
                return false;
            }
        }
        true
    });
}

/// The patterns of the matcher, and of expressions in lines, that depend on the request.
fn request_patterns(matcher: &Expression, lines: &[Line], model: &Model) -> Vec<CasbinWarning> {
    let of_matcher = (CasbinFile::Model, model.matcher.1, matcher);
    let of_lines = lines.iter().flat_map(|line| {
        let rules = line.rules.iter().map(|(_, rule)| rule);
        rules.map(|rule| (CasbinFile::Policy, line.number, rule))
    });
    let expressions = std::iter::once(of_matcher).chain(of_lines);
    let warnings = expressions.flat_map(|(file, line, expression)| {
        let patterns = expression.request_patterns().into_iter();
        patterns.map(move |RequestPattern { used_by, column }| CasbinWarning {
            file,
            line,
            kind: CasbinWarningKind::RequestPattern {
                used_by,
                column: model.request.names[column].clone(),
            },
        })
    });
    warnings.collect()
}

/// Puts the lines into the order in which they are matched.
fn order(policy: &mut PolicyLines, model: &Model) {
    if model.effect == PolicyEffect::SubjectPriority {
        let links = policy.links.iter().filter(|link| link.definition == 0);
        let sorted = by_subject(&mut policy.lines, links, model.column("dom"));
        policy.errors.extend(sorted.err());
    }
    if let Some(column) = model.column("priority") {
        policy.errors.extend(by_priority(&mut policy.lines, column));
    }
}

/// A text without the byte order mark that editors put before it.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn error(file: CasbinFile, line: usize, problem: CasbinProblem) -> CasbinError {
    CasbinError {
        file,
        line,
        problem,
    }
}
