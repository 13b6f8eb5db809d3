//! Programs that decide: the sections `ext_auth` and `ext_authz`.

use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::backend_keys;
use super::diagnostics::Problem;
use super::effective::Effective;
use super::schema::key::Words;
use super::schema::{Kind, key};
use super::section::Section;

/// A program and how it is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExternalProgram {
    /// The program, as it was found in `PATH`.
    pub(crate) command: PathBuf,
    pub(crate) args: Vec<String>,
    /// How long one run may take.
    pub(crate) timeout: Duration,
    /// How many runs there may be at once.
    pub(crate) concurrency: NonZeroUsize,
    pub(crate) mode: ProgramMode,
    /// Whether it is asked about names with white space.
    pub(crate) allows_white_space: bool,
    /// Whether it is asked about accounts without their password.
    pub(crate) rechecks: bool,
}

/// How often a program is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgramMode {
    /// For each question.
    Once,
    /// When it is needed; it stays, and answers lines of JSON.
    Lines,
}

impl Words for ProgramMode {
    const WORDS: &'static [(&'static str, Self)] = &[("once", Self::Once), ("lines", Self::Lines)];
}

const SECOND: Duration = Duration::from_secs(1);

impl ExternalProgram {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let command = section.locate(
            key::text("command")
                .docker_auth()
                .required("write the program to run")
                .means("the program: a path if it has a slash, else looked up in `PATH`"),
        );
        let args = section.get(
            key::texts("args")
                .docker_auth()
                .means("its arguments")
                .default(Vec::new()),
        );
        let timeout = section.get(
            key::duration("timeout", SECOND / 10..=600 * SECOND)
                .means(
                    "how long it may run before it is killed with all it started; a request waits \
                     as long for its turn",
                )
                .default(10 * SECOND),
        );
        let meaning = "how many run at once; four times as many may wait";
        let concurrency = backend_keys::concurrency(section, meaning);
        let mode = section.get(
            key::word("mode")
                .means(
                    "`once` starts it for each question, as docker_auth does; with `lines` it \
                     stays, and answers a line of JSON with a line of JSON",
                )
                .default(ProgramMode::Once),
        );
        let path = section.context.variable("PATH").unwrap_or_default();
        let command = command?;
        let command = command.setting.checked(find(&command.value, &path))?;
        section.show("command", Effective::quoted(command.display()));
        Some(Self {
            command,
            args,
            timeout,
            concurrency,
            mode,
            allows_white_space: false,
            rechecks: false,
        })
    }

    /// The program of `ext_auth`. With `mode: once` it gets a name and a password with a space
    /// between them.
    pub(super) fn read_ext_auth(section: &mut Section<'_>) -> Option<Self> {
        let program = Self::read(section);
        let allows_white_space = section.get(
            key::switch("allow_white_space")
                .means(
                    "with `mode: once`, whether it is asked about names with white space, which it \
                     cannot tell from a name and the beginning of a password",
                )
                .default(false),
        );
        let rechecks = section.get(
            key::switch("recheck")
                .means(
                    "with `mode: lines`, whether it answers `{\"account\": NAME, \"recheck\": true}`, \
                     so that sessions live as long as the account",
                )
                .default(false),
        );
        let program = program?;
        let without_effect = match program.mode {
            ProgramMode::Once => rechecks.then_some(("recheck", "lines")),
            ProgramMode::Lines => allows_white_space.then_some(("allow_white_space", "once")),
        };
        if let Some((name, mode)) = without_effect {
            let message = format!("no effect without mode: {mode}");
            section.warn_about(name, Problem::NoEffect, message);
        }
        Some(Self {
            allows_white_space,
            rechecks,
            ..program
        })
    }

    /// The key of such a section.
    pub(super) fn key(name: &'static str, means: &'static str) -> key::Key<()> {
        key::custom(name, Kind::Mapping(Vec::new()))
            .docker_auth()
            .means(means)
    }
}

/// The program's file: itself when there is a slash in its name, otherwise the first of that name
/// in `PATH`.
fn find(command: &str, path: &str) -> Result<PathBuf, String> {
    if command.is_empty() {
        return Err("empty; write the program to run".to_owned());
    }
    if command.contains('/') {
        return match executable(Path::new(command)) {
            Ok(true) => Ok(command.into()),
            Ok(false) => Err(format!(
                "{command} is not executable; run chmod +x {command}"
            )),
            Err(error) => Err(format!("{command} cannot be run: {error}")),
        };
    }
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    let found = folders
        .map(|folder| Path::new(folder).join(command))
        .find(|file| executable(file).unwrap_or(false));
    found.ok_or_else(|| format!("no program `{command}` in PATH; write its whole path"))
}

fn executable(file: &Path) -> std::io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        assert_eq!(find("/bin/sh", ""), Ok("/bin/sh".into()));
        assert_eq!(find("sh", "/no/such/folder::/bin"), Ok("/bin/sh".into()));
        let refused = |command| find(command, "/bin").unwrap_err();
        assert_eq!(refused(""), "empty; write the program to run");
        assert_eq!(
            refused("no-such-program"),
            "no program `no-such-program` in PATH; write its whole path"
        );
        assert_eq!(
            refused("/etc/passwd"),
            "/etc/passwd is not executable; run chmod +x /etc/passwd"
        );
        assert_eq!(refused("/bin"), "/bin is not executable; run chmod +x /bin");
        assert!(refused("/no/such").starts_with("/no/such cannot be run: No such file"));
    }
}
