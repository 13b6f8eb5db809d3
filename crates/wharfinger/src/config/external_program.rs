//! Programs that decide: the sections `ext_auth` and `ext_authz`.

use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::effective::Effective;
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
    /// Whether it is asked about names with white space.
    pub(crate) allows_white_space: bool,
}

const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(16).unwrap();
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
        let concurrency = section.get(
            key::count("concurrency", 1024)
                .means("how many run at once; four times as many may wait")
                .default(DEFAULT_CONCURRENCY),
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
            allows_white_space: false,
        })
    }

    /// The program of `ext_auth`, which gets a name and a password with a space between them.
    pub(super) fn read_ext_auth(section: &mut Section<'_>) -> Option<Self> {
        let program = Self::read(section);
        let allows_white_space = section.get(
            key::switch("allow_white_space")
                .means(
                    "whether it is asked about names with white space, which it cannot tell from \
                     a name and the beginning of a password",
                )
                .default(false),
        );
        Some(Self {
            allows_white_space,
            ..program?
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
