//! Statements for several rows at once: one costs as much as several rows.

use std::fmt::Write;

/// How many rows a statement has at most.
const MOST: usize = 64;

/// Divides rows into pieces for one statement each. Their lengths are powers of two, so there are few
/// different statements, which stay prepared.
///
/// ```
/// let pieces = database::row_chunks(&[1, 2, 3, 4, 5, 6]);
/// assert_eq!(pieces.collect::<Vec<_>>(), [&[1, 2, 3, 4][..], &[5, 6]]);
/// ```
pub fn row_chunks<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let length = 1 << rest.len().min(MOST).checked_ilog2()?;
        let (chunk, others) = rest.split_at(length);
        rest = others;
        Some(chunk)
    })
}

/// The placeholders of so many rows with so many columns each.
///
/// ```
/// assert_eq!(database::row_placeholders(2, 3), "(?1, ?2, ?3), (?4, ?5, ?6)");
/// ```
#[must_use]
pub fn row_placeholders(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for number in 1..=rows * columns {
        let before = match (number, (number - 1) % columns) {
            (1, _) => "(",
            (_, 0) => "), (",
            _ => ", ",
        };
        // A text has room for everything.
        let _ = write!(text, "{before}?{number}");
    }
    text.push(')');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_piece_and_few_lengths_are_used() {
        for count in 0..300 {
            let rows: Vec<usize> = (0..count).collect();
            let pieces: Vec<&[usize]> = row_chunks(&rows).collect();
            assert_eq!(pieces.concat(), rows);
            let is_allowed = |length: usize| length.is_power_of_two() && length <= MOST;
            assert!(pieces.iter().all(|piece| is_allowed(piece.len())));
            assert!(pieces.len() <= count / MOST + 6);
        }
    }

    #[test]
    fn a_row_may_have_one_column() {
        assert_eq!(row_placeholders(3, 1), "(?1), (?2), (?3)");
        assert_eq!(row_placeholders(1, 2), "(?1, ?2)");
    }
}
