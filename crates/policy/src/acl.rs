//! The list of rules.

use crate::entry::{AclEntry, AclOptions};
use crate::error::AclEntryError;
use crate::explanation::{DecidingRule, Explanation, SkippedRule};
use crate::mismatch::Mismatch;
use crate::rule::Rule;
use crate::rule_index::RuleIndex;
use crate::warning::{Warning, warnings};
use crate::{AclDecision, AclQuery, Attribute, Field};

/// Rules in their order: the first whose conditions all hold decides.
#[derive(Clone, Debug)]
pub struct Acl {
    rules: Vec<Rule>,
    index: RuleIndex,
    warnings: Vec<Warning>,
    options: AclOptions,
}

impl Acl {
    /// Compiles `entries`.
    ///
    /// # Errors
    ///
    /// All that is wrong with any of them, in their order.
    pub fn compile(
        entries: Vec<AclEntry>,
        options: AclOptions,
    ) -> Result<Self, Vec<AclEntryError>> {
        let warnings = warnings(&entries, options);
        let (mut rules, mut errors) = (Vec::with_capacity(entries.len()), Vec::new());
        for (rule, entry) in entries.into_iter().enumerate() {
            match Rule::compile(entry) {
                Ok(compiled) => rules.push(compiled),
                Err(found) => {
                    errors.extend(found.into_iter().map(|(field, problem)| AclEntryError {
                        rule,
                        field,
                        problem,
                    }));
                }
            }
        }
        if errors.is_empty() {
            Ok(Self {
                index: RuleIndex::new(&rules),
                rules,
                warnings,
                options,
            })
        } else {
            Err(errors)
        }
    }

    /// What is valid in its rules but probably not intended.
    pub fn warnings(&self) -> impl Iterator<Item = &Warning> {
        self.warnings.iter()
    }

    /// The first rule that decides every query but those about the API, counted from 0. Policies after
    /// this one are not asked if there is one.
    #[must_use]
    pub fn catch_all(&self) -> Option<usize> {
        self.rules.iter().position(Rule::has_no_conditions)
    }

    /// The decision of the first rule that matches; `None` if no rule does, so that another
    /// authorizer may be asked.
    #[must_use]
    pub fn decide(&self, query: &AclQuery<'_>) -> Option<AclDecision> {
        let matches = |rule: &usize| self.rules[*rule].matches(query, self.options.quote_labels);
        let rule = self.index.candidates(query).find(matches)?;
        Some(AclDecision {
            rule,
            granted: self.rules[rule].grant(query.actions),
        })
    }

    /// As [`decide`](Self::decide), with the reason why each earlier rule did not match.
    #[must_use]
    pub fn explain(&self, query: &AclQuery<'_>) -> Explanation {
        let mut skipped = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            if rule.disregards(query) {
                skipped.push(SkippedRule {
                    rule: index,
                    comment: rule.comment.clone(),
                    field: Field::Text(Attribute::ResourceType),
                    pattern: rule.written(Attribute::ResourceType).to_owned(),
                    expanded: Vec::new(),
                    values: vec![query.resource_type.to_owned()],
                    reason: Mismatch::NotForApi,
                });
                continue;
            }
            let bindings = rule.bindings(query, self.options.quote_labels);
            let Some((condition, reason)) = rule.first_mismatch(&bindings) else {
                let granted = rule.grant(query.actions);
                let refused = query
                    .actions
                    .iter()
                    .filter(|action| !granted.contains(action))
                    .cloned()
                    .collect();
                let decision = AclDecision {
                    rule: index,
                    granted,
                };
                return Explanation {
                    skipped,
                    decided: Some(DecidingRule {
                        decision,
                        comment: rule.comment.clone(),
                        refused,
                    }),
                };
            };
            skipped.push(SkippedRule {
                rule: index,
                comment: rule.comment.clone(),
                field: condition.field(),
                pattern: condition.written().to_owned(),
                expanded: condition.expansions(&bindings, EXPANSIONS_SHOWN),
                values: condition.values(query),
                reason,
            });
        }
        Explanation {
            skipped,
            decided: None,
        }
    }
}

/// How many patterns an explanation shows of one that stands for several.
const EXPANSIONS_SHOWN: usize = 8;
