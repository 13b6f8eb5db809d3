//! The commands of the manual are run as they are printed.
//!
//! The blocks of a page are one script, in a machine of their own (`manual_commands.sh`). A block
//! `sh` is run and must succeed; `sh fails` must fail; `sh ignore` needs a program or a person that
//! is not here. Of a block `console`, the lines behind `$ ` are run, and the others are compared
//! with what they print. What a page takes for granted stands in comments: `<!-- run: COMMAND -->`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use peers::{Image, in_network, program, run};
use tempfile::TempDir;

use crate::manual::{self, HASH};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// docker_auth's example, and the file of the image registry:2.
const DOCKER_AUTH: &str = include_str!("e2e/seeds/auth_config.yml");
const REGISTRY_2: &str = include_str!("../../src/config/distribution/tests/registry-2.8-image.yml");

#[test]
fn the_commands_of_registry() {
    run_page("registry.md");
}

#[test]
fn the_commands_of_from_registry() {
    run_page("from-registry.md");
}

#[test]
fn the_commands_of_token_server() {
    run_page("token-server.md");
}

#[test]
fn the_commands_of_accounts() {
    run_page("accounts.md");
}

#[test]
fn the_commands_of_tags() {
    run_page("tags.md");
}

#[test]
fn the_commands_of_audit() {
    run_page("audit.md");
}

#[test]
fn the_commands_of_notifications() {
    run_page("notifications.md");
}

#[test]
fn the_commands_of_retention() {
    run_page("retention.md");
}

#[test]
fn the_commands_of_quotas() {
    run_page("quotas.md");
}

#[test]
fn the_commands_of_client() {
    run_page("client.md");
}

#[test]
fn the_commands_of_doctor() {
    run_page("doctor.md");
}

#[test]
fn the_commands_of_keys_and_tokens() {
    run_page("keys-and-tokens.md");
}

#[test]
fn the_commands_of_configuration() {
    run_page("configuration.md");
}

#[test]
fn the_commands_of_upgrading() {
    run_page("upgrading.md");
}

#[test]
fn the_commands_of_moving() {
    run_page("moving.md");
}

#[test]
fn the_commands_of_robots_and_personal_tokens() {
    run_page("robots-and-personal-tokens.md");
}

#[test]
fn the_commands_of_workload_identity() {
    run_page("workload-identity.md");
}

#[test]
fn the_commands_of_when_something_is_broken() {
    run_page("when-something-is-broken.md");
}

/// Every page with commands has a test above.
#[test]
fn every_page_with_commands_is_run() {
    for entry in fs::read_dir(docs()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let runs = blocks(&text).iter().any(Block::is_run);
        assert!(
            !runs || include_str!("manual_commands.rs").contains(&format!("run_page(\"{name}\")")),
            "{name} has commands that no test runs"
        );
    }
}

/// Also those that cannot be run here: the command and its options exist.
#[test]
fn every_command_that_is_named_exists() {
    let mut seen = BTreeSet::new();
    for page in documents() {
        let text = fs::read_to_string(&page).unwrap();
        for line in command_lines(&text) {
            if let Err(problem) = check_words(&line) {
                panic!("{}: `{line}`: {problem}", page.display());
            }
            seen.insert(line);
        }
    }
    assert!(seen.len() > 60, "only {} commands were found", seen.len());
}

/// A fenced block at the beginning of a line, or a comment that is run.
struct Block<'t> {
    line: usize,
    /// The words behind the fence.
    kind: &'t str,
    text: String,
    /// The line above it.
    above: &'t str,
}

impl Block<'_> {
    fn is_run(&self) -> bool {
        ["sh", "sh fails", "console", "run"].contains(&self.kind)
    }

    /// The commands of a `console` block with the lines that follow them.
    fn transcript(&self) -> Vec<(&str, Vec<&str>)> {
        let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
        for line in self.text.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => found.push((command, Vec::new())),
                None => found.last_mut().unwrap().1.push(line),
            }
        }
        found
    }
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut above = "";
    let mut lines = page.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if let Some(command) = line
            .strip_prefix("<!-- run: ")
            .and_then(|rest| rest.strip_suffix(" -->"))
        {
            let text = format!("{command}\n");
            found.push(Block {
                line: index + 1,
                kind: "run",
                text,
                above,
            });
        } else if let Some(kind) = line.strip_prefix("```") {
            let text = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "```")
                .fold(String::new(), |text, line| text + line + "\n");
            found.push(Block {
                line: index + 1,
                kind,
                text,
                above,
            });
        } else if !line.is_empty() {
            above = line;
        }
    }
    found
}

