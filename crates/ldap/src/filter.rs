//! Search filters (RFC 4515) with variables in their values.

use std::fmt;

use ldap3::{ldap_escape, parse_filter};

/// A value that stands for every other when a filter is checked. It is not the name of an
/// attribute, so a variable there is noticed.
const SAMPLE: &str = r"\28\29";

/// A filter in which `${account}`, and `${dn}` in a search for groups, stand for values.
///
/// ```
/// use ldap::FilterTemplate;
///
/// assert!(FilterTemplate::of_account("(&(objectClass=person)(uid=${account}))").is_ok());
/// assert!(FilterTemplate::of_account("(uid=ann)").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterTemplate(Vec<FilterPart>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum FilterPart {
    Text(String),
    Account,
    DistinguishedName,
}

/// Why a text is not a filter for logins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// RFC 4515 does not allow it.
    #[error(
        "not a search filter (RFC 4515); a filter looks like (&(objectClass=person)(uid=${{account}}))"
    )]
    Syntax,
    /// Every account would find the same entries.
    #[error("the filter must contain {0}, or it finds the same entries for everyone")]
    Variable(&'static str),
    /// A variable that has no value here.
    #[error("there is no variable ${{{0}}} here")]
    UnknownVariable(String),
}

impl FilterTemplate {
    /// A filter that finds an account's entry. It contains `${account}`.
    ///
    /// # Errors
    /// When it is not such a filter.
    pub fn of_account(text: &str) -> Result<Self, FilterError> {
        let template = Self::parse(text)?;
        if template.0.contains(&FilterPart::DistinguishedName) {
            return Err(FilterError::UnknownVariable("dn".to_owned()));
        }
        if template.0.contains(&FilterPart::Account) {
            Ok(template)
        } else {
            Err(FilterError::Variable("${account}"))
        }
    }

    /// A filter that finds the groups of an account. It contains `${dn}` or `${account}`.
    ///
    /// # Errors
    /// When it is not such a filter.
    pub fn of_groups(text: &str) -> Result<Self, FilterError> {
        let template = Self::parse(text)?;
        let is_variable = |part: &FilterPart| !matches!(part, FilterPart::Text(_));
        if template.0.iter().any(is_variable) {
            Ok(template)
        } else {
            Err(FilterError::Variable("${dn} or ${account}"))
        }
    }

    /// Whether it contains `${dn}`.
    #[must_use]
    pub fn has_distinguished_name(&self) -> bool {
        self.0.contains(&FilterPart::DistinguishedName)
    }

    /// Whether it compares `attribute`, as far as its text tells.
    #[must_use]
    pub fn mentions(&self, attribute: &str) -> bool {
        let text = self.to_string().to_ascii_lowercase();
        let attribute = attribute.to_ascii_lowercase();
        ["=", ":", "~", ">", "<"]
            .iter()
            .any(|after| text.contains(&format!("({attribute}{after}")))
    }

    /// The filter for an account, escaped as RFC 4515 §3 demands.
    pub(crate) fn expand(&self, account: &str, distinguished_name: &str) -> String {
        let (account, name) = (ldap_escape(account), ldap_escape(distinguished_name));
        self.fill(&account, &name)
    }

    fn parse(text: &str) -> Result<Self, FilterError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, inner)) = rest.split_once("${") {
            let (name, after) = inner.split_once('}').ok_or(FilterError::Syntax)?;
            parts.push(FilterPart::Text(before.to_owned()));
            parts.push(match name {
                "account" => FilterPart::Account,
                "dn" => FilterPart::DistinguishedName,
                _ => return Err(FilterError::UnknownVariable(name.to_owned())),
            });
            rest = after;
        }
        parts.push(FilterPart::Text(rest.to_owned()));
        let template = Self(parts);
        // The library would also take a filter without its outer parentheses.
        if !text.starts_with('(') || parse_filter(template.fill(SAMPLE, SAMPLE)).is_err() {
            return Err(FilterError::Syntax);
        }
        Ok(template)
    }

    fn fill(&self, account: &str, distinguished_name: &str) -> String {
        let parts = self.0.iter().map(|part| match part {
            FilterPart::Text(text) => text.as_str(),
            FilterPart::Account => account,
            FilterPart::DistinguishedName => distinguished_name,
        });
        parts.collect()
    }
}

/// As it is written in the configuration.
impl fmt::Display for FilterTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fill("${account}", "${dn}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_not_expanded_again() {
        let filter = FilterTemplate::of_account("(|(uid=${account})(mail=${account}@x))").unwrap();
        for (account, expected) in [
            ("ann", "(|(uid=ann)(mail=ann@x))"),
            ("*", r"(|(uid=\2a)(mail=\2a@x))"),
            (
                "a)(uid=*",
                r"(|(uid=a\29\28uid=\2a)(mail=a\29\28uid=\2a@x))",
            ),
            (r"a\b", r"(|(uid=a\5cb)(mail=a\5cb@x))"),
            ("x,ou=admins", "(|(uid=x,ou=admins)(mail=x,ou=admins@x))"),
            ("é", "(|(uid=é)(mail=é@x))"),
            ("\0", r"(|(uid=\00)(mail=\00@x))"),
            ("${account}", "(|(uid=${account})(mail=${account}@x))"),
        ] {
            let filter = filter.expand(account, "");
            assert_eq!(filter, expected);
            assert!(parse_filter(&filter).is_ok(), "{filter}");
        }
    }

    #[test]
    fn groups_are_found_by_name_or_account() {
        let text = "(member:1.2.840.113556.1.4.1941:=${dn})";
        let filter = FilterTemplate::of_groups(text).unwrap();
        assert!(filter.has_distinguished_name());
        assert_eq!(
            filter.expand("ann", "cn=Ann (x),dc=a"),
            r"(member:1.2.840.113556.1.4.1941:=cn=Ann \28x\29,dc=a)"
        );
        assert_eq!(filter.to_string(), text);
        let posix = FilterTemplate::of_groups("(memberUid=${account})").unwrap();
        assert!(!posix.has_distinguished_name());
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let refused = |text| FilterTemplate::of_account(text).unwrap_err();
        for text in [
            "",
            "uid=${account}",
            "(uid=${account}",
            "(${account}=x)",
            "(uid=${account",
            "(&(uid=${account})",
        ] {
            assert_eq!(refused(text), FilterError::Syntax, "{text}");
        }
        assert_eq!(refused("(uid=ann)"), FilterError::Variable("${account}"));
        assert_eq!(
            refused("(uid=${user})"),
            FilterError::UnknownVariable("user".to_owned())
        );
        assert_eq!(
            refused("(member=${dn})"),
            FilterError::UnknownVariable("dn".to_owned())
        );
        assert!(FilterTemplate::of_groups("(cn=x)").is_err());
    }

    #[test]
    fn the_attributes_of_a_filter_are_found() {
        let filter = FilterTemplate::of_account("(&(cn=x)(|(UID=${account})(mail~=${account})))");
        let filter = filter.unwrap();
        assert!(filter.mentions("uid") && filter.mentions("Mail") && filter.mentions("cn"));
        assert!(!filter.mentions("x") && !filter.mentions("ui") && !filter.mentions("account"));
    }
}
