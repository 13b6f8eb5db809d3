//! Programs that decide: the sections `ext_auth` and `ext_authz`.

use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(16).unwrap();
const MOST_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(600);

impl ExternalProgram {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        section.require("command", "the program to run");
        let path = section.context.variable("PATH").unwrap_or_default();
        let command = section.parse("command", |text| find(text, &path));
        let args = section.setting("args").map(|setting| setting.texts());
        Some(Self {
            timeout: section
                .duration_within("timeout", SHORTEST, LONGEST)
                .unwrap_or(DEFAULT_TIMEOUT),
            concurrency: section
                .count("concurrency", MOST_CONCURRENCY)
                .unwrap_or(DEFAULT_CONCURRENCY),
            command: command?,
            args: args.unwrap_or_default().unwrap_or_default(),
        })
    }
}

/// The program's file: itself when there is a slash in its name, otherwise the first of that name
/// in `PATH`.
fn find(command: &str, path: &str) -> Result<PathBuf, String> {
    if command.is_empty() {
        return Err("it is empty; it is the program to run".to_owned());
    }
    if command.contains('/') {
        return match executable(Path::new(command)) {
            Ok(true) => Ok(command.into()),
            Ok(false) => Err(format!(
                "{command} is not a program that may be run (chmod +x?)"
            )),
            Err(error) => Err(format!("{command} cannot be run: {error}")),
        };
    }
    let folders = path.split(':').filter(|folder| !folder.is_empty());
    let found = folders
        .map(|folder| Path::new(folder).join(command))
        .find(|file| executable(file).unwrap_or(false));
    found.ok_or_else(|| format!("there is no program `{command}` in PATH; give its whole path"))
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
        assert_eq!(refused(""), "it is empty; it is the program to run");
        assert_eq!(
            refused("no-such-program"),
            "there is no program `no-such-program` in PATH; give its whole path"
        );
        assert_eq!(
            refused("/etc/passwd"),
            "/etc/passwd is not a program that may be run (chmod +x?)"
        );
        assert_eq!(
            refused("/bin"),
            "/bin is not a program that may be run (chmod +x?)"
        );
        assert!(refused("/no/such").starts_with("/no/such cannot be run: No such file"));
    }
}
