//! Groups of a rule's own regular expressions as variables: `${account:1}`.
//!
//! Which text names a capture is decided by one regular expression over each of the rule's
//! patterns, and it takes the first `${` that a `:1}` follows: whatever stands between goes into
//! the name, and a name other than the four attributes stands for nothing. So
//! `${account:1}/${account}` works and `${account}/${account:1}` never does; unless the same
//! capture is found elsewhere in the rule, for what is found in one pattern is replaced in all of
//! them.

use std::sync::LazyLock;

use regex::Regex;

use crate::entry::Conditions;
use crate::syntax::{SIZE_LIMIT, regex_in};
use crate::{AclQuery, Attribute};

/// A group of one of a rule's conditions.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    /// How patterns name it, `${` and `}` included.
    pub(crate) token: String,
    /// Whose group it is.
    pub(crate) attribute: Attribute,
    /// The condition as it is written: variables in it are not replaced.
    regex: Regex,
    group: usize,
}

impl Capture {
    /// Its name and its value in `query`; `None` if the condition does not match.
    pub(crate) fn of<'a>(&'a self, query: &AclQuery<'a>) -> Option<(&'a str, &'a str)> {
        let groups = self.regex.captures(self.attribute.of(query))?;
        // A group that took no part in the match captured nothing.
        Some((
            &self.token,
            groups.get(self.group).map_or("", |group| group.as_str()),
        ))
    }
}

/// Text that looks like a capture, and what it is.
pub(crate) enum CaptureReference<'a> {
    Capture(Capture),
    /// Its name is no attribute's.
    NoAttribute {
        text: &'a str,
    },
    NoRegex {
        text: &'a str,
        of: Attribute,
    },
    OutOfRange {
        text: &'a str,
        of: Attribute,
        groups: usize,
    },
}

/// What looks like a capture in `pattern`, a condition of a rule with `conditions`.
pub(crate) fn find<'a>(pattern: &'a str, conditions: &Conditions) -> Vec<CaptureReference<'a>> {
    // docker_auth's own, `\$\{(.+?):(\d+)\}`, in which `\d` is ASCII.
    #[expect(clippy::expect_used, reason = "a constant, compiled in the tests")]
    static CAPTURE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\$\{(.+?):([0-9]+)\}").expect("a valid pattern"));
    CAPTURE
        .captures_iter(pattern)
        .map(|found| {
            let (text, [key, number]) = found.extract();
            resolve(text, key, number, conditions)
        })
        .collect()
}

fn resolve<'a>(
    text: &'a str,
    key: &str,
    number: &str,
    conditions: &Conditions,
) -> CaptureReference<'a> {
    let Some(of) = attribute(key) else {
        return CaptureReference::NoAttribute { text };
    };
    let regex = conditions.on(of).and_then(regex_in);
    let Some(Ok(regex)) = regex.map(|inner| crate::regex::compile(inner, SIZE_LIMIT)) else {
        return CaptureReference::NoRegex { text, of };
    };
    let groups = regex.captures_len() - 1;
    match number.parse() {
        Ok(group) if (1..=groups).contains(&group) => CaptureReference::Capture(Capture {
            token: text.to_owned(),
            attribute: of,
            regex,
            group,
        }),
        _ => CaptureReference::OutOfRange { text, of, groups },
    }
}

/// The attribute with this name; its first letter may be a capital.
fn attribute(key: &str) -> Option<Attribute> {
    Attribute::ALL.into_iter().find(|attribute| {
        let known = attribute.key();
        key.is_char_boundary(1)
            && key[..1].eq_ignore_ascii_case(&known[..1])
            && key[1..] == known[1..]
    })
}

/// The capture that `text` ends with and what comes before it, where nothing but what comes before
/// it is in its way.
pub(crate) fn capture_at_end(text: &str) -> Option<(&str, &str)> {
    let (before, capture) = text.split_at(text.rfind("${")?);
    let (key, number) = capture[2..].strip_suffix('}')?.split_once(':')?;
    let digits = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    (digits && attribute(key).is_some()).then_some((before, capture))
}
