//! `wharfinger passwd`: a new password in a file of which nothing else changes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use peers::{Server, http};

use super::{Folder, PROGRAM, mode};

/// bcrypt of `secret`, with the least cost.
const HASH: &str = "$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay";

/// A configuration with every way in which a hash can be written.
fn configuration(folder: &Folder) -> String {
    folder.said("certs new --host auth.example.com --out token");
    let key = folder.path("token.key");
    folder.write(
        "htpasswd",
        &format!("# pushers\r\neve:{HASH}\r\n ci:{HASH} \r\n"),
    );
    format!(
        "# Written by hand.\r\n\
         server: {{addr: \"@addr@\"}}  # é\n\
         token: {{issuer: i, expiration: 900, key: {}}}\n\
         x-shared: &shared {{password: '{HASH}'}}\n\
         users:\n\
         \x20 \"\": {{}}\n\
         \x20 ann: {{password: \"{HASH}\", labels: {{password: [{HASH}]}}}}   # an administrator\n\
         \x20 bob:\n\
         \x20   password:   {HASH}   # plain\n\
         \x20 'c d': {{password: '{HASH}'}}\n\
         \x20 list: {{password: [\"{HASH}\"]}}\n\
         \x20 merged: {{<<: *shared}}\n\
         \x20 open: {{}}\n\
         users_htpasswd: {}\n\
         acl: [{{match: {{}}, actions: [\"*\"]}}]\n\
         login: {{per_address: off, per_account: off}}\n",
        key.display(),
        folder.path("htpasswd").display(),
    )
}

fn passwd(folder: &Folder, file: &Path, account: &str, input: &str) -> peers::Output {
    let mut command = std::process::Command::new(PROGRAM);
    command
        .arg("passwd")
        .arg(file)
        .args([account, "--password-stdin"]);
    peers::run_with_input(command.current_dir(folder.path("")), input)
}

#[test]
fn only_the_hash_of_the_account_changes_while_the_server_runs() {
    let folder = Folder::new();
    let server = Server::start(Path::new(PROGRAM), &configuration(&folder));
    let url = server.url("/auth?service=s");
    let status = |login: &str| http::request(&["-u", login, &url]).status;
    let (file, htpasswd) = (server.config(), folder.path("htpasswd"));
    for (account, path, permissions) in [
        ("ann", &file, 0o600),
        ("bob", &file, 0o640),
        ("c d", &file, 0o600),
        ("eve", &htpasswd, 0o600),
        ("ci", &htpasswd, 0o644),
    ] {
        fs::set_permissions(path, fs::Permissions::from_mode(permissions)).unwrap();
        let before = fs::read_to_string(path).unwrap();
        assert_eq!(status(&format!("{account}:secret")), 200, "{account}");
        let output = passwd(&folder, &file, account, "a new one\n");
        let said = output.succeeded();
        assert!(
            said.starts_with(&format!("password of {account} set in {}", path.display())),
            "{output}"
        );
        assert_eq!(mode(path), permissions, "{account}");
        let after = fs::read_to_string(path).unwrap();
        let (start, end) = (
            common(before.chars(), after.chars()),
            common(before.chars().rev(), after.chars().rev()),
        );
        assert_eq!(
            before.len(),
            after.len() - "$2b$10$".len() + "$2b$04$".len()
        );
        let changed = &after[start..after.len() - end];
        assert!(
            !changed.contains(['\n', ' ', '"', '\'']) && changed.len() <= HASH.len(),
            "{account}: {changed}"
        );
        let accepted = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            status(&format!("{account}:a new one")) == 200
        });
        assert!(accepted, "{account}: {}", server.log());
        assert_eq!(status(&format!("{account}:secret")), 401, "{account}");
    }
}

/// How many bytes two texts begin with in common.
fn common(one: impl Iterator<Item = char>, other: impl Iterator<Item = char>) -> usize {
    let same = one.zip(other).take_while(|(a, b)| a == b);
    same.map(|(character, _)| character.len_utf8()).sum()
}

#[test]
fn what_cannot_be_changed_is_said_and_nothing_is_changed() {
    let folder = Folder::new();
    let text = configuration(&folder).replace("@addr@", "127.0.0.1:1");
    folder.write("w.yml", &text);
    let file = folder.path("w.yml");
    for (account, input, code, expected) in [
        (
            "nina",
            "x",
            6,
            "has no account \"nina\"\nhint: its accounts: ann, bob, c d",
        ),
        ("list", "x", 2, "users.list.password in "),
        (
            "merged",
            "x",
            2,
            "is not written there\nhint: if it comes from password_file",
        ),
        ("open", "x", 2, "open has no password in"),
        ("ann", "", 2, "the password is empty"),
        ("ann", "one\ntwo\n", 2, "there is more than one line"),
    ] {
        let output = passwd(&folder, &file, account, input);
        assert_eq!(output.status.code(), Some(code), "{account}: {output}");
        assert!(output.stderr.contains(expected), "{account}: {output}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "{account}");
    }
    // Without a terminal it asks for the option.
    let (code, said) = folder.refused("passwd w.yml ann");
    assert!(
        code == 2 && said.contains("with --password-stdin"),
        "{said}"
    );
    let files = fs::read_dir(folder.path("")).unwrap().count();
    assert_eq!(files, 4, "no temporary file stays behind");
}

#[test]
fn an_argon2id_hash_is_followed_by_another() {
    let folder = Folder::new();
    let hash = folder.run_with_input("hash --algorithm argon2id --memory 64 --cost 1", "secret");
    folder.write("htpasswd", &format!("ann:{}\n", hash.succeeded()));
    folder.write(
        "w.yml",
        "version: 0.1\nstorage: {filesystem: {rootdirectory: data}}\nauth: {htpasswd: {realm: r, path: htpasswd}}\n",
    );
    passwd(&folder, &folder.path("w.yml"), "ann", "new").succeeded();
    let line = folder.read("htpasswd");
    assert!(
        line.starts_with("ann:$argon2id$v=19$m=19456,t=2,p=1$"),
        "{line}"
    );
}
