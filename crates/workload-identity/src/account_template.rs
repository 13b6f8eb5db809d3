//! Account names made of claims.

use serde_json::{Map, Value};

use crate::{ClaimPath, Preset};

/// The longest account name, in bytes.
const LONGEST: usize = 255;

/// The name of an account, with claims in it: `kubernetes:${namespace}:${service_account}`.
///
/// Two workloads with different claims never get one name: between two claims stands a text, and no
/// value but the last may hold that text's first character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountTemplate {
    written: String,
    /// What stands before the first claim.
    start: String,
    /// Each claim, with the text behind it.
    claims: Vec<(ClaimPath, String)>,
}

/// A text that is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountTemplateError {
    /// A `${` without its end.
    #[error("`${{` without `}}`")]
    Unclosed,
    /// A claim without a name.
    #[error("`${{}}` names no claim")]
    Unnamed,
    /// Two claims side by side.
    #[error(
        "two claims need a character between them, such as `:`, so that no two workloads get one name"
    )]
    Adjacent,
    /// A character that no name may have.
    #[error("white space and control characters are not allowed in an account")]
    Character,
}

/// Why no name can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpansionError {
    /// The token does not have the claim, or it is empty, or has several values.
    #[error("{0} is absent, empty, or has more than one value")]
    NoValue(String),
    /// The claim's value has a character that a name may not have there.
    #[error("{claim} has the character {found:?}, which an account must not have here")]
    Character {
        /// The claim.
        claim: String,
        /// The character.
        found: char,
    },
    /// The name would be too long.
    #[error("it would have more than {LONGEST} bytes")]
    TooLong,
}

impl AccountTemplate {
    /// Reads a template whose claims are those of `preset`.
    ///
    /// # Errors
    /// When it is malformed, or could give two workloads one name.
    pub fn parse(text: &str, preset: Preset) -> Result<Self, AccountTemplateError> {
        if text.contains(is_forbidden) {
            return Err(AccountTemplateError::Character);
        }
        let mut pieces = text.split("${");
        let start = pieces.next().unwrap_or_default().to_owned();
        let mut claims: Vec<(ClaimPath, String)> = Vec::new();
        for piece in pieces {
            let (claim, behind) = piece
                .split_once('}')
                .ok_or(AccountTemplateError::Unclosed)?;
            if claim.is_empty() {
                return Err(AccountTemplateError::Unnamed);
            }
            if claims.last().is_some_and(|(_, between)| between.is_empty()) {
                return Err(AccountTemplateError::Adjacent);
            }
            claims.push((ClaimPath::new(claim, preset), behind.to_owned()));
        }
        Ok(Self {
            written: text.to_owned(),
            start,
            claims,
        })
    }

    /// The template as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The claims in it.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimPath> {
        self.claims.iter().map(|(claim, _)| claim)
    }

    /// Whether a name of this template could be one of `other`, too, made of other claims.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        if self.written == other.written {
            return false;
        }
        match (self.claims.is_empty(), other.claims.is_empty()) {
            (true, true) => false,
            (true, false) => self.start.starts_with(&other.start),
            (false, true) => other.start.starts_with(&self.start),
            (false, false) => {
                self.start.starts_with(&other.start) || other.start.starts_with(&self.start)
            }
        }
    }

    /// The account of a workload with these claims.
    ///
    /// # Errors
    /// When a claim is missing, or its value could be mistaken for another.
    pub fn expand(&self, claims: &Map<String, Value>) -> Result<String, ExpansionError> {
        let mut name = self.start.clone();
        for (index, (claim, behind)) in self.claims.iter().enumerate() {
            let values = claim.values(claims);
            let [value] = values.as_slice() else {
                return Err(ExpansionError::NoValue(claim.to_string()));
            };
            if value.is_empty() {
                return Err(ExpansionError::NoValue(claim.to_string()));
            }
            let is_last = index + 1 == self.claims.len();
            let end = behind.chars().next().filter(|_| !is_last);
            if let Some(found) = value.chars().find(|c| is_forbidden(*c) || Some(*c) == end) {
                return Err(ExpansionError::Character {
                    claim: claim.to_string(),
                    found,
                });
            }
            name.extend([value.as_str(), behind]);
        }
        if name.len() > LONGEST {
            return Err(ExpansionError::TooLong);
        }
        Ok(name)
    }
}

