//! A ceiling as it is written: scopes on the command line, entries in the API. Type and name are
//! patterns.

use policy::{CeilingEntry, CeilingEntryError, CeilingRules, ScopeCeiling};

/// How many entries a ceiling may have.
const MOST_ENTRIES: usize = 100;
/// How long an entry may be, in bytes.
const LONGEST_ENTRY: usize = 1024;

/// A ceiling that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CeilingTextError {
    /// It is not written as a scope.
    #[error("{0:?} is not written TYPE:NAME:ACTIONS, such as repository:team/*:pull,push")]
    Scope(String),
    /// One of its patterns is malformed.
    #[error("{0:?} has a malformed pattern")]
    Pattern(String, #[source] CeilingEntryError),
    /// It has too many entries.
    #[error("a ceiling has at most {MOST_ENTRIES} entries")]
    TooMany,
    /// An entry is too long.
    #[error("an entry of a ceiling has at most {LONGEST_ENTRY} bytes")]
    TooLong,
}

/// Reads entries such as `repository:team/*:pull,push`. What is between the first and the last colon
/// is the name's pattern.
///
/// # Errors
/// For the first entry that cannot be read.
pub fn parse_ceiling(entries: &[impl AsRef<str>]) -> Result<ScopeCeiling, CeilingTextError> {
    if entries.len() > MOST_ENTRIES {
        return Err(CeilingTextError::TooMany);
    }
    let parsed: Result<Vec<_>, _> = entries.iter().map(|entry| parse(entry.as_ref())).collect();
    read_ceiling(parsed?)
}

/// The ceiling of these entries.
///
/// # Errors
/// When there are too many, or for the first entry that cannot be used.
pub fn read_ceiling(entries: Vec<CeilingEntry>) -> Result<ScopeCeiling, CeilingTextError> {
    if entries.len() > MOST_ENTRIES {
        return Err(CeilingTextError::TooMany);
    }
    let texts: Vec<String> = entries.iter().map(written).collect();
    if texts.iter().any(|text| text.len() > LONGEST_ENTRY) {
        return Err(CeilingTextError::TooLong);
    }
    let is_empty = |entry: &CeilingEntry| {
        let mut parts = entry
            .actions
            .iter()
            .chain([&entry.resource_type, &entry.name]);
        entry.actions.is_empty() || parts.any(String::is_empty)
    };
    if let Some(index) = entries.iter().position(is_empty) {
        return Err(CeilingTextError::Scope(texts[index].clone()));
    }
    let rules = CeilingRules::compile(entries).map_err(|mut errors| {
        let error = errors.remove(0);
        CeilingTextError::Pattern(texts[error.entry].clone(), error)
    })?;
    Ok(ScopeCeiling::Limited(rules))
}

/// An entry as the command line has it.
fn written(entry: &CeilingEntry) -> String {
    let CeilingEntry {
        resource_type,
        name,
        actions,
    } = entry;
    format!("{resource_type}:{name}:{}", actions.join(","))
}

fn parse(text: &str) -> Result<CeilingEntry, CeilingTextError> {
    let malformed = || CeilingTextError::Scope(text.to_owned());
    if text.len() > LONGEST_ENTRY {
        return Err(CeilingTextError::TooLong);
    }
    let (resource_type, rest) = text.split_once(':').ok_or_else(malformed)?;
    let (name, actions) = rest.rsplit_once(':').ok_or_else(malformed)?;
    let actions: Vec<String> = actions.split(',').map(str::to_owned).collect();
    if [resource_type, name].contains(&"") || actions.iter().any(String::is_empty) {
        return Err(malformed());
    }
    Ok(CeilingEntry {
        resource_type: resource_type.to_owned(),
        name: name.to_owned(),
        actions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_with_patterns_is_an_entry() {
        let ceiling = parse_ceiling(&[
            "repository:team/*:pull,push",
            "registry:catalog:*",
            "repository:/^a:5000/b$/:pull",
        ]);
        let ceiling = ceiling.unwrap();
        let entries: Vec<_> = ceiling
            .entries()
            .unwrap()
            .iter()
            .map(|entry| (entry.name.as_str(), entry.actions.join(" ")))
            .collect();
        assert_eq!(
            entries,
            [
                ("team/*", "pull push".to_owned()),
                ("catalog", "*".to_owned()),
                ("/^a:5000/b$/", "pull".to_owned()),
            ]
        );
    }

    #[test]
    fn what_is_no_scope_is_refused_with_an_example() {
        for text in [
            "",
            "repository",
            "repository:app",
            ":app:pull",
            "repository::pull",
            "a:b:",
            "a:b:x,",
        ] {
            let error = parse_ceiling(&[text]).unwrap_err();
            assert!(matches!(error, CeilingTextError::Scope(_)), "{text}");
        }
        let malformed = parse_ceiling(&["a:b:c", "repository:[:pull"]).unwrap_err();
        assert_eq!(
            malformed.to_string(),
            r#""repository:[:pull" has a malformed pattern"#
        );
        assert!(parse_ceiling(&vec!["a:b:c"; MOST_ENTRIES + 1]).is_err());
        assert!(parse_ceiling(&[format!("a:{}:c", "b".repeat(LONGEST_ENTRY))]).is_err());
    }
}