/// Runs the page's commands from its first to its last.
fn run_page(name: &str) {
    let page = fs::read_to_string(docs().join(name)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (image, files) = (Image::saying(name), files());
    let mut script = format!(
        "T={}; PROGRAM={PROGRAM}; IMAGE={}; MANUAL={}\n{}",
        folder.path().display(),
        image.archive().display(),
        files.path().display(),
        include_str!("manual_commands.sh"),
    );
    let blocks = blocks(&page);
    let mut compared = Vec::new();
    for block in &blocks {
        let mark = format!("echo '### {name}:{}' >&2\n", block.line);
        match block.kind {
            "sh" | "run" => script += &format!("{mark}{}", block.text),
            "sh fails" => {
                script += &format!(
                    "{mark}if (\n{}); then echo 'it succeeds' >&2; exit 1; fi\n",
                    block.text
                );
            }
            "console" => {
                for (command, expected) in block.transcript() {
                    let file = format!("output-{}", compared.len());
                    script += &format!("{mark}{{ {command}\n}} >\"$T/{file}\"\n");
                    compared.push((command, expected, folder.path().join(file)));
                }
            }
            "yaml" => {
                // "Write `NAME`:" above a block is done as it says.
                let Some((_, rest)) = block.above.split_once("Write `") else {
                    continue;
                };
                let file = rest.split('`').next().unwrap();
                let text = block.text.replace(HASH[0], HASH[1]);
                script += &format!("{mark}cat >'{file}' <<'END OF YAML'\n{text}END OF YAML\n");
            }
            _ => {}
        }
    }
    let file = folder.path().join("page.sh");
    fs::write(&file, script).unwrap();
    let line = format!("{} {}", program("bash").display(), file.display());
    let output = in_network(&[], &line);
    assert!(output.status.success(), "{name}\n{output}");
    for (command, expected, file) in compared {
        let printed = fs::read_to_string(file).unwrap();
        assert!(
            is_like(&printed, &expected),
            "{name}: `{command}` prints\n{printed}\nand not\n{}",
            expected.join("\n")
        );
    }
}

/// Whether the lines are the expected ones but for what differs from key to key and day to day; a
/// line `…` stands for whatever follows.
fn is_like(printed: &str, expected: &[&str]) -> bool {
    let whole = expected.last() != Some(&"…");
    let expected = expected.strip_suffix(&["…"]).unwrap_or(expected);
    let printed: Vec<_> = printed.lines().map(likeness).collect();
    let expected: Vec<_> = expected.iter().map(|line| likeness(line)).collect();
    printed.starts_with(&expected) && (!whole || printed.len() == expected.len())
}

fn likeness(line: &str) -> String {
    let word = |word: &str| {
        let groups: Vec<_> = word.split(':').collect();
        if groups.len() > 1 && groups.iter().all(|group| group.len() == 4) {
            "FINGERPRINT".to_owned()
        } else if word.len() == 43 {
            "THUMBPRINT".to_owned()
        } else if word.starts_with("{\"crv\"") {
            "JWK".to_owned()
        } else if word.starts_with("eyJ") {
            "TOKEN".to_owned()
        } else if word.ends_with('Z') && word.matches(':').count() == 2 {
            "TIME".to_owned()
        } else if let Some((before, _)) = word.split_once("$2b$10$") {
            format!("{before}BCRYPT")
        } else if let Some(cost) = word.strip_prefix("$argon2id$") {
            format!("ARGON2ID {}", cost.rsplitn(3, '$').last().unwrap_or(cost))
        } else {
            word.to_owned()
        }
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Files that a reader brings: `$MANUAL` in what is run.
fn files() -> TempDir {
    let files = tempfile::tempdir().unwrap();
    let docker_auth = DOCKER_AUTH
        .replace("@addr@", ":5001")
        .replace("@certificate@", "old.pem")
        .replace("@key@", "old.key");
    fs::write(files.path().join("auth_config.yml"), docker_auth).unwrap();
    fs::write(files.path().join("registry-2.yml"), REGISTRY_2).unwrap();
    let folder = manual::folder();
    let everything = manual::configurations(&docs().join("configuration.md")).remove(0);
    let everything = everything.replace(HASH[0], HASH[1]);
    fs::write(folder.path().join("wharfinger.yml"), everything).unwrap();
    fs::rename(folder.keep(), files.path().join("everything")).unwrap();
    files
}

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// Everything that shows commands.
fn documents() -> Vec<PathBuf> {
    let pages = fs::read_dir(docs())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let root = docs().join("..");
    let others = [
        "README.md",
        "SECURITY.md",
        "deploy/compose.yaml",
        "deploy/compose-two.yaml",
        "deploy/wharfinger.service",
    ];
    pages
        .chain(others.into_iter().map(|name| root.join(name)))
        .collect()
}

/// What stands behind `wharfinger ` in code: in blocks, and between backticks.
fn command_lines(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        let trimmed = line.trim_start_matches(['#', ' ', '$']);
        if trimmed.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") || line.starts_with('#') {
            found.extend(trimmed.strip_prefix("wharfinger ").map(str::to_owned));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(
                spans
                    .filter_map(|span| span.strip_prefix("wharfinger "))
                    .map(str::to_owned),
            );
        }
    }
    found
}

/// Whether `line` begins with a command and has no option that it does not know.
fn check_words(line: &str) -> Result<(), String> {
    let line = line.split("  #").next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut path: Vec<&str> = Vec::new();
    let mut help = help(&path);
    for word in &words {
        let is_command = word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        // `gc|verify` are several.
        if let Some(word) = word.split('|').next()
            && (is_command || word != words[path.len()])
            && subcommands(&help).contains(word)
        {
            path.push(word);
            help = self::help(&path);
        } else {
            break;
        }
    }
    // A file alone is served; after the command come its arguments.
    if path.is_empty()
        && !words
            .iter()
            .all(|word| !word.starts_with(char::is_lowercase))
    {
        return Err("there is no such command".to_owned());
    }
    for option in words[path.len()..]
        .iter()
        .filter(|word| word.starts_with("--") && word.len() > 2)
    {
        let name = option.split(['=', '`', ',']).next().unwrap_or_default();
        if name != "--help" && name != "--version" && !help.contains(name) {
            return Err(format!("it has no option {name}"));
        }
    }
    Ok(())
}

fn help(path: &[&str]) -> String {
    run(Command::new(PROGRAM).args(path).arg("--help"))
        .succeeded()
        .to_owned()
}

/// The commands that a help text lists.
fn subcommands(help: &str) -> BTreeSet<&str> {
    let Some((_, list)) = help.split_once("Commands:\n") else {
        return BTreeSet::new();
    };
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.strip_prefix("  ")?
                .split(' ')
                .next()
                .filter(|word| !word.is_empty())
        })
        .collect()
}
