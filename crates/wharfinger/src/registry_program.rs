//! Distribution's command line, which this program accepts under the name `registry`.
//!
//! `registry serve /etc/docker/registry/config.yml`, as the images' entry point has it, becomes
//! `wharfinger serve …`; `registry garbage-collect` becomes `wharfinger registry gc`. What is no
//! word of Distribution's is left as ours.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::failure::Failure;

/// Distribution's name, and Debian's for it.
const NAMES: [&str; 2] = ["registry", "docker-registry"];

/// Where the file lies when the command line does not say.
const FILE_VARIABLE: &str = "REGISTRY_CONFIGURATION_PATH";

/// `arguments` in our words, where the program was called by Distribution's name.
///
/// # Errors
/// Something is asked for that is done in another way here.
pub(crate) fn translated(arguments: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    if is_called(&arguments) {
        read(&arguments, std::env::var_os(FILE_VARIABLE))
    } else {
        Ok(arguments)
    }
}

fn is_called(arguments: &[OsString]) -> bool {
    let name = arguments
        .first()
        .and_then(|program| Path::new(program).file_name());
    name.is_some_and(|name| NAMES.iter().any(|known| name == *known))
}

fn read(arguments: &[OsString], usual: Option<OsString>) -> Result<Vec<OsString>, Failure> {
    let (program, mut rest) = arguments.split_at(arguments.len().min(1));
    // The image's entry point takes the program's name, too: `command: registry serve FILE`.
    if let [name, word, ..] = rest
        && is_called(std::slice::from_ref(name))
        && ["serve", "garbage-collect"]
            .iter()
            .any(|known| word == known)
    {
        rest = &rest[1..];
    }
    let words: Vec<OsString> = match rest.split_first().map(|(word, rest)| (word.to_str(), rest)) {
        Some((Some("serve"), rest)) => chain(&["serve"], with_file(rest, usual)?),
        Some((Some("garbage-collect"), rest)) => {
            let words: Vec<_> = rest.iter().filter_map(|word| collect_word(word)).collect();
            chain(&["registry", "gc"], with_file(&words, usual)?)
        }
        Some((Some("-v"), [])) => chain(&["--version"], Vec::new()),
        _ => rest.to_vec(),
    };
    Ok(program.iter().cloned().chain(words).collect())
}

/// The words with a file among them.
fn with_file(words: &[OsString], usual: Option<OsString>) -> Result<Vec<OsString>, Failure> {
    let is_flag = |word: &OsString| word.to_string_lossy().starts_with('-');
    if !words.iter().all(is_flag) || words.iter().any(|word| word == "-h" || word == "--help") {
        return Ok(words.to_vec());
    }
    let file = usual.filter(|file| !file.is_empty()).ok_or_else(|| {
        Failure::usage("no configuration is named").hint(format!(
            "name its file, or set {FILE_VARIABLE}: registry serve /etc/docker/registry/config.yml"
        ))
    })?;
    Ok(words.iter().cloned().chain([file]).collect())
}

/// A word after `garbage-collect` as ours; `None` if it has no counterpart.
fn collect_word(word: &OsStr) -> Option<OsString> {
    match word.to_str() {
        Some("-d" | "--dry-run" | "--dry-run=true") => Some("--dry-run".into()),
        // The only lines are those that say what was done.
        Some("-q" | "--quiet" | "--dry-run=false" | "--delete-untagged=false") => None,
        Some("-m" | "--delete-untagged" | "--delete-untagged=true") => {
            Some("--delete-untagged".into())
        }
        _ => Some(word.to_owned()),
    }
}

fn chain(first: &[&str], rest: Vec<OsString>) -> Vec<OsString> {
    first.iter().map(OsString::from).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn translate(line: &str, usual: Option<&str>) -> Result<String, String> {
        let read = read(&words(line), usual.map(OsString::from));
        read.map(|words| words.join(OsStr::new(" ")).into_string().unwrap())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn its_words_are_ours() {
        for (line, ours) in [
            (
                "registry serve /etc/docker/registry/config.yml",
                "registry serve /etc/docker/registry/config.yml",
            ),
            (
                "registry garbage-collect c.yml",
                "registry registry gc c.yml",
            ),
            (
                "registry garbage-collect --dry-run -q c.yml",
                "registry registry gc --dry-run c.yml",
            ),
            (
                "registry garbage-collect c.yml -d",
                "registry registry gc c.yml --dry-run",
            ),
            (
                "registry garbage-collect -m c.yml",
                "registry registry gc --delete-untagged c.yml",
            ),
            (
                "registry garbage-collect --delete-untagged=true --delete-untagged=false c.yml",
                "registry registry gc --delete-untagged c.yml",
            ),
            ("registry registry serve c.yml", "registry serve c.yml"),
            (
                "registry /bin/registry garbage-collect c.yml",
                "registry registry gc c.yml",
            ),
            ("registry registry gc c.yml", "registry registry gc c.yml"),
            ("registry -v", "registry --version"),
            ("registry --version", "registry --version"),
            ("registry serve --help", "registry serve --help"),
            ("registry check c.yml", "registry check c.yml"),
            ("registry", "registry"),
        ] {
            assert_eq!(translate(line, None).as_deref(), Ok(ours), "{line}");
        }
    }

    #[test]
    fn the_file_may_come_from_the_environment() {
        assert_eq!(
            translate("registry serve", Some("/c.yml")).as_deref(),
            Ok("registry serve /c.yml")
        );
        assert_eq!(
            translate("registry garbage-collect -d", Some("/c.yml")).as_deref(),
            Ok("registry registry gc --dry-run /c.yml")
        );
        assert_eq!(
            translate("registry serve a.yml", Some("/c.yml")).as_deref(),
            Ok("registry serve a.yml")
        );
        for usual in [None, Some("")] {
            let refused = translate("registry serve", usual).unwrap_err();
            assert!(
                refused.starts_with("error: no configuration is named\nhint: name its file"),
                "{refused}"
            );
        }
    }

    #[test]
    fn the_name_decides() {
        for (program, expected) in [
            ("/bin/registry", true),
            ("docker-registry", true),
            ("wharfinger", false),
            ("registry/wharfinger", false),
        ] {
            assert_eq!(is_called(&words(program)), expected, "{program}");
        }
        assert!(!is_called(&[]));
    }
}
