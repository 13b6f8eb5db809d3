//! `~/.pgpass`: lines of `host:port:database:user:password`, in which `*` stands for anything and
//! `\` escapes a `:` or a `\`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::Secret;

/// The password of the first line that matches host, port, database and user. As for libpq, a file
/// that others may read does not count.
pub(super) fn find(file: &Path, wanted: [&str; 4]) -> Option<Secret> {
    let metadata = file.metadata().ok()?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return None;
    }
    find_in(&fs::read_to_string(file).ok()?, wanted)
}

fn find_in(text: &str, wanted: [&str; 4]) -> Option<Secret> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(fields).find_map(|fields| match &fields[..] {
        [matched @ .., password] if matched.len() == wanted.len() => {
            let mut pairs = matched.iter().zip(wanted);
            let is_it = pairs.all(|(field, wanted)| field == "*" || field == wanted);
            is_it.then(|| Secret::from(password.as_str()))
        }
        _ => None,
    })
}

fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let plain = match character {
            ':' => {
                fields.push(String::new());
                continue;
            }
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        };
        if let Some(field) = fields.last_mut() {
            field.push(plain);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_matches_counts() {
        let text =
            "# host:port:db:user:pw\nbroken\nh:1:db:bob:one\nh:*:*:bob:t\\:w\\\\o\n*:*:*:*:last\n";
        let password = |wanted| find_in(text, wanted).map(|found| found.expose().to_owned());
        assert_eq!(password(["h", "1", "db", "bob"]).as_deref(), Some("one"));
        assert_eq!(password(["h", "2", "db", "bob"]).as_deref(), Some("t:w\\o"));
        assert_eq!(
            password(["other", "2", "db", "ann"]).as_deref(),
            Some("last")
        );
        assert!(find_in("h:1:db:bob:one", ["h", "1", "db", "ann"]).is_none());
    }

    #[test]
    fn a_file_that_others_may_read_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pgpass");
        fs::write(&file, "*:*:*:*:secret\n").unwrap();
        for (mode, counts) in [(0o600, true), (0o640, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(
                find(&file, ["h", "1", "d", "u"]).is_some(),
                counts,
                "{mode:o}"
            );
        }
    }
}
