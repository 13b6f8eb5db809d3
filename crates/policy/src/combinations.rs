//! Every way to give the labels of a pattern values.
//!
//! A label may have several values, and a pattern may name several labels: it matches if it does so
//! with any combination, in which a label that is named twice has one value. That multiplies, so it
//! has a bound.

use crate::Labels;
use crate::mismatch::{MAX_COMBINATIONS, Mismatch};
use crate::variables::{Bindings, LabelValue, names_label};

/// The combinations, one after the other.
pub(crate) struct Combinations<'a> {
    labels: Vec<(&'a str, Vec<&'a str>)>,
    /// Which value of each label comes next; `None` after the last.
    next: Option<Vec<usize>>,
}

impl<'a> Combinations<'a> {
    /// Those of the labels that `pattern` names and the query has, all of them.
    pub(crate) fn all(pattern: &str, labels: &'a Labels) -> Self {
        let named = labels.iter().filter(|(name, _)| names_label(pattern, name));
        Self::of(
            named
                .map(|(name, values)| (name.as_str(), values.iter().map(String::as_str).collect()))
                .collect(),
        )
    }

    /// Those that can match `value`, unless they are too many; `plain` is the pattern with all but
    /// labels replaced.
    pub(crate) fn for_value(
        pattern: &str,
        plain: &str,
        value: &str,
        bindings: &Bindings<'a>,
    ) -> Result<Self, Mismatch> {
        let mut all = Self::all(pattern, bindings.query.labels);
        let literal = |value: &str| bindings.quote_labels || !value.contains(['*', '?', '[', '\\']);
        // In a glob without classes what is no pattern itself has to occur in the value as it is:
        // that leaves few of them. It stays a glob as long as nothing makes it begin with a slash.
        let filtered = !plain.starts_with('/')
            && !plain.contains('[')
            && all
                .values()
                .all(|value| literal(value) && !value.is_empty() && !value.starts_with('/'));
        if filtered {
            all = Self::of(
                all.labels
                    .into_iter()
                    .map(|(name, values)| {
                        (
                            name,
                            values
                                .into_iter()
                                .filter(|part| value.contains(part))
                                .collect(),
                        )
                    })
                    .collect(),
            );
        }
        if all.total() > MAX_COMBINATIONS {
            Err(Mismatch::TooManyCombinations(all.total()))
        } else {
            Ok(all)
        }
    }

    fn of(labels: Vec<(&'a str, Vec<&'a str>)>) -> Self {
        let any = !labels.is_empty() && labels.iter().all(|(_, values)| !values.is_empty());
        let next = any.then(|| vec![0; labels.len()]);
        Self { labels, next }
    }

    fn values(&self) -> impl Iterator<Item = &'a str> {
        self.labels
            .iter()
            .flat_map(|(_, values)| values.iter().copied())
    }

    fn total(&self) -> usize {
        self.labels
            .iter()
            .map(|(_, values)| values.len())
            .fold(1, usize::saturating_mul)
    }
}

impl<'a> Iterator for Combinations<'a> {
    type Item = Vec<LabelValue<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut positions = self.next.take()?;
        let combination = self
            .labels
            .iter()
            .zip(&positions)
            .map(|((name, values), at)| (*name, values[*at]))
            .collect();
        // Counts up, the last label fastest.
        for ((_, values), position) in self.labels.iter().zip(&mut positions).rev() {
            *position += 1;
            if *position < values.len() {
                self.next = Some(positions);
                break;
            }
            *position = 0;
        }
        Some(combination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(list: &[(&str, &[&str])]) -> Labels {
        list.iter()
            .map(|(name, values)| {
                (
                    (*name).to_owned(),
                    values.iter().map(|v| (*v).to_owned()).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn every_combination_comes_once() {
        let labels = labels(&[
            ("a", &["1", "2"]),
            ("b", &["x", "y", "z"]),
            ("unnamed", &["-"]),
        ]);
        let all: Vec<_> = Combinations::all("${labels:a}${labels:b}${labels:a}", &labels).collect();
        assert_eq!(all.len(), 6);
        assert_eq!(all[0], [("a", "1"), ("b", "x")]);
        assert_eq!(all[5], [("a", "2"), ("b", "z")]);
    }

    #[test]
    fn without_a_value_there_is_no_combination() {
        assert_eq!(Combinations::all("${labels:a}", &labels(&[])).next(), None);
        let none = labels(&[("a", &["1"]), ("b", &[])]);
        assert_eq!(
            Combinations::all("${labels:a}${labels:b}", &none).next(),
            None
        );
    }
}
