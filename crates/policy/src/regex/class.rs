//! Classes of characters: `[…]`, `\d`, `[:alpha:]`, `\p{Greek}`.

use super::RegexError;
use super::atom::{Atom, NOTHING};
use super::escape::escape;
use super::unicode::{Property, canonical};

/// The `[…]` that `rest` begins with, and what follows it.
pub(super) fn bracketed(rest: &str, fold: bool) -> Result<(Atom, &str), RegexError> {
    let inner = &rest[1..];
    let mut unread = inner.strip_prefix('^').unwrap_or(inner);
    let negation = if unread.len() < inner.len() { "^" } else { "" };
    // A `]` that comes first is a member.
    let mut members = String::new();
    loop {
        let (member, after) = member(unread)?;
        members.push_str(&member);
        unread = after;
        if let Some(after) = unread.strip_prefix(']') {
            return Ok((
                Atom::single(format!("[{negation}{members}]")).fold(fold),
                after,
            ));
        }
    }
}

/// The class at the beginning of `rest`, which begins with a backslash, and what follows it; `None`
/// if it is not a class.
pub(super) fn escaped(rest: &str, fold: bool) -> Result<Option<(Atom, &str)>, RegexError> {
    let class = match unicode(rest)? {
        Some(class) => Some(class),
        None => perl(rest),
    };
    Ok(class.map(|(members, after)| (Atom::single(format!("[{members}]")).fold(fold), after)))
}

/// One member of a class: a class with a name, a range, or a character.
fn member(rest: &str) -> Result<(String, &str), RegexError> {
    if let Some(class) = posix(rest)? {
        return Ok(class);
    }
    if let Some(class) = unicode(rest)? {
        return Ok(class);
    }
    if let Some(class) = perl(rest) {
        return Ok(class);
    }
    let (low, after) = character(rest)?;
    // `[a-]` is an `a` or a `-`.
    let Some(upper) = after
        .strip_prefix('-')
        .filter(|upper| !upper.is_empty() && !upper.starts_with(']'))
    else {
        return Ok((range(low, low), after));
    };
    let (high, after) = character(upper)?;
    if high < low {
        return Err(RegexError::ClassRange(
            rest[..rest.len() - after.len()].to_owned(),
        ));
    }
    Ok((range(low, high), after))
}

fn character(rest: &str) -> Result<(u32, &str), RegexError> {
    let mut characters = rest.chars();
    match characters.next().ok_or(RegexError::UnclosedClass)? {
        '\\' => escape(rest),
        plain => Ok((u32::from(plain), characters.as_str())),
    }
}

/// The characters from `low` to `high`. Surrogates are not characters and are left out.
fn range(low: u32, high: u32) -> String {
    let low = if (0xD800..0xE000).contains(&low) {
        0xE000
    } else {
        low
    };
    let high = if (0xD800..0xE000).contains(&high) {
        0xD7FF
    } else {
        high
    };
    match low.cmp(&high) {
        std::cmp::Ordering::Greater => NOTHING.to_owned(),
        std::cmp::Ordering::Equal => format!("\\x{{{low:X}}}"),
        std::cmp::Ordering::Less => format!("\\x{{{low:X}}}-\\x{{{high:X}}}"),
    }
}

const DIGIT: &str = "0-9";
const SPACE: &str = r"\t\n\x0C\r\x20";
const WORD: &str = "0-9A-Za-z_";

/// `\d`, `\s`, `\w` and their negations.
fn perl(rest: &str) -> Option<(String, &str)> {
    let mut characters = rest.strip_prefix('\\')?.chars();
    let letter = characters.next()?;
    let members = match letter.to_ascii_lowercase() {
        'd' => DIGIT,
        's' => SPACE,
        'w' => WORD,
        _ => return None,
    };
    Some((
        nested(members, letter.is_ascii_uppercase()),
        characters.as_str(),
    ))
}

/// `[:alpha:]`, `[:^alpha:]`, …; a `[:` without a `:]` is two characters.
fn posix(rest: &str) -> Result<Option<(String, &str)>, RegexError> {
    let Some((inner, after)) = rest
        .strip_prefix("[:")
        .and_then(|inner| inner.split_once(":]"))
    else {
        return Ok(None);
    };
    let name = inner.strip_prefix('^').unwrap_or(inner);
    let members = match name {
        "alnum" => "0-9A-Za-z",
        "alpha" => "A-Za-z",
        "ascii" => r"\x00-\x7F",
        "blank" => r"\t\x20",
        "cntrl" => r"\x00-\x1F\x7F",
        "digit" => DIGIT,
        "graph" => r"\x21-\x7E",
        "lower" => "a-z",
        "print" => r"\x20-\x7E",
        "punct" => r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E",
        "space" => r"\t\n\x0B\x0C\r\x20",
        "upper" => "A-Z",
        "word" => WORD,
        "xdigit" => "0-9A-Fa-f",
        _ => return Err(RegexError::ClassName(format!("[:{inner}:]"))),
    };
    Ok(Some((nested(members, name.len() < inner.len()), after)))
}

/// `\pL`, `\p{Greek}`, `\P{Greek}`, `\p{^Greek}`.
fn unicode(rest: &str) -> Result<Option<(String, &str)>, RegexError> {
    let negated = rest.starts_with(r"\P");
    let Some(inner) = rest.strip_prefix(if negated { r"\P" } else { r"\p" }) else {
        return Ok(None);
    };
    let first = inner.chars().next().map_or(0, char::len_utf8);
    let unknown = |end: usize| RegexError::ClassName(rest[..end].to_owned());
    let (name, after) = match inner.strip_prefix('{') {
        Some(braced) => braced.split_once('}').ok_or_else(|| unknown(rest.len()))?,
        None => inner.split_at(first),
    };
    let negated = negated != name.starts_with('^');
    let canonical = canonical(name.strip_prefix('^').unwrap_or(name));
    let sign = if negated { "P" } else { "p" };
    let members = match (canonical.as_str(), Property::of(&canonical)) {
        ("any", _) => nested(r"\x{0}-\x{10FFFF}", negated),
        ("ascii", _) => nested(r"\x00-\x7F", negated),
        ("assigned", _) => format!("\\{}{{gc=Cn}}", if negated { "p" } else { "P" }),
        // Surrogates are not characters, so no text has one.
        ("cs" | "surrogate", _) => nested(NOTHING, negated),
        (name, Some(Property::Category)) => format!("\\{sign}{{gc={name}}}"),
        (name, Some(Property::Script)) => format!("\\{sign}{{sc={name}}}"),
        (_, None) => return Err(unknown(rest.len() - after.len())),
    };
    Ok(Some((members, after)))
}

/// `members` or all but them, as one member.
fn nested(members: &str, negated: bool) -> String {
    if negated {
        format!("[^{members}]")
    } else {
        members.to_owned()
    }
}
