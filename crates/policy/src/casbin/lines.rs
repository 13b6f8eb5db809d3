//! The lines of a policy.

use std::collections::HashSet;

use super::csv::fields;
use super::effect::LineEffect;
use super::error::{CasbinError, CasbinFile, CasbinProblem};
use super::expression::Expression;
use super::model::Model;
use super::roles::Roles;
use super::warning::{CasbinWarning, CasbinWarningKind};

/// What a policy's file says.
#[derive(Debug, Default)]
pub(super) struct PolicyLines {
    /// The lines that are matched, in the order of the file.
    pub(super) lines: Vec<Line>,
    /// The role links, in the order of the file.
    pub(super) links: Vec<RoleLink>,
    pub(super) errors: Vec<CasbinError>,
}

/// A line that is matched.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Its number in the file, counted from 1.
    pub(super) number: usize,
    columns: Vec<String>,
    pub(super) effect: LineEffect,
    /// The columns that hold expressions, read.
    pub(super) rules: Vec<(usize, Expression)>,
}

/// A line that gives a role to a name.
#[derive(Debug)]
pub(super) struct RoleLink {
    pub(super) number: usize,
    /// Which of the role definitions it is for.
    pub(super) definition: usize,
    pub(super) name: String,
    pub(super) role: String,
    pub(super) domain: String,
}

impl PolicyLines {
    /// Reads the lines of `text`, as `model` describes them. Empty lines, and those that begin with
    /// `#`, do not count.
    pub(super) fn read(text: &str, model: &Model) -> Self {
        let mut read = Self::default();
        for (index, line) in text.lines().enumerate() {
            let (line, number) = (line.trim(), index + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let result = fields(line).map_err(CasbinProblem::Csv);
            if let Err(problem) = result.and_then(|fields| read.add(fields, number, model)) {
                read.errors.push(CasbinError {
                    file: CasbinFile::Policy,
                    line: number,
                    problem,
                });
            }
        }
        read
    }

    fn add(
        &mut self,
        mut columns: Vec<String>,
        number: usize,
        model: &Model,
    ) -> Result<(), CasbinProblem> {
        let kind = columns.remove(0);
        let wrong_number = |expected| CasbinProblem::Columns {
            kind: kind.clone(),
            expected,
            found: columns.len(),
        };
        let policy = model.policies.iter().position(|known| known.kind == kind);
        if let Some(policy) = policy {
            let expected = model.policies[policy].names.len();
            if columns.len() != expected {
                return Err(wrong_number(expected));
            }
            if policy == 0 {
                let effect = model.column("eft").and_then(|column| columns.get(column));
                let effect = effect.map_or(LineEffect::Allow, |word| LineEffect::of(word));
                self.lines.push(Line {
                    number,
                    columns,
                    effect,
                    rules: Vec::new(),
                });
            }
            return Ok(());
        }
        let Some(definition) = model.roles.iter().position(|known| known.kind == kind) else {
            let policies = model.policies.iter().map(|known| known.kind.clone());
            let known = policies.chain(model.roles.iter().map(|known| known.kind.clone()));
            return Err(CasbinProblem::UnknownKind {
                kind,
                known: known.collect(),
            });
        };
        let expected = model.roles[definition].columns;
        if columns.len() < expected {
            return Err(wrong_number(expected));
        }
        let domain = model.roles[definition].has_domain;
        let mut columns = columns.into_iter();
        let mut next = || columns.next().unwrap_or_default();
        self.links.push(RoleLink {
            number,
            definition,
            name: next(),
            role: next(),
            domain: if domain { next() } else { String::new() },
        });
        Ok(())
    }

    /// What is valid in the lines but probably not intended.
    pub(super) fn warnings(&self, model: &Model) -> Vec<CasbinWarning> {
        let mut found = Vec::new();
        let mut warn = |line, kind| {
            let file = CasbinFile::Policy;
            found.push(CasbinWarning { file, line, kind });
        };
        if self.lines.is_empty() {
            warn(1, CasbinWarningKind::NoLine);
        }
        let effect = model.column("eft");
        for line in &self.lines {
            if let (LineEffect::Indeterminate, Some(column)) = (line.effect, effect) {
                let word = line.column(column).to_owned();
                warn(line.number, CasbinWarningKind::EffectWord(word));
            }
        }
        let columns = self.lines.iter().flat_map(Line::columns);
        let mut named: HashSet<&str> = columns.map(String::as_str).collect();
        named.extend(self.links.iter().map(|link| link.name.as_str()));
        for link in &self.links {
            let is_in_matcher = model.matcher.0.contains(&link.role);
            if !is_in_matcher && named.insert(&link.role) {
                warn(
                    link.number,
                    CasbinWarningKind::UnnamedRole(link.role.clone()),
                );
            }
        }
        found
    }

    /// The links of each of so many role definitions.
    pub(super) fn roles(&self, definitions: usize) -> Vec<Roles> {
        let mut roles = vec![Roles::default(); definitions];
        for link in &self.links {
            if let Some(roles) = roles.get_mut(link.definition) {
                roles.link(&link.name, &link.role, &link.domain);
            }
        }
        roles
    }
}

impl Line {
    /// What Casbin takes for a line if the policy has none.
    pub(super) fn empty() -> Self {
        Self {
            number: 0,
            columns: Vec::new(),
            effect: LineEffect::Allow,
            rules: Vec::new(),
        }
    }

    /// The text of a column; empty if the line has no such column.
    pub(super) fn column(&self, column: usize) -> &str {
        self.columns.get(column).map_or("", String::as_str)
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The expression that a column holds.
    pub(super) fn rule(&self, column: usize) -> Option<&Expression> {
        let found = self.rules.iter().find(|(known, _)| *known == column);
        found.map(|(_, rule)| rule)
    }
}
