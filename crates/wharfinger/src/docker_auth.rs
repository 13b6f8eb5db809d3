//! `docker_auth`'s command line: a configuration file alone, with glog's flags before or behind it.
//!
//! `auth_server -v=2 --alsologtostderr /config/auth_config.yml` becomes `wharfinger serve …` here.
//! Go's flags have one dash or two, and boolean ones take a value only behind `=`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Glog's flags, and whether each takes a value.
const FLAGS: [(&str, bool); 9] = [
    ("v", true),
    ("logtostderr", false),
    ("alsologtostderr", false),
    ("log_dir", true),
    ("stderrthreshold", true),
    ("vmodule", true),
    ("log_backtrace_at", true),
    ("log_link", true),
    ("logbuflevel", true),
];

/// A command line of `docker_auth`.
enum CommandLine {
    /// Its flags with two dashes each, and the file.
    Serve(Vec<OsString>, OsString),
    /// A flag that glog does not have, among some that it has.
    UnknownFlag(OsString),
    /// Something else.
    Other,
}

/// `arguments` in our words, if they are in `docker_auth`'s: its flags and one file. `is_command`
/// tells whether a word is the name of one of our commands.
pub(crate) fn translated(
    arguments: Vec<OsString>,
    is_command: impl Fn(&OsStr) -> bool,
) -> Vec<OsString> {
    let Some((program, rest)) = arguments.split_first() else {
        return arguments;
    };
    let is_serve = rest.first().is_some_and(|first| first == "serve");
    let serve = |words: Vec<OsString>| {
        [program.clone(), "serve".into()]
            .into_iter()
            .chain(words)
            .collect()
    };
    match read(if is_serve { &rest[1..] } else { rest }) {
        CommandLine::Serve(flags, file) if is_serve || (is_file(&file) && !is_command(&file)) => {
            serve(flags.into_iter().chain([file]).collect())
        }
        // The parser of `serve` names it.
        CommandLine::UnknownFlag(flag) => serve(vec![flag]),
        _ => arguments,
    }
}

fn read(arguments: &[OsString]) -> CommandLine {
    let (mut flags, mut files, mut unknown) = (Vec::new(), Vec::new(), None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.to_str().and_then(|text| text.strip_prefix('-')) else {
            files.push(argument.clone());
            continue;
        };
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let (name, value) = flag
            .split_once('=')
            .map_or((flag, None), |(name, value)| (name, Some(value)));
        let Some((_, takes_value)) = FLAGS.iter().find(|(known, _)| *known == name) else {
            unknown.get_or_insert(OsString::from(format!("--{name}")));
            continue;
        };
        flags.push(format!("--{flag}").into());
        if *takes_value && value.is_none() {
            let Some(value) = arguments.next() else {
                return CommandLine::Other;
            };
            flags.push(value.clone());
        }
    }
    match (unknown, files.as_slice()) {
        (Some(flag), _) if !flags.is_empty() => CommandLine::UnknownFlag(flag),
        (None, [file]) => CommandLine::Serve(flags, file.clone()),
        _ => CommandLine::Other,
    }
}

/// Whether a word that is not a command is a file rather than a misspelt command.
fn is_file(word: &OsStr) -> bool {
    let path = Path::new(word);
    path.extension().is_some() || path.components().count() > 1 || path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translate(line: &str) -> String {
        let arguments = line.split(' ').map(OsString::from).collect();
        translated(arguments, |word| word == "check")
            .join(OsStr::new(" "))
            .into_string()
            .unwrap()
    }

    #[test]
    fn a_file_alone_is_served() {
        assert_eq!(translate("w auth.yml"), "w serve auth.yml");
        assert_eq!(
            translate("w /config/auth_config"),
            "w serve /config/auth_config"
        );
    }

    #[test]
    fn flags_have_one_dash_or_two() {
        let ours = "w serve --v=2 --alsologtostderr /c/a.yml";
        assert_eq!(translate("w -v=2 --alsologtostderr /c/a.yml"), ours);
        assert_eq!(
            translate("w --v 2 /c/a.yml -logtostderr"),
            "w serve --v 2 --logtostderr /c/a.yml"
        );
        assert_eq!(
            translate("w -log_dir /logs -stderrthreshold=INFO a.yml"),
            "w serve --log_dir /logs --stderrthreshold=INFO a.yml"
        );
        assert_eq!(
            translate("w -alsologtostderr=true a.yml"),
            "w serve --alsologtostderr=true a.yml"
        );
        assert_eq!(translate("w serve a.yml -v=2"), "w serve --v=2 a.yml");
    }

    #[test]
    fn a_flag_that_glog_does_not_have_is_named() {
        for line in [
            "w -log_dir D -max_log_size 3 a.yml",
            "w -max_log_size=3 -v=2 a.yml",
            "w serve -v 2 --max_log_size 3 a.yml",
        ] {
            assert_eq!(translate(line), "w serve --max_log_size", "{line}");
        }
        assert_eq!(
            translate("w -vmodule=a=2 -log_backtrace_at x:1 a.yml"),
            "w serve --vmodule=a=2 --log_backtrace_at x:1 a.yml"
        );
    }

    #[test]
    fn everything_else_is_left_alone() {
        for line in [
            "w",
            "w check a.yml",
            "w chek",
            "w --help",
            "w -v",
            "w serve",
            "w a.yml b.yml",
            "w serve --help a.yml",
        ] {
            assert_eq!(translate(line), line);
        }
    }
}
