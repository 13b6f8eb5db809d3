//! What a misspelt word was most likely meant to be.

use strsim::osa_distance;

/// Longer words are not compared: no key or name that is suggested has half this length, and the
/// comparison takes time in the square of it.
const LONGEST: usize = 128;

/// The one of `known` that `word` was most likely meant to be: at most a third of it differs. Case
/// does not count, nor does `-` instead of `_`.
///
/// ```
/// assert_eq!(common::nearest("psh", ["pull", "push"]), Some("push"));
/// assert_eq!(common::nearest("delete", ["pull", "push"]), None);
/// ```
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let normal = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let word = normal(word);
    let candidates = known
        .into_iter()
        .map(|candidate| (osa_distance(&word, &normal(candidate)), candidate));
    let near = |(distance, candidate): &(usize, &str)| {
        *distance <= candidate.len().max(3) / 3
            || (word.len() > 3 && candidate.starts_with(word.as_str()))
    };
    candidates
        .filter(near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word() {
        let keys = ["account", "actions", "comment", "match", "name"];
        for (word, expected) in [
            ("acount", Some("account")),
            ("Account", Some("account")),
            ("acction", Some("actions")),
            ("mathc", Some("match")),
            ("naem", Some("name")),
            ("user", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
        assert_eq!(
            nearest("real-ip-header", ["real_ip_header"]),
            Some("real_ip_header")
        );
        assert_eq!(nearest("cert", ["certificate", "key"]), Some("certificate"));
    }
}
