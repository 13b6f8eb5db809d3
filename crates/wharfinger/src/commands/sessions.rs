//! `wharfinger sessions`: refresh tokens, with or without a running server.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use auth::sessions::{
    RevokedBy, Selection, SessionRecord, Sessions, SqliteSessions, without_ended,
};
use clap::{Args, Subcommand};
use common::{Clock, Entropy, SystemClock, SystemEntropy, unix_seconds};
use database::Database;
use identity::{AuthenticatorChain, WorkerPool};
use serde_json::json;

use super::administrator::administrator;
use super::{configuration, runtime, table};
use crate::config::Config;
use crate::config::date::parse_date;
use crate::failure::Failure;
use crate::output;
use crate::serve::backends::{Backends, Revalidation};
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::sign_in_pages::accounts_of;
use crate::when::relative;

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
    /// The server's configuration.
    file: PathBuf,
    /// Only sessions of this user.
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
    /// The server's configuration.
    file: PathBuf,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The session with this ID, which `list` and the server's log show.
    #[arg(long)]
    id: Option<String>,
    /// All sessions of this user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// All sessions.
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let report = runtime::block_on(async {
        let now = SystemClock.now();
        match arguments.command {
            Command::List(list) => list.run(now).await,
            Command::Revoke(revoke) => revoke.run(now).await,
        }
    })??;
    output::print(&report)?;
    Ok(ExitCode::SUCCESS)
}

impl List {
    async fn run(self, now: SystemTime) -> Result<String, Failure> {
        let (sessions, config, database) = open(&self.file)?;
        let selection = self.user.map_or(Selection::All, Selection::Account);
        let listed = sessions.list(selection, now).await;
        let listed = listed
            .map_err(|error| Failure::system("cannot read the sessions").caused_by(&error))?;
        let accounts = accounts(&config, &database)?;
        let listed = without_ended(listed, &accounts).await.into_iter();
        let records: Vec<_> = listed.map(SessionRecord::from).collect();
        Ok(match self.json {
            true => output::json(&json!(records)),
            false => table(&records, now),
        })
    }
}

impl Revoke {
    async fn run(self, now: SystemTime) -> Result<String, Failure> {
        let (sessions, ..) = open(&self.file)?;
        let selection = match self.which {
            Which { id: Some(id), .. } => Selection::Id(id),
            Which {
                user: Some(user), ..
            } => Selection::Account(user),
            Which { .. } => Selection::All,
        };
        let by = RevokedBy::Administrator(administrator());
        let revoked = sessions.revoke(selection.clone(), by, now).await;
        let revoked =
            revoked.map_err(|error| Failure::system("no session was revoked").caused_by(&error))?;
        match (revoked, selection) {
            (0, Selection::Id(id)) => Err(Failure::negative(format!(
                "no session {id}, or it was revoked already"
            ))
            .hint(format!(
                "`wharfinger sessions list {}` shows the ids",
                self.file.display()
            ))),
            (1, _) => Ok("1 session revoked\n".to_owned()),
            (count, _) => Ok(format!("{count} sessions revoked\n")),
        }
    }
}

/// The backends that know the accounts of the server of this configuration.
fn accounts(config: &Config, database: &Database) -> Result<AuthenticatorChain, Failure> {
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let accounts = accounts_of(config, Some(database), &clock, &entropy)?;
    let never = Revalidation::Never;
    let managed = ManagedAccounts::in_database(config, database.clone());
    let managed = managed.as_ref();
    let backends = Backends::of_token_server(config, &workers, &clock, managed, &accounts, never)?;
    let backends = backends.with_personal_tokens(config, Some(database), &clock, &entropy);
    Ok(backends.chain)
}

/// The sessions that the configuration in `file` keeps, that configuration, and its database.
fn open(file: &Path) -> Result<(Sessions, Config, Database), Failure> {
    let config = configuration::load(file)?.config;
    let (Some(policy), Some(location)) = (config.refresh_tokens, &config.database) else {
        return Err(Failure::usage(format!("{} keeps no sessions: refresh tokens are off", file.display())).hint(
            "write `refresh_tokens: {}` to turn them on; `database: {url: sqlite:///…}` says where they are kept",
        ));
    };
    let database = configuration::open_database(location, "the sessions")?;
    let store = Arc::new(SqliteSessions::new(database.clone()));
    let sessions = Sessions::new(store, policy, Arc::new(SystemEntropy));
    Ok((sessions, config, database))
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
        let times = [created_at, last_used_at, expires_at].map(|date| ago(date, now));
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

/// How far a date of a record is from now.
fn ago(date: &str, now: SystemTime) -> String {
    match parse_date(date) {
        Ok(time) => relative(unix_seconds(time), unix_seconds(now)),
        Err(_) => shown(date),
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
