//! `docker_auth`'s command line: a configuration file alone, with glog's flags before or behind it.
//!
//! `auth_server -v=2 --alsologtostderr /config/auth_config.yml` becomes `wharfinger serve …` here.
//! Go's flags have one dash or two, and boolean ones take a value only behind `=`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// Glog's flags, and whether each takes a value.
const FLAGS: [(&str, bool); 5] = [
    ("v", true),
    ("logtostderr", false),
    ("alsologtostderr", false),
    ("log_dir", true),
    ("stderrthreshold", true),
];

/// `arguments` in our words, where they are in `docker_auth`'s: nothing but its flags and one file.
pub(crate) fn translated(arguments: Vec<OsString>) -> Vec<OsString> {
    let Some((program, rest)) = arguments.split_first() else {
        return arguments;
    };
    let is_serve = rest.first().is_some_and(|first| first == "serve");
    let given = if is_serve { &rest[1..] } else { rest };
    match read(given) {
        Some((flags, file)) if is_serve || is_file(&file) => [program.clone(), "serve".into()]
            .into_iter()
            .chain(flags)
            .chain([file])
            .collect(),
        _ => arguments,
    }
}

/// The flags with two dashes each, and the file; none where there is anything else.
fn read(arguments: &[OsString]) -> Option<(Vec<OsString>, OsString)> {
    let (mut flags, mut file) = (Vec::new(), None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str().and_then(|text| text.strip_prefix('-')) {
            None if file.is_none() => file = Some(argument.clone()),
            None => return None,
            Some(flag) => {
                let flag = flag.strip_prefix('-').unwrap_or(flag);
                let (name, value) = flag
                    .split_once('=')
                    .map_or((flag, None), |(name, value)| (name, Some(value)));
                let (_, takes_value) = FLAGS.iter().find(|(known, _)| *known == name)?;
                flags.push(format!("--{flag}").into());
                if *takes_value && value.is_none() {
                    flags.push(arguments.next()?.clone());
                }
            }
        }
    }
    Some((flags, file?))
}

/// Whether `word` is meant as a file rather than as a command, misspelt perhaps. A command is one
/// even if a file of its name is here.
fn is_file(word: &OsStr) -> bool {
    if crate::cli::is_command(word) {
        return false;
    }
    let path = Path::new(word);
    path.extension().is_some() || path.components().count() > 1 || path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translate(line: &str) -> String {
        let arguments = line.split(' ').map(OsString::from).collect();
        translated(arguments)
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
