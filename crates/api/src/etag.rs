//! Entity tags, and the conditions of requests (RFC 9110 §8.8.3 and §13).

use database::{ObjectVersion, Precondition};
use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};

/// The tag of a representation: quoted, strong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag(String);

impl EntityTag {
    /// The tag of this version of an object.
    pub(crate) fn of(version: &ObjectVersion) -> Self {
        Self(format!("\"{version}\""))
    }

    /// A tag that was sent before.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// As it is sent.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What `If-Match` demands of an object that is to be changed. Tags are compared strongly: a weak one
/// never matches (§8.8.3.2). `*` demands that there is one, which every change does.
pub(crate) fn precondition(headers: &HeaderMap) -> Precondition {
    let tags = tags(headers, &IF_MATCH);
    if !headers.contains_key(IF_MATCH) || tags.iter().any(|tag| tag == "*") {
        return Precondition::Unconditional;
    }
    let version = |tag: &String| {
        let version = tag.strip_prefix('"')?.strip_suffix('"')?;
        Some(ObjectVersion::from(version))
    };
    Precondition::OneOf(tags.iter().filter_map(version).collect())
}

/// Whether the client has the representation with this tag (§13.1.2: the weak comparison).
pub(crate) fn has_current(headers: &HeaderMap, tag: &EntityTag) -> bool {
    let mut tags = tags(headers, &IF_NONE_MATCH).into_iter();
    tags.any(|sent| sent == "*" || sent.strip_prefix("W/").unwrap_or(&sent) == tag.as_str())
}

/// The members of a list of tags. Ours have no comma.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let members = lines.flat_map(|line| line.split(','));
    let members = members.map(str::trim).filter(|member| !member.is_empty());
    members.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, lines: &[&'static str]) -> HeaderMap {
        let line = |line: &&'static str| (name.clone(), HeaderValue::from_static(line));
        lines.iter().map(line).collect()
    }

    #[test]
    fn if_match_compares_strongly() {
        let demanded = |lines: &[&'static str]| precondition(&headers(&IF_MATCH, lines));
        let these = |list: &[&str]| {
            Precondition::OneOf(list.iter().copied().map(ObjectVersion::from).collect())
        };
        assert_eq!(demanded(&[]), Precondition::Unconditional);
        assert_eq!(demanded(&["*"]), Precondition::Unconditional);
        assert_eq!(demanded(&["\"a\""]), these(&["a"]));
        assert_eq!(
            demanded(&["\"a\", \"b\"", "\"c\""]),
            these(&["a", "b", "c"])
        );
        assert_eq!(demanded(&["W/\"a\""]), these(&[]));
        // What is no tag matches nothing.
        assert_eq!(demanded(&["a"]), these(&[]));
        assert_eq!(demanded(&[""]), these(&[]));
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let tag = EntityTag::of(&ObjectVersion::from("a"));
        let has = |lines: &[&'static str]| has_current(&headers(&IF_NONE_MATCH, lines), &tag);
        assert!(has(&["\"a\""]) && has(&["W/\"a\""]) && has(&["*"]) && has(&["\"b\", \"a\""]));
        assert!(!has(&[]) && !has(&["\"b\""]) && !has(&["a"]));
    }
}
