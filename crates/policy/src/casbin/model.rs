//! The model: what its definitions mean.

use super::effect::PolicyEffect;
use super::error::{CasbinError, CasbinFile, CasbinProblem};
use super::ini::{Definition, definitions};
use super::rewriting;
use super::warning::{CasbinWarning, CasbinWarningKind};

/// A model that can be used.
#[derive(Debug)]
pub(super) struct Model {
    /// The columns of a request.
    pub(super) request: Columns,
    /// The kinds of policy lines: `p`, which is matched, and `p2`, `p3`, …, which are not.
    pub(super) policies: Vec<Columns>,
    pub(super) roles: Vec<RoleDefinition>,
    pub(super) effect: PolicyEffect,
    /// The matcher as it is evaluated, and its line.
    pub(super) matcher: (String, usize),
}

/// The names of columns.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// `r`, `p`, `p2`, …
    pub(super) kind: String,
    pub(super) names: Vec<String>,
    line: usize,
}

/// A definition of roles.
#[derive(Debug)]
pub(super) struct RoleDefinition {
    /// `g`, `g2`, …
    pub(super) kind: String,
    /// How many columns its lines have at least.
    pub(super) columns: usize,
    pub(super) has_domain: bool,
}

const REQUEST: &str = "request_definition";
const POLICY: &str = "policy_definition";
const ROLES: &str = "role_definition";
const EFFECT: &str = "policy_effect";
const MATCHERS: &str = "matchers";

impl Model {
    /// Reads a model whose requests have `values` values.
    pub(super) fn read(
        text: &str,
        values: usize,
        warnings: &mut Vec<CasbinWarning>,
    ) -> Result<Self, Vec<CasbinError>> {
        let (definitions, mut errors) = definitions(text);
        let definitions = Definitions(definitions);
        let mut required = |section, name| {
            let found = definitions.find(section, name);
            if found.is_none() {
                errors.push(error(1, CasbinProblem::Missing { section, name }));
            }
            found
        };
        let (request, policy) = (required(REQUEST, "r"), required(POLICY, "p"));
        let (effect, matcher) = (required(EFFECT, "e"), required(MATCHERS, "m"));
        let request = request.map(columns);
        if let Some(Columns { names, line, .. }) = &request
            && names.len() != values
        {
            let found = names.len();
            let expected = values;
            errors.push(error(
                *line,
                CasbinProblem::RequestColumns { expected, found },
            ));
        }
        let effect = effect.and_then(|definition| {
            let known = PolicyEffect::of(&rewriting::columns(&definition.value));
            let has_roles = definitions.find(ROLES, "g").is_some();
            if known.is_none() {
                errors.push(error(definition.line, CasbinProblem::Effect));
            } else if known == Some(PolicyEffect::SubjectPriority) && !has_roles {
                errors.push(error(definition.line, CasbinProblem::NoRoles));
            }
            known
        });
        let roles = definitions.numbered(ROLES, 'g');
        let roles: Vec<_> = roles
            .map(|definition| roles_of(definition, &mut errors))
            .collect();
        let policies = policy.map(|_| definitions.numbered(POLICY, 'p').map(columns).collect());
        definitions.warn_of_unused(warnings);
        match (request, policies, effect, matcher) {
            (Some(request), Some(policies), Some(effect), Some(matcher)) if errors.is_empty() => {
                Ok(Self {
                    request,
                    policies,
                    roles,
                    effect,
                    matcher: (matcher_text(matcher, warnings), matcher.line),
                })
            }
            _ => {
                errors.sort_by_key(|error| error.line);
                Err(errors)
            }
        }
    }

    /// The columns of the lines that are matched.
    pub(super) fn columns(&self) -> &[String] {
        self.policies.first().map_or(&[], |columns| &columns.names)
    }

    /// The number of the column `name` of such lines.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns().iter().position(|known| known == name)
    }
}

struct Definitions(Vec<Definition>);

impl Definitions {
    /// The last definition of `name`, if it has a value.
    fn find(&self, section: &str, name: &str) -> Option<&Definition> {
        let is_it = |found: &&Definition| found.section == section && found.name == name;
        let found = self.0.iter().rfind(is_it);
        found.filter(|definition| !definition.value.is_empty())
    }

    /// The definitions of `g`, `g2`, `g3` and so on, up to the first that is missing.
    fn numbered(&self, section: &'static str, letter: char) -> impl Iterator<Item = &Definition> {
        let names = std::iter::once(letter.to_string());
        let names = names.chain((2_u32..).map(move |number| format!("{letter}{number}")));
        names.map_while(move |name| self.find(section, &name))
    }

    /// Warns of what Casbin reads and does not use, and of what is defined again.
    fn warn_of_unused(&self, warnings: &mut Vec<CasbinWarning>) {
        let mut used: Vec<&Definition> = Vec::new();
        let single = [
            (REQUEST, "r"),
            (POLICY, "p"),
            (EFFECT, "e"),
            (MATCHERS, "m"),
        ];
        used.extend(
            single
                .iter()
                .filter_map(|(section, name)| self.find(section, name)),
        );
        used.extend(self.numbered(ROLES, 'g'));
        for definition in &self.0 {
            if used.iter().any(|used| std::ptr::eq(*used, definition)) {
                continue;
            }
            let name = definition.name.clone();
            let again = used.iter().find(|used| {
                (&used.section, &used.name) == (&definition.section, &definition.name)
            });
            let kind = match again {
                Some(again) => CasbinWarningKind::DefinedAgain {
                    name,
                    line: again.line,
                },
                None => CasbinWarningKind::Unused(name),
            };
            warnings.push(CasbinWarning {
                file: CasbinFile::Model,
                line: definition.line,
                kind,
            });
        }
    }
}

fn columns(definition: &Definition) -> Columns {
    let names = definition.value.split(',');
    Columns {
        kind: definition.name.clone(),
        names: names.map(|name| name.trim().to_owned()).collect(),
        line: definition.line,
    }
}

fn roles_of(definition: &Definition, errors: &mut Vec<CasbinError>) -> RoleDefinition {
    let links = definition.value.matches('_').count();
    if !(2..=3).contains(&links) {
        errors.push(error(definition.line, CasbinProblem::RoleDefinition));
    }
    RoleDefinition {
        kind: definition.name.clone(),
        columns: links.max(definition.value.split(',').count()),
        has_domain: links == 3,
    }
}

fn matcher_text(definition: &Definition, warnings: &mut Vec<CasbinWarning>) -> String {
    let text = rewriting::matcher(&definition.value);
    if let Some((written, read)) = rewriting::changed_text(&definition.value, &text) {
        warnings.push(CasbinWarning {
            file: CasbinFile::Model,
            line: definition.line,
            kind: CasbinWarningKind::TextRewritten {
                written: written.to_owned(),
                read: read.to_owned(),
            },
        });
    }
    text
}

fn error(line: usize, problem: CasbinProblem) -> CasbinError {
    CasbinError {
        file: CasbinFile::Model,
        line,
        problem,
    }
}
