//! `--help` of every command, whole: what people read first is changed on purpose or not at all.

use super::Folder;

#[test]
fn every_command_explains_itself() {
    let mut all = String::new();
    for command in [
        "",
        "attach",
        "audit",
        "audit list",
        "blob",
        "catalog",
        "certs",
        "certs new",
        "check",
        "completions",
        "config",
        "copy",
        "credential-helper",
        "credential-provider",
        "delete",
        "digest",
        "doctor",
        "explain",
        "hash",
        "import",
        "inspect",
        "keys",
        "keys jwks",
        "keys new",
        "keys show",
        "login",
        "logout",
        "man",
        "manifest",
        "notifications",
        "notifications list",
        "notifications retry",
        "passwd",
        "passwords",
        "passwords list",
        "passwords revoke",
        "personal-token",
        "personal-token create",
        "personal-token list",
        "personal-token rotate",
        "personal-token revoke",
        "policy",
        "policy diff",
        "pull",
        "push",
        "referrers",
        "registry",
        "registry gc",
        "registry verify",
        "registry migrate",
        "registry adopt",
        "registry export",
        "registry backup",
        "registry copy",
        "replicas",
        "robot",
        "robot add",
        "robot list",
        "robot show",
        "robot rotate",
        "robot disable",
        "robot enable",
        "robot remove",
        "rule",
        "rule add",
        "rule list",
        "rule move",
        "rule remove",
        "serve",
        "sessions",
        "sessions list",
        "sessions revoke",
        "tag",
        "tags",
        "token",
        "trust",
        "trust check",
        "up",
        "user",
        "user add",
        "user list",
        "user show",
        "user passwd",
        "user label",
        "user disable",
        "user enable",
        "user remove",
    ] {
        let words = format!("{command} --help");
        let help = Folder::new().said(words.trim());
        all += &format!("$ wharfinger {}\n{help}\n\n", words.trim());
    }
    insta::assert_snapshot!(all);
}

#[test]
fn no_command_is_left_out_above() {
    let help = Folder::new().said("--help");
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let names = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(
        names,
        [
            "attach",
            "audit",
            "blob",
            "catalog",
            "certs",
            "check",
            "completions",
            "config",
            "copy",
            "credential-helper",
            "credential-provider",
            "delete",
            "digest",
            "doctor",
            "explain",
            "hash",
            "history",
            "import",
            "inspect",
            "keys",
            "login",
            "logout",
            "man",
            "manifest",
            "notifications",
            "passwd",
            "passwords",
            "personal-token",
            "policy",
            "pull",
            "push",
            "referrers",
            "registry",
            "replicas",
            "restore",
            "robot",
            "rule",
            "serve",
            "sessions",
            "tag",
            "tags",
            "token",
            "trust",
            "up",
            "user",
            "help",
        ],
        "a new command wants its help in the snapshot"
    );
}

/// A script may pass on a name that a stranger chose.
#[test]
fn a_command_line_that_is_refused_is_shown_safely() {
    for words in [
        "tags 127.0.0.1:1/\u{1b}[31m",
        "tags --\u{1b}]0;x\u{7}",
        "\u{1b}[2J",
        "token --expires \u{202e}",
        "delete 127.0.0.1:1/a:\u{9b}31m",
        "copy \u{1b} \u{1b}",
    ] {
        let (code, told) = Folder::new().refused(words);
        assert_eq!(code, 2, "{told}");
        let is_safe = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
        assert!(told.chars().all(is_safe), "{words:?}: {told:?}");
    }
}
