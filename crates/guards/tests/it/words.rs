//! Words to avoid: metaphors, and pronouns in place of the one who acts. Plain words are found by
//! a search and understood by a reader who does not know this project.

use std::fs;

use crate::source::{files, root};

/// A word, how often it still stands in the source, and how often in the documents. May only
/// shrink.
const WORDS: &[(&str, usize, usize)] = &[
    ("nobody", 1, 0),
    ("somebody", 0, 0),
    ("anybody", 0, 0),
    ("everybody", 0, 0),
    ("whoever", 0, 0),
    ("papers", 0, 0),
    ("cargo", 4, 0),
    ("door", 0, 0),
    ("trouble", 0, 0),
    ("believe", 0, 0),
    ("believed", 0, 0),
    ("believes", 0, 0),
    ("glance", 0, 0),
    ("sight", 0, 0),
    ("bury", 0, 0),
    ("buried", 0, 0),
    ("condemned", 0, 0),
    ("doomed", 0, 0),
    ("foretold", 0, 0),
];

#[test]
fn words_to_avoid_do_not_come_back() {
    let source = texts(&root().join("crates"), ".rs");
    let mut documents = texts(&root().join("docs"), ".md");
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(fs::read_to_string(path).unwrap());
        }
    }
    assert!(
        source.len() > 300 && documents.len() > 10,
        "too little was read"
    );
    let mut wrong = Vec::new();
    for (word, in_source, in_documents) in WORDS {
        let found = (count(word, &source), count(word, &documents));
        if found.0 > *in_source || found.1 > *in_documents {
            wrong.push(format!(
                "{word:?}: {} in the source (at most {in_source}), {} in the documents (at most {in_documents})",
                found.0, found.1
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "write these otherwise:\n{}",
        wrong.join("\n")
    );
}

fn texts(directory: &std::path::Path, suffix: &str) -> Vec<String> {
    let files = files(directory, suffix).into_iter();
    files
        .filter(|file| !file.components().any(|part| part.as_os_str() == "guards"))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

fn count(word: &str, texts: &[String]) -> usize {
    texts.iter().map(|text| count_in(word, text)).sum()
}

/// How often `word` stands in `text` as a word of its own, in any case, also within a name. The build
/// tool Cargo may be named by a command, a path or a variable.
fn count_in(word: &str, text: &str) -> usize {
    let lower = text.to_lowercase();
    let is_part =
        |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || (c == '_' && word == "cargo"));
    let is_tool = |before: Option<char>, after: &str| {
        word == "cargo"
            && (before.is_some_and(|c| matches!(c, '/' | '.' | '"' | '`' | '\'' | '~'))
                || after.starts_with([':', '.', '/', '-', '`', '"'])
                || TOOL.iter().any(|command| {
                    after
                        .strip_prefix(' ')
                        .is_some_and(|a| a.starts_with(command))
                }))
    };
    let hits = lower.match_indices(word);
    hits.filter(|(at, _)| {
        let before = lower[..*at].chars().next_back();
        let after = &lower[at + word.len()..];
        !is_part(before) && !is_part(after.chars().next()) && !is_tool(before, after)
    })
    .count()
}

/// What follows the name of the tool in a command.
const TOOL: [&str; 9] = [
    "build", "test", "run", "install", "bench", "fmt", "clippy", "doc", "metadata",
];

#[test]
fn words_are_counted_as_words() {
    assert_eq!(
        count_in("door", "Door, doors, a door; indoor, door_keeper"),
        3
    );
    assert_eq!(
        count_in(
            "cargo",
            "cargo test, Cargo.toml, ~/.cargo/bin, cargo of a ship"
        ),
        1
    );
}
