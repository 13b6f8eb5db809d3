//! What reading a configuration needs and leaves behind: the environment, the files, the findings.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::diagnostics::{Diagnostic, Location, Problem, Severity};
use super::yaml::Position;

/// The largest file that a configuration may be or name, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Variables of the environment that may be settings, with their values, in the order in which
/// they count.
pub(super) type Variables = Vec<(String, String)>;

/// Shared by all readers of one configuration.
pub(super) struct Context {
    file: Arc<Path>,
    environment: fn(&str) -> Option<String>,
    pub(super) variables: Variables,
    /// The time at which certificates are checked.
    pub(super) now: SystemTime,
    /// Whether there is no file, and the readers only say which keys they have.
    describing: bool,
    /// What the file's own dialect calls a key of ours, and which of our sections it has refused.
    translation: RefCell<Option<Translation>>,
    found: RefCell<Vec<Diagnostic>>,
    files: RefCell<Vec<PathBuf>>,
}

/// What is needed to speak of a file that was translated.
pub(super) struct Translation {
    /// The name in the file's dialect of one of our keys.
    pub(super) name: fn(&str) -> Option<&'static str>,
    /// Sections of ours that are wrong for a reason that was reported already.
    pub(super) refused: Vec<&'static str>,
}

impl Context {
    /// For the configuration at `file`, in which `${env:NAME}` is what `environment` says.
    pub(super) fn new(
        file: &Path,
        environment: fn(&str) -> Option<String>,
        now: SystemTime,
    ) -> Self {
        Self {
            file: file.into(),
            environment,
            variables: Variables::new(),
            now,
            describing: false,
            translation: RefCell::default(),
            found: RefCell::default(),
            files: RefCell::new(vec![file.to_owned()]),
        }
    }

    /// The same, with variables that may be settings.
    pub(super) fn with_variables(self, variables: Variables) -> Self {
        Self { variables, ..self }
    }

    /// The same for readers that only say which keys they have.
    pub(super) fn describing(self) -> Self {
        Self {
            describing: true,
            ..self
        }
    }

    pub(super) fn is_describing(&self) -> bool {
        self.describing
    }

    /// From here on, what is reported is about a file that was translated.
    pub(super) fn set_translation(&self, translation: Translation) {
        *self.translation.borrow_mut() = Some(translation);
    }

    /// What the file's own dialect calls the key of ours at `path`.
    pub(super) fn name_of<'p>(&self, path: &'p str) -> &'p str {
        let translation = self.translation.borrow();
        let name = translation.as_ref().and_then(|known| (known.name)(path));
        name.unwrap_or(path)
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

    /// Reports an error about the key at the path `key`, or about the file where it is empty.
    pub(super) fn error(
        &self,
        position: Position,
        key: &str,
        problem: Problem,
        message: impl Into<String>,
    ) {
        let location = self.location(position);
        self.report(Severity::Error, location, key, problem, message.into());
    }

    pub(super) fn warn(
        &self,
        position: Position,
        key: &str,
        problem: Problem,
        message: impl Into<String>,
    ) {
        let location = self.location(position);
        self.report(Severity::Warning, location, key, problem, message.into());
    }

    pub(super) fn note(
        &self,
        position: Position,
        key: &str,
        problem: Problem,
        message: impl Into<String>,
    ) {
        let location = self.location(position);
        self.report(Severity::Note, location, key, problem, message.into());
    }

    /// Reports something about a line of a file that the configuration names.
    pub(super) fn report_in(
        &self,
        severity: Severity,
        file: &Path,
        line: usize,
        message: impl Into<String>,
    ) {
        let location = Location::of_line(file, line);
        self.report(severity, location, "", Problem::File, message.into());
    }

    /// How many errors were reported so far.
    pub(super) fn errors(&self) -> usize {
        self.found
            .borrow()
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .count()
    }

    /// What the file at `path` holds, which the setting `key` at `position` names.
    pub(super) fn read(&self, path: &Path, key: &str, position: Position) -> Option<Vec<u8>> {
        self.files.borrow_mut().push(path.to_owned());
        match read_bounded(path) {
            Ok(content) => Some(content),
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                self.error(position, key, Problem::File, message);
                None
            }
        }
    }

    /// Notes a file that is not read, and is worth another look when it changes.
    pub(super) fn watch(&self, path: &Path) {
        self.files.borrow_mut().push(path.to_owned());
    }

    /// A variable of the environment.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }

    /// `text` with each `${env:NAME}` and `${config_dir}` replaced; any other `${…}` stays.
    pub(super) fn expand(&self, text: &str, key: &str, position: Position) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, variable, after)) = next_variable(rest) {
            let value = match variable {
                Variable::Environment(name) => (self.environment)(name).ok_or_else(|| {
                    format!("the environment variable {name} is not set, or not UTF-8")
                }),
                Variable::ConfigDirectory => self.directory(),
            };
            let value = match value {
                Ok(value) => value,
                Err(message) => {
                    self.error(position, key, Problem::Invalid, message);
                    return None;
                }
            };
            expanded.push_str(before);
            expanded.push_str(&value);
            rest = after;
        }
        expanded.push_str(rest);
        Some(expanded)
    }

    /// The absolute path of the directory that the configuration's file is in.
    fn directory(&self) -> Result<String, String> {
        let file = std::path::absolute(&self.file)
            .map_err(|error| format!("the current directory is not known: {error}"))?;
        let directory = file.parent().unwrap_or(Path::new("/"));
        match directory.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("the path {} is not UTF-8", directory.display())),
        }
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

    fn report(
        &self,
        severity: Severity,
        location: Location,
        key: &str,
        problem: Problem,
        message: String,
    ) {
        let mut key = key.to_owned();
        if let Some(translation) = &*self.translation.borrow() {
            // A section of ours that could not be translated lacks what was refused in it.
            if translation
                .refused
                .iter()
                .any(|section| is_in(&key, section))
            {
                return;
            }
            if let Some(name) = (translation.name)(&key) {
                key = name.to_owned();
            }
        }
        let mut found = self.found.borrow_mut();
        // The translation may have said the same of the same value.
        let is_known = |known: &Diagnostic| {
            (known.problem, &known.key, &known.location) == (problem, &key, &location)
        };
        if problem == Problem::Insecure && found.iter().any(is_known) {
            return;
        }
        found.push(Diagnostic {
            severity,
            location,
            key,
            problem,
            message,
        });
    }
}

