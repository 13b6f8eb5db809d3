//! The model's file: `NAME = VALUE` in sections, as Casbin reads them.

use super::error::{CasbinError, CasbinFile, CasbinProblem};

/// A value of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) section: String,
    pub(super) name: String,
    pub(super) value: String,
    /// The line on which it begins.
    pub(super) line: usize,
}

/// Reads the definitions of `text`, and what is wrong with its lines.
///
/// A `#` or `;` begins a comment, also in the middle of a line and between quotes. A line that ends
/// with `\` goes on in the next one, unless that is empty or a comment.
pub(super) fn definitions(text: &str) -> (Vec<Definition>, Vec<CasbinError>) {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        reader.read(line.trim(), index + 1);
    }
    reader.end_definition();
    (reader.definitions, reader.errors)
}

#[derive(Default)]
struct Reader {
    section: String,
    definitions: Vec<Definition>,
    errors: Vec<CasbinError>,
    /// What was read of a definition, and the line on which it begins.
    open: String,
    began: usize,
}

impl Reader {
    fn read(&mut self, line: &str, number: usize) {
        if line.is_empty() || line.starts_with(COMMENTS) {
            return self.end_definition();
        }
        let heading = line.strip_prefix('[');
        if let Some(section) = heading.and_then(|rest| rest.strip_suffix(']')) {
            self.end_definition();
            section.clone_into(&mut self.section);
            return;
        }
        if self.open.is_empty() {
            self.began = number;
        }
        let (part, goes_on) = match line.strip_suffix('\\') {
            Some(part) => (format!("{} ", part.trim()), true),
            None => (line.to_owned(), false),
        };
        let comment = part.find(COMMENTS).unwrap_or(part.len());
        self.open.push_str(&part[..comment]);
        if !goes_on {
            self.end_definition();
        }
    }

    fn end_definition(&mut self) {
        let text = std::mem::take(&mut self.open);
        if text.is_empty() {
            return;
        }
        match text.split_once('=') {
            Some((name, value)) => self.definitions.push(Definition {
                section: self.section.clone(),
                name: name.trim().to_owned(),
                value: value.trim().to_owned(),
                line: self.began,
            }),
            None => self.errors.push(CasbinError {
                file: CasbinFile::Model,
                line: self.began,
                problem: CasbinProblem::NoDefinition,
            }),
        }
    }
}

const COMMENTS: [char; 2] = ['#', ';'];

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, String, usize)> {
        let (definitions, errors) = definitions(text);
        assert_eq!(errors, []);
        let parts = |found: Definition| {
            let name = format!("{}.{}", found.section, found.name);
            (name, found.value, found.line)
        };
        definitions.into_iter().map(parts).collect()
    }

    #[test]
    fn comments_end_a_line_wherever_they_begin() {
        let text = "# a\n[s]\n; b\n x=  1 ; c\r\ny = \"a#b\"\n";
        assert_eq!(
            values(text),
            [
                ("s.x".to_owned(), "1".to_owned(), 4),
                ("s.y".to_owned(), "\"a".to_owned(), 5)
            ]
        );
    }

    #[test]
    fn a_backslash_goes_on_in_the_next_line() {
        let text = "[m]\nm = a && \\ \n  b \\\n && c\nn = d \\\n# e\no = f \\";
        let read = values(text);
        assert_eq!(read[0].1, "a && b && c");
        assert_eq!(read[1], ("m.n".to_owned(), "d".to_owned(), 5));
        assert_eq!(read[2], ("m.o".to_owned(), "f".to_owned(), 7));
    }

    #[test]
    fn a_line_without_a_value_is_wrong() {
        for text in ["[s]\nx\n", "[s]\n[matchers] # m\n", "[s]\n\\\n"] {
            let (_, errors) = definitions(text);
            let found = errors.first().map(|error| (error.line, &error.problem));
            assert_eq!(found, Some((2, &CasbinProblem::NoDefinition)), "{text}");
        }
    }
}
