//! The source of the workspace: its files, without comments, strings and tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.join("../..").canonicalize().unwrap()
}

/// The names of all crates.
pub(crate) fn crates() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("crates")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<_> = names.collect();
    assert!(names.len() > 10, "{names:?}");
    names
}

/// All files below `directory` that end in `suffix`, in their order.
pub(crate) fn files(directory: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else {
        return found;
    };
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            found.extend(files(&entry, suffix));
        } else if entry.to_string_lossy().ends_with(suffix) {
            found.push(entry);
        }
    }
    found
}

/// A module of a crate, one file.
#[derive(Debug)]
pub(crate) struct Module {
    /// Where it stands below `src`.
    pub(crate) file: String,
    /// Its path from the root of the crate; empty for the root itself.
    pub(crate) path: Vec<String>,
    /// The modules that it declares, without those for tests.
    pub(crate) children: BTreeSet<String>,
    /// The paths that its code names, without comments, strings and tests.
    pub(crate) paths: BTreeSet<Vec<String>>,
}

/// The modules of a crate that are not for tests, by their paths.
pub(crate) fn modules(name: &str) -> BTreeMap<Vec<String>, Module> {
    let src = root().join("crates").join(name).join("src");
    let mut modules = BTreeMap::new();
    for start in ["lib.rs", "main.rs"] {
        if src.join(start).is_file() {
            load(&src, Path::new(start), Vec::new(), &mut modules);
            break;
        }
    }
    assert!(!modules.is_empty(), "{name}: no source was read");
    modules
}

fn load(src: &Path, file: &Path, path: Vec<String>, into: &mut BTreeMap<Vec<String>, Module>) {
    let code = without_tests(&code(&fs::read_to_string(src.join(file)).unwrap()));
    let children = declared(&code);
    let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
    let directory = match stem.as_str() {
        "lib" | "main" | "mod" => file.parent().unwrap().to_path_buf(),
        stem => file.parent().unwrap().join(stem),
    };
    for child in &children {
        let candidates = [
            directory.join(format!("{child}.rs")),
            directory.join(child).join("mod.rs"),
        ];
        if let Some(file) = candidates.iter().find(|file| src.join(file).is_file()) {
            let path = path.iter().cloned().chain([child.clone()]).collect();
            load(src, file, path, into);
        }
    }
    let file = file.to_string_lossy().into_owned();
    into.insert(
        path.clone(),
        Module {
            file,
            path,
            children,
            paths: paths(&code),
        },
    );
}

/// The modules that stand in files of their own: `mod name;`.
fn declared(code: &str) -> BTreeSet<String> {
    let words: Vec<&str> = code.split_whitespace().collect();
    let pairs = words.windows(2).filter(|pair| pair[0] == "mod");
    pairs
        .filter_map(|pair| pair[1].strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

/// `text` with comments, the contents of strings and characters blanked out.
pub(crate) fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest) {
            code.push_str("\"\"");
            length
        } else if let Some(quoted) = rest.strip_prefix('"') {
            code.push_str("\"\"");
            1 + end_of_quote(quoted, '"')
        } else if let Some(length) = character(rest) {
            code.push_str("' '");
            length
        } else {
            let next = rest.chars().next().unwrap();
            code.push(next);
            at += next.len_utf8();
            continue;
        };
        at += skipped;
    }
    code
}

/// The length of `r#"…"#`, also with a `b` before it.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    let inner = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let before = text.len() - inner.len();
    Some(before + inner.find(&end)? + end.len())
}

/// The length of a character literal; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let mut letters = inner.chars();
    match letters.next()? {
        '\\' => Some(1 + end_of_quote(inner, '\'')),
        letter => (letters.next() == Some('\'')).then(|| 2 + letter.len_utf8()),
    }
}

