//! Tables for people.

use common::escape_line;

/// A line for each row under the names of its columns. What the rows hold may be another machine's text,
/// so line ends and control characters are escaped.
pub(super) fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> String {
    let rows = rows
        .into_iter()
        .map(|row| row.map(|cell| escape_line(&cell).to_string()));
    let rows: Vec<_> = std::iter::once(head.map(str::to_owned))
        .chain(rows)
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![["bob", "-"], ["a\nb", "long one"]];
        let rows = rows.into_iter().map(|row| row.map(str::to_owned)).collect();
        let text = table(["NAME", "STATE"], rows);
        assert_eq!(text, "NAME  STATE\nbob   -\na\\nb  long one\n");
    }
}
