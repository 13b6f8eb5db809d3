//! `wharfinger sessions`: refresh tokens.

mod managed;

use std::process::ExitCode;
use std::time::SystemTime;

use auth::sessions::SessionRecord;
use clap::{Args, Subcommand};
use common::{Clock, SystemClock, escape_line};
use serde_json::json;

use self::managed::SessionAdministration;
use super::managed_server::ManagedServerArguments;
use super::revocation::{RevocationArguments, RevocationSelection};
use super::{runtime, table};
use crate::failure::Failure;
use crate::output;
use crate::when::relative_date;

/// List or revoke refresh tokens: what `docker login` keeps instead of the password
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Revoke(Revoke),
}

/// List the sessions that are valid now, by user, the last used first
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// Only sessions of this user. Default: all that may be seen.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print a JSON array: [{id, account, backend, service, client_id, address, created_at,
    /// last_used_at, confirmed_at, expires_at}].
    #[arg(long)]
    json: bool,
}

/// End sessions
///
/// A running server refuses their refresh tokens at once. Access tokens that were issued for them stay
/// valid until they expire, a few minutes later.
#[derive(Debug, Args)]
struct Revoke {
    #[command(flatten)]
    server: ManagedServerArguments,
    #[command(flatten)]
    which: RevocationArguments,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    runtime::print_report(async {
        let now = SystemClock.now();
        match arguments.command {
            Command::List(list) => list.run(now).await,
            Command::Revoke(revoke) => revoke.run(now).await,
        }
    })
}

impl List {
    async fn run(self, now: SystemTime) -> Result<String, Failure> {
        let sessions = SessionAdministration::of(&self.server).await?;
        let listed = sessions.list(self.user, now).await?;
        Ok(match self.json {
            true => output::json(&json!(listed)),
            false => table(&listed, now),
        })
    }
}

impl Revoke {
    async fn run(self, now: SystemTime) -> Result<String, Failure> {
        let sessions = SessionAdministration::of(&self.server).await?;
        let selection = self.which.selection();
        let revoked = sessions.revoke(&selection, now).await?;
        match (revoked, selection) {
            (0, RevocationSelection::Id(id)) => Err(Failure::negative(format!(
                "no session {}, or it was revoked already",
                escape_line(&id)
            ))
            .hint(format!(
                "`wharfinger sessions list {}` shows the ids",
                self.server
            ))),
            (1, _) => Ok("1 session revoked\n".to_owned()),
            (count, _) => Ok(format!("{count} sessions revoked\n")),
        }
    }
}

/// A line for each session under the names of its columns.
fn table(sessions: &[SessionRecord], now: SystemTime) -> String {
    let rows = sessions.iter().map(|session| {
        let SessionRecord {
            id,
            account,
            service,
            client_id,
            address,
            created_at,
            last_used_at,
            expires_at,
            ..
        } = session;
        let texts = [id, account, service, client_id, address].map(|text| shown(text));
        let [id, account, service, client, address] = texts;
        let times = [created_at, last_used_at, expires_at].map(|date| relative_date(date, now));
        let [created, used, expires] = times;
        [
            id, account, service, client, address, created, used, expires,
        ]
    });
    let head = [
        "ID",
        "USER",
        "SERVICE",
        "CLIENT",
        "ADDRESS",
        "OPENED",
        "LAST USED",
        "EXPIRES",
    ];
    table::table(head, rows.collect())
}

/// A text that a client sent, made safe for a terminal: quoted and escaped if it holds more than
/// letters, digits and signs.
fn shown(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || c.is_ascii_graphic();
    match text {
        "" => "-".to_owned(),
        _ if text.chars().all(plain) => text.to_owned(),
        _ => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        const OPENED: u64 = 1_793_491_200;
        SystemTime::UNIX_EPOCH + Duration::from_secs(OPENED + seconds)
    }

    fn session(account: &str, client_id: &str) -> SessionRecord {
        SessionRecord {
            id: "0c1fe95f4c57c2db".into(),
            account: account.into(),
            backend: Some("users".into()),
            service: "registry.example.com".into(),
            client_id: client_id.into(),
            address: "192.0.2.7".into(),
            created_at: "2026-11-01T00:00:00Z".into(),
            last_used_at: "2026-11-01T01:00:00Z".into(),
            confirmed_at: "2026-11-01T00:30:00Z".into(),
            expires_at: "2026-12-01T01:00:00Z".into(),
        }
    }

    #[test]
    fn people_read_a_table() {
        let sessions = [session("ann", "docker"), session("josé", "")];
        let expected = "\
ID                USER  SERVICE               CLIENT  ADDRESS    OPENED  LAST USED  EXPIRES
0c1fe95f4c57c2db  ann   registry.example.com  docker  192.0.2.7  2h ago  1h ago     in 29d 23h
0c1fe95f4c57c2db  josé  registry.example.com  -       192.0.2.7  2h ago  1h ago     in 29d 23h
";
        assert_eq!(table(&sessions, at(7200)), expected);
        assert_eq!(table(&[], at(0)).lines().count(), 1);
    }

    #[test]
    fn no_stranger_writes_on_the_terminal() {
        for (text, expected) in [
            ("docker", "docker"),
            ("a b", r#""a b""#),
            ("\u{1b}[2J", r#""\u{1b}[2J""#),
            ("x\u{202e}y", r#""x\u{202e}y""#),
            ("line\nbreak", r#""line\nbreak""#),
            ("", "-"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