/// Whether the key at the path `key` is `section`, or in it.
fn is_in(key: &str, section: &str) -> bool {
    key.strip_prefix(section)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Reads a file that must not be larger than [`MAX_FILE`].
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
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

/// What a text may have in place of a part of it.
enum Variable<'t> {
    /// `${env:NAME}`.
    Environment(&'t str),
    /// `${config_dir}`.
    ConfigDirectory,
}

/// Splits `text` around its first variable.
fn next_variable(text: &str) -> Option<(&str, Variable<'_>, &str)> {
    let mut from = 0;
    while let Some(start) = text[from..].find("${").map(|found| found + from) {
        let inner = &text[start + 2..];
        if let Some((inside, after)) = inner.split_once('}') {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let variable = match inside.strip_prefix("env:") {
                Some(name) if !name.is_empty() && name.chars().all(is_name) => {
                    Some(Variable::Environment(name))
                }
                None if inside == "config_dir" => Some(Variable::ConfigDirectory),
                _ => None,
            };
            if let Some(variable) = variable {
                return Some((&text[..start], variable, after));
            }
        }
        from = start + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position { line: 2, column: 3 };

    /// A file with holes, so that it takes no room on the disk.
    fn file_of(folder: &tempfile::TempDir, size: u64) -> PathBuf {
        let path = folder.path().join(size.to_string());
        File::create(&path).unwrap().set_len(size).unwrap();
        path
    }

    #[test]
    fn a_file_has_a_largest_size() {
        let folder = tempfile::tempdir().unwrap();
        let (largest, larger) = (file_of(&folder, MAX_FILE), file_of(&folder, MAX_FILE + 1));
        assert_eq!(read_bounded(&largest).unwrap().len() as u64, MAX_FILE);
        // The file itself, a file that it names, and one without an end.
        for path in [&larger, Path::new("/dev/zero")] {
            let error = read_bounded(path).unwrap_err();
            assert_eq!(error.to_string(), "it is larger than 16777216 bytes");
            let context = context();
            assert_eq!(context.read(path, "token.key", AT), None);
            let (_, found) = context.into_parts();
            let text = found[0].to_string();
            assert!(text.contains("it is larger than 16777216 bytes"), "{text}");
            let loaded = crate::config::load(path);
            let text = loaded.err().unwrap().to_string();
            assert!(text.contains("it is larger than 16777216 bytes"), "{text}");
        }
    }

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
            "${config_dir",
            "${config_dir:1}",
        ] {
            assert_eq!(expand(text).as_deref(), Some(text));
        }
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            expand("sqlite://${config_dir}/w.db").as_deref(),
            Some(format!("sqlite://{}/w.db", here.display()).as_str())
        );
        assert_eq!(expand("${env:OTHER}"), None);
        let told: Vec<_> = context
            .into_parts()
            .1
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            ["c.yml:2:3: error: k: the environment variable OTHER is not set, or not UTF-8"]
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
