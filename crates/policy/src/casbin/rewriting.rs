//! What Casbin does to a matcher's text before it is read. It also changes what stands between
//! quotes, so there is a warning for that.

use std::borrow::Cow;

/// `text` with `r.`, `p.`, `r2.`, … at the beginning of a word written `r_`, `p_`, `r2_`.
pub(super) fn columns(text: &str) -> String {
    let mut rewritten = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_word = false;
    while let Some(c) = rest.chars().next() {
        let prefix = if in_word { None } else { prefix_len(rest) };
        let taken = prefix.unwrap_or(c.len_utf8());
        rewritten.push_str(&rest[..taken]);
        rest = &rest[taken..];
        if prefix.is_some() {
            // The dot; what follows it begins a word again.
            rewritten.push('_');
            rest = &rest[1..];
            in_word = false;
        } else {
            in_word = c.is_ascii_alphanumeric() || c == '_';
        }
    }
    rewritten
}

/// How long `r`, `p`, `r2`, … before a dot is, if `text` begins with it.
fn prefix_len(text: &str) -> Option<usize> {
    let digits = text.strip_prefix(['r', 'p'])?;
    let after = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    after.starts_with('.').then(|| text.len() - after.len())
}

/// The text of the model's matcher. If it has `in` anywhere, be it in `admin`, Casbin takes brackets
/// for parentheses, because lists could once be written so.
pub(super) fn matcher(text: &str) -> String {
    let rewritten = columns(text);
    if rewritten.contains("in") {
        rewritten.replace('[', "(").replace(']', ")")
    } else {
        rewritten
    }
}

/// The first text in quotes that differs between `written` and `rewritten`, which has a quote for
/// each quote of `written`; with what it becomes.
pub(super) fn changed_text<'a>(written: &'a str, rewritten: &'a str) -> Option<(&'a str, &'a str)> {
    let (before, after) = (written.split(QUOTES), rewritten.split(QUOTES));
    let mut quoted = before.zip(after).skip(1).step_by(2);
    quoted.find(|(before, after)| before != after)
}

/// A text ends at either quote, whichever it begins with.
pub(super) const QUOTES: [char; 2] = ['\'', '"'];

/// The characters of `text` up to the first that `is_end`, or all of them, with each character behind
/// a backslash taken as it is; and what follows. `None` if it ends with a backslash.
pub(super) fn unescaped(text: &str, is_end: impl Fn(char) -> bool) -> Option<(Cow<'_, str>, &str)> {
    let plain = text.find(|c| is_end(c) || c == '\\').unwrap_or(text.len());
    if !text[plain..].starts_with('\\') {
        return Some((Cow::Borrowed(&text[..plain]), &text[plain..]));
    }
    let mut read = text[..plain].to_owned();
    let mut characters = text[plain..].char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => read.push(characters.next()?.1),
            c if is_end(c) => return Some((Cow::Owned(read), &text[plain + at..])),
            c => read.push(c),
        }
    }
    Some((Cow::Owned(read), ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_an_underscore() {
        assert_eq!(columns("r.a == p2.b && x.r.p.q"), "r_a == p2_b && x.r_p_q");
        assert_eq!(
            columns("sub.b pr.c r_p.d _r.e ér.f"),
            "sub.b pr.c r_p.d _r.e ér_f"
        );
        assert_eq!(columns("\"^r.*$\" r22 r."), "\"^r_*$\" r22 r_");
    }

    #[test]
    fn brackets_are_parentheses_beside_in() {
        assert_eq!(matcher("r.a in ['x']"), "r_a in ('x')");
        assert_eq!(
            matcher("r.a == 'admin' || r.a =~ '[a]'"),
            "r_a == 'admin' || r_a =~ '(a)'"
        );
        assert_eq!(matcher("[r.a] == '[a]'"), "[r_a] == '[a]'");
    }

    #[test]
    fn changed_texts_are_found() {
        let found = |text| changed_text(text, &matcher(text)).map(|(before, _)| before.to_owned());
        assert_eq!(
            found("r.a == 'b' && r.c == \"p.d\""),
            Some("p.d".to_owned())
        );
        assert_eq!(found("r.a in ('b') && r.c == 'c'"), None);
    }
}
