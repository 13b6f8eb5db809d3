//! What reading a configuration needs and leaves behind: the environment, the files, the findings.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::diagnostics::{Diagnostic, Location, Severity};
use super::distribution::environment::Variables;
use super::yaml::Position;

/// The largest file that a configuration may be or name, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Shared by all readers of one configuration.
pub(super) struct Context {
    file: Arc<Path>,
    environment: fn(&str) -> Option<String>,
    /// The variables that may be settings of Distribution's dialect.
    pub(super) variables: Variables,
    /// The time at which certificates are looked at.
    pub(super) now: SystemTime,
    found: RefCell<Vec<Diagnostic>>,
    files: RefCell<Vec<PathBuf>>,
}

impl Context {
    /// For the configuration at `file`, in which `${env:NAME}` is what `environment` says.
    pub(super) fn new(
        file: &Path,
        environment: fn(&str) -> Option<String>,
        now: SystemTime,
    ) -> Self {
        let (found, files) = (RefCell::default(), RefCell::new(vec![file.to_owned()]));
        Self {
            file: file.into(),
            environment,
            variables: Variables::new(),
            now,
            found,
            files,
        }
    }

    /// The same, with variables that may be settings.
    pub(super) fn with_variables(self, variables: Variables) -> Self {
        Self { variables, ..self }
    }

    pub(super) fn location(&self, position: Position) -> Location {
        let variable = position
            .variable()
            .and_then(|index| self.variables.get(index));
        let file = variable.map_or_else(
            || Arc::clone(&self.file),
            |(name, _)| Path::new(name).into(),
        );
        Location { file, position }
    }

    pub(super) fn error(&self, position: Position, message: impl Into<String>) {
        self.tell(Severity::Error, self.location(position), message.into());
    }

    pub(super) fn warn(&self, position: Position, message: impl Into<String>) {
        self.tell(Severity::Warning, self.location(position), message.into());
    }

    /// An error in a file that the configuration names.
    pub(super) fn error_in(&self, file: &Path, line: usize, message: impl Into<String>) {
        let location = Location {
            file: file.into(),
            position: Position { line, column: 1 },
        };
        self.tell(Severity::Error, location, message.into());
    }

    /// A warning about a line of another file.
    pub(super) fn warn_in(&self, file: &Path, line: usize, message: impl Into<String>) {
        let location = Location {
            file: file.into(),
            position: Position { line, column: 1 },
        };
        self.tell(Severity::Warning, location, message.into());
    }

    /// How much was told so far.
    pub(super) fn found(&self) -> usize {
        self.found.borrow().len()
    }

    /// How many errors were told so far.
    pub(super) fn errors(&self) -> usize {
        self.found
            .borrow()
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .count()
    }

    /// What the file at `path` holds, which the setting `name` at `position` asks for.
    pub(super) fn read(&self, path: &Path, name: &str, position: Position) -> Option<Vec<u8>> {
        self.files.borrow_mut().push(path.to_owned());
        match read_bounded(path) {
            Ok(content) => Some(content),
            Err(error) => {
                self.error(
                    position,
                    format!("{name}: cannot read {}: {error}", path.display()),
                );
                None
            }
        }
    }

    /// Takes down a file that is not read, and is worth another look when it changes.
    pub(super) fn watch(&self, path: &Path) {
        self.files.borrow_mut().push(path.to_owned());
    }

    /// A variable of the environment.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }

    /// `text` with each `${env:NAME}` replaced; other `${…}` are none of ours.
    pub(super) fn expand(&self, text: &str, name: &str, position: Position) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, variable, after)) = next_variable(rest) {
            let Some(value) = (self.environment)(variable) else {
                let message = format!(
                    "{name}: the environment has no variable {variable} (or its value is not UTF-8)"
                );
                self.error(position, message);
                return None;
            };
            expanded.push_str(before);
            expanded.push_str(&value);
            rest = after;
        }
        expanded.push_str(rest);
        Some(expanded)
    }

    /// Every file that was asked for, once, and every finding.
    pub(super) fn into_parts(self) -> (Vec<PathBuf>, Vec<Diagnostic>) {
        let mut files = Vec::new();
        for file in self.files.into_inner() {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        (files, self.found.into_inner())
    }

    fn tell(&self, severity: Severity, location: Location, message: String) {
        self.found.borrow_mut().push(Diagnostic {
            severity,
            location,
            message,
        });
    }
}

/// Reads a file that must not be larger than [`MAX_FILE`].
pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {MAX_FILE} bytes"),
        ));
    }
    Ok(content)
}

/// Splits `text` around its first `${env:NAME}`.
fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(start) = text[from..].find("${env:").map(|found| found + from) {
        let name_start = start + "${env:".len();
        let name_end = name_start
            + text[name_start..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        let name = &text[name_start..name_end];
        if let Some(after) = text[name_end..].strip_prefix('}')
            && !name.is_empty()
        {
            return Some((&text[..start], name, after));
        }
        from = name_start;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position { line: 2, column: 3 };

    fn context() -> Context {
        let environment = |name: &str| (name == "NAME").then(|| "${env:NAME}!".to_owned());
        Context::new(Path::new("c.yml"), environment, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn only_our_own_variables_are_replaced() {
        let context = context();
        let expand = |text| context.expand(text, "k", AT);
        assert_eq!(
            expand("a ${env:NAME} b${env:NAME}").as_deref(),
            Some("a ${env:NAME}! b${env:NAME}!")
        );
        for text in [
            "${account}/${labels:env}",
            "${env:}",
            "${env:a-b}",
            "${env:NAME",
            "$2y$05$x",
            "${env:é}",
        ] {
            assert_eq!(expand(text).as_deref(), Some(text));
        }
        assert_eq!(expand("${env:OTHER}"), None);
        let told: Vec<_> = context
            .into_parts()
            .1
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "c.yml:2:3: error: k: the environment has no variable OTHER (or its value is not UTF-8)"
            ]
        );
    }

    #[test]
    fn files_are_remembered_even_when_they_cannot_be_read() {
        let context = context();
        assert_eq!(
            context.read(Path::new("/no/such/file"), "token.key", AT),
            None
        );
        let (files, found) = context.into_parts();
        assert_eq!(files, [Path::new("c.yml"), Path::new("/no/such/file")]);
        assert!(
            found[0].to_string().starts_with(
                "c.yml:2:3: error: token.key: cannot read /no/such/file: No such file"
            )
        );
    }
}