fn end_of_quote(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            letter if letter == quote => return at + letter.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// `code` without what stands behind `#[cfg(test)]`: one item each time.
fn without_tests(code: &str) -> String {
    const TEST: &str = "#[cfg(test)]";
    let mut kept = String::new();
    let mut rest = code;
    while let Some(start) = rest.find(TEST) {
        kept.push_str(&rest[..start]);
        rest = &rest[start + TEST.len()..];
        rest = &rest[end_of_item(rest)..];
    }
    kept + rest
}

/// Where the first item of `code` ends: with its braces, or with a semicolon before any.
fn end_of_item(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, letter) in code.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Every path that the code names, `use` trees taken apart: `["crate", "a", "B"]`.
pub(crate) fn paths(code: &str) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    let tokens = tokens(code);
    let mut at = 0;
    while at < tokens.len() {
        let next = tokens.get(at + 1).map_or("", String::as_str);
        if tokens[at] == "use" && (is_name(next) || next == "::") {
            at = tree(&tokens, at + 1, &mut Vec::new(), &mut found);
        } else if is_name(&tokens[at]) && tokens.get(at + 1).is_some_and(|next| next == "::") {
            let from = at;
            while is_name(&tokens[at])
                && tokens.get(at + 1).is_some_and(|next| next == "::")
                && tokens.get(at + 2).is_some_and(|next| is_name(next))
            {
                at += 2;
            }
            let path = tokens[from..=at].iter().step_by(2).cloned();
            let extern_path = from > 0 && tokens[from - 1] == "::";
            let root = extern_path.then(|| "::".to_owned());
            found.insert(root.into_iter().chain(path).collect());
            at += 1;
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one tree of a `use` and says where it ends.
fn tree(
    tokens: &[String],
    mut at: usize,
    prefix: &mut Vec<String>,
    found: &mut BTreeSet<Vec<String>>,
) -> usize {
    let depth = prefix.len();
    if prefix.is_empty() && tokens.get(at).is_some_and(|token| token == "::") {
        prefix.push("::".to_owned());
        at += 1;
    }
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" => at += 1,
            "{" => {
                at += 1;
                while tokens
                    .get(at)
                    .is_some_and(|token| token != "}" && token != ";")
                {
                    at = tree(tokens, at, prefix, found);
                    if tokens.get(at).is_some_and(|token| token == ",") {
                        at += 1;
                    }
                }
                prefix.truncate(depth);
                return at + 1;
            }
            "as" => at += 2,
            "," | "}" | ";" => break,
            name => {
                prefix.push(name.to_owned());
                at += 1;
            }
        }
    }
    found.insert(prefix.clone());
    prefix.truncate(depth);
    at
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut letters = code.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter.is_alphanumeric() || letter == '_' {
            let mut end = at + letter.len_utf8();
            while let Some((next, letter)) = letters.peek().copied() {
                if !(letter.is_alphanumeric() || letter == '_') {
                    break;
                }
                end = next + letter.len_utf8();
                letters.next();
            }
            tokens.push(code[at..end].to_owned());
        } else if code[at..].starts_with("::") {
            letters.next();
            tokens.push("::".to_owned());
        } else if !letter.is_whitespace() {
            tokens.push(letter.to_string());
        }
    }
    tokens
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_') || token == "*"
}

#[test]
fn code_is_told_from_what_is_not() {
    let text = "a // b\n\"c \\\" d\" 'e' '\\'' r#\"f\"# 'g /* h */ i";
    assert_eq!(code(text), "a \n\"\" ' ' ' ' \"\" 'g  i");
    let tests = "a; #[cfg(test)]\nmod tests { fn b() {} } c; #[cfg(test)] mod d; e";
    assert_eq!(without_tests(tests), "a;  c;  e");
}

#[test]
fn trees_are_taken_apart() {
    let found =
        paths("use a::{self, b::{C, D as E}, f::*}; fn x() { crate::g::H::new(); ::i::j(); }");
    let found: Vec<String> = found.iter().map(|path| path.join("/")).collect();
    assert_eq!(
        found,
        [
            "::/i/j",
            "a/b/C",
            "a/b/D",
            "a/f/*",
            "a/self",
            "crate/g/H/new"
        ]
    );
}