fn is_forbidden(c: char) -> bool {
    c.is_whitespace() || c.is_control()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(text: &str) -> AccountTemplate {
        AccountTemplate::parse(text, Preset::Oidc).unwrap()
    }

    fn expand(text: &str, claims: &Value) -> Result<String, ExpansionError> {
        template(text).expand(claims.as_object().unwrap())
    }

    #[test]
    fn a_name_is_made_of_claims() {
        let claims = json!({"a": "x", "n": 7, "o": {"b": "y"}, "l": ["z"]});
        for (text, name) in [
            ("ci:deploy", "ci:deploy"),
            ("ci:${a}", "ci:x"),
            ("ci:${a}:${n}/${o.b}!", "ci:x:7/y!"),
            ("ci:${l}", "ci:z"),
        ] {
            assert_eq!(expand(text, &claims).as_deref(), Ok(name));
        }
    }

    #[test]
    fn a_template_that_could_give_one_name_twice_is_refused() {
        for (text, error) in [
            ("ci:${a}${b}", AccountTemplateError::Adjacent),
            ("ci:${a", AccountTemplateError::Unclosed),
            ("ci:${}", AccountTemplateError::Unnamed),
            ("ci: ${a}", AccountTemplateError::Character),
        ] {
            assert_eq!(
                AccountTemplate::parse(text, Preset::Oidc),
                Err(error),
                "{text}"
            );
        }
    }

    #[test]
    fn a_value_that_could_be_mistaken_is_refused() {
        let character = |found| ExpansionError::Character {
            claim: "a".to_owned(),
            found,
        };
        for (claims, error) in [
            (json!({"a": "x:y", "b": "z"}), character(':')),
            (json!({"a": "x y", "b": "z"}), character(' ')),
            (json!({"a": "x\u{85}", "b": "z"}), character('\u{85}')),
            (json!({"b": "z"}), ExpansionError::NoValue("a".to_owned())),
            (
                json!({"a": "", "b": "z"}),
                ExpansionError::NoValue("a".to_owned()),
            ),
            (
                json!({"a": {}, "b": "z"}),
                ExpansionError::NoValue("a".to_owned()),
            ),
            (
                json!({"a": ["x", "y"], "b": "z"}),
                ExpansionError::NoValue("a".to_owned()),
            ),
            (
                json!({"a": "x", "b": "z".repeat(255)}),
                ExpansionError::TooLong,
            ),
        ] {
            assert_eq!(expand("ci:${a}:${b}", &claims), Err(error), "{claims}");
        }
        // Of the last one, nothing follows that could be mistaken.
        assert_eq!(
            expand("ci:${a}:${b}", &json!({"a": "x", "b": "y:z"})).as_deref(),
            Ok("ci:x:y:z")
        );
    }

    #[test]
    fn templates_that_could_meet_are_found() {
        for (one, other, meet) in [
            ("ci:${a}", "ci:${a}", false),
            ("ci:${a}", "ci:${b}", true),
            ("ci:${a}", "ci:x-${b}", true),
            ("ci:x:${a}", "ci:y:${a}", false),
            ("ci:deploy", "ci:${a}", true),
            ("ci:deploy", "ci:x-${a}", false),
            ("ci:deploy", "ci:deploy2", false),
        ] {
            let (one, other) = (template(one), template(other));
            assert_eq!(one.overlaps(&other), meet, "{one:?} {other:?}");
            assert_eq!(other.overlaps(&one), meet);
        }
    }
}
