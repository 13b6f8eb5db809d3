//! The database on a PostgreSQL server.

use std::sync::Arc;

use database::{
    ChangeCounts, Database, DatabaseConnection, DatabaseLocation, Error, SchemaError, migrate,
    params, pending_migration, schema_version,
};
use peers::{Postgres, TestPostgresDatabase};
use tokio::task::JoinSet;

const COUNTER: &str = "INSERT INTO sign_ins VALUES ('b', 'record', 'ann', '0')";

fn location(url: &str) -> DatabaseLocation {
    url.parse().unwrap()
}

/// The database as a server has it.
async fn server(peer: &TestPostgresDatabase) -> Database {
    let database = Database::open_exclusive(&location(&peer.url())).unwrap();
    database.ready().await.unwrap();
    database
}

fn command(peer: &TestPostgresDatabase) -> Database {
    Database::open(&location(&peer.url())).unwrap()
}

fn count(connection: &DatabaseConnection) -> Result<u64, Error> {
    let sql = "SELECT count(*) FROM accounts";
    connection.query_one(sql, params![], |row| row.get(0))
}

/// The write that adds the account `name`.
fn add(name: &str) -> impl FnMut(&DatabaseConnection) -> Result<(), Error> + Send + 'static {
    let name = name.to_owned();
    move |connection| {
        let sql = "INSERT INTO accounts (name, password, labels, created_at, changed_at)
                   VALUES (?1, '', '{}', 0, 0)";
        connection.execute(sql, params![name]).map(drop)
    }
}

/// Reads a number, and writes the next one.
fn advance(connection: &DatabaseConnection) -> Result<(), Error> {
    let sql = "SELECT content FROM sign_ins";
    let number: Vec<u8> = connection.query_one(sql, params![], |row| row.get(0))?;
    let number: u32 = String::from_utf8(number).unwrap().parse().unwrap();
    let next = (number + 1).to_string().into_bytes();
    connection
        .execute("UPDATE sign_ins SET content = ?1", params![next])
        .map(drop)
}

#[tokio::test]
async fn all_types_come_back() {
    let peer = TestPostgresDatabase::create();
    let database = server(&peer).await;
    let write = |connection: &DatabaseConnection| {
        let sql = "INSERT INTO personal_tokens (id, kind, name, ceiling, networks, created_at, created_by)
                   VALUES (?1, 'robot', ?2, ?3, '[]', ?4, '')";
        connection.execute(sql, params!["1", "ci", "it''s ?1", u64::MAX])?;
        let sql = "INSERT INTO personal_token_secrets VALUES (?1, ?2, ?3, ?4)";
        connection.execute(sql, params![[7; 32], "1", 0, -1_i64])
    };
    assert_eq!(database.write(write).await.unwrap(), 1);
    let read = |connection: &DatabaseConnection| {
        let sql = "SELECT hash, token, ceiling, t.created_at, owner, revoked_at IS NULL AS live, expires_at
                   FROM personal_tokens t JOIN personal_token_secrets ON id = token WHERE ?1";
        connection.query_one(sql, params![true], |row| {
            assert_eq!(row.get::<[u8; 32]>("hash")?, [7; 32]);
            assert_eq!(row.get::<String>(1)?, "1");
            assert_eq!(row.get::<Option<String>>("ceiling")?.unwrap(), "it''s ?1");
            assert_eq!(row.get::<i64>("created_at")?, i64::MAX);
            assert_eq!(row.get::<Option<String>>("owner")?, None);
            assert!(row.get::<bool>("live")?);
            assert_eq!(row.get::<i64>("expires_at")?, -1);
            assert!(matches!(
                row.get::<u64>("expires_at"),
                Err(Error::Unreadable(_))
            ));
            assert!(matches!(row.get::<i64>("token"), Err(Error::Unreadable(_))));
            assert!(matches!(
                row.get::<i64>("nothing"),
                Err(Error::Unreadable(_))
            ));
            Ok(())
        })
    };
    database.read(read).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_of_two_servers_is_lost() {
    let peer = TestPostgresDatabase::create();
    let servers = [server(&peer).await, server(&peer).await];
    peer.run(COUNTER);
    let mut writers = JoinSet::new();
    for number in 0..16 {
        let database = servers[number % 2].clone();
        writers.spawn(async move {
            for _ in 0..4 {
                database.write(advance).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    let content = peer.run("SELECT convert_from(content, 'UTF8') FROM sign_ins");
    assert_eq!(content.trim(), "64");
}

#[tokio::test]
async fn a_write_that_fails_changes_nothing() {
    let peer = TestPostgresDatabase::create();
    let database = server(&peer).await;
    let mut add_ann = add("ann");
    let failing = move |connection: &DatabaseConnection| {
        add_ann(connection)?;
        Err::<(), _>(Error::NoRow)
    };
    assert!(matches!(database.write(failing).await, Err(Error::NoRow)));
    assert_eq!(database.read(count).await.unwrap(), 0);
    database.write(add("ann")).await.unwrap();
    let again = database.write(add("ann")).await;
    assert!(matches!(again, Err(Error::Unique(_))), "{again:?}");
    let wrong = |connection: &DatabaseConnection| connection.execute("SELECT nothing", params![]);
    assert!(matches!(
        database.write(wrong).await,
        Err(Error::Statement(_))
    ));
    // Its connections go on.
    assert_eq!(database.read(count).await.unwrap(), 1);
}

#[tokio::test]
async fn a_text_with_nul_is_stored_and_finds_no_other() {
    let peer = TestPostgresDatabase::create();
    let database = server(&peer).await;
    database.write(add("a")).await.unwrap();
    let read = |connection: &DatabaseConnection| {
        let sql = "SELECT count(*) FROM accounts WHERE name = ?1 OR name = ?2";
        connection.query_one(sql, params!["a\0", "\0"], |row| row.get::<u64>(0))
    };
    assert_eq!(database.read(read).await.unwrap(), 0);
    database.write(add("a\0b")).await.unwrap();
    assert_eq!(database.read(count).await.unwrap(), 2);
}

#[tokio::test]
async fn a_read_is_one_snapshot_and_cannot_write() {
    let peer = TestPostgresDatabase::create();
    let (database, other) = (server(&peer).await, server(&peer).await);
    let runtime = tokio::runtime::Handle::current();
    let read = database.read(move |connection: &DatabaseConnection| {
        let first = count(connection)?;
        runtime.block_on(other.write(add("ann"))).unwrap();
        Ok::<_, Error>((first, count(connection)?))
    });
    assert_eq!(read.await.unwrap(), (0, 0));
    assert_eq!(database.read(count).await.unwrap(), 1);
    let mut add_bob = add("bob");
    let write = database.read(move |connection: &DatabaseConnection| add_bob(connection));
    assert!(write.await.is_err());
    assert_eq!(database.read(count).await.unwrap(), 1);
}

#[tokio::test]
async fn a_panic_reaches_its_caller_only() {
    let peer = TestPostgresDatabase::create();
    let database = server(&peer).await;
    let shared = database.clone();
    let panics = tokio::spawn(async move {
        let mut add_ann = add("ann");
        let work = move |connection: &DatabaseConnection| -> Result<(), Error> {
            add_ann(connection)?;
            panic!("of the work")
        };
        shared.write(work).await
    });
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!(database.read(count).await.unwrap(), 0);
}

#[tokio::test]
async fn changes_are_counted_for_all_servers() {
    let peer = TestPostgresDatabase::create();
    let (database, other) = (server(&peer).await, server(&peer).await);
    let before = database.read(ChangeCounts::read).await.unwrap();
    other.write(add("ann")).await.unwrap();
    let after = database.read(ChangeCounts::read).await.unwrap();
    assert_eq!(after.accounts, before.accounts + 1);
    assert_eq!(after.rules, before.rules);
}

#[tokio::test]
async fn servers_that_start_at_once_migrate_once_and_share_a_secret() {
    let peer = TestPostgresDatabase::create();
    let open = || Database::open_exclusive(&location(&peer.url())).unwrap();
    let servers = [open(), open(), open()];
    let mut keys = Vec::new();
    for server in servers {
        server.ready().await.unwrap();
        let secret = server.cluster_secret().await.unwrap().unwrap();
        keys.push(secret.derive("a test"));
    }
    assert!(keys.iter().all(|key| *key == keys[0]));
    let command = command(&peer).cluster_secret().await.unwrap().unwrap();
    assert_eq!(command.derive("a test"), keys[0]);
}

#[tokio::test]
async fn a_command_changes_no_tables() {
    let peer = TestPostgresDatabase::create();
    let missing = command(&peer).read(count).await.unwrap_err();
    assert!(
        matches!(missing, Error::Schema(SchemaError::Missing)),
        "{missing:?}"
    );
    let database = server(&peer).await;
    assert_eq!(command(&peer).read(count).await.unwrap(), 0);
    let pool = database.postgres().unwrap();
    let version = schema_version(pool).await.unwrap().unwrap();
    let report = pending_migration(pool).await.unwrap();
    assert_eq!(report.before, Some(version.version));
    assert_eq!(report, migrate(pool).await.unwrap());
    // A program that is older than the tables goes on, if they serve it.
    peer.run("UPDATE schema SET version = version + 1");
    assert_eq!(command(&peer).read(count).await.unwrap(), 0);
    server(&peer).await;
    peer.run("UPDATE schema SET serves_from = version");
    let refused = command(&peer).read(count).await.unwrap_err();
    assert!(
        matches!(refused, Error::Schema(SchemaError::Newer { .. })),
        "{refused:?}"
    );
    let refused = Database::open_exclusive(&location(&peer.url())).unwrap();
    let refused = refused.ready().await.unwrap_err();
    assert!(
        matches!(refused, Error::Schema(SchemaError::Newer { .. })),
        "{refused:?}"
    );
    peer.run("UPDATE schema SET version = 0, serves_from = 0");
    let older = command(&peer).read(count).await.unwrap_err();
    assert!(
        matches!(older, Error::Schema(SchemaError::Older { .. })),
        "{older:?}"
    );
}

#[tokio::test]
async fn a_server_that_stops_is_unavailable_and_comes_back() {
    let mut peer = Postgres::start();
    let url = format!(
        "postgres://postgres@/postgres?host={}&port={}",
        peer.socket_directory().display(),
        peer.port()
    );
    let database = Database::open_exclusive(&location(&url)).unwrap();
    database.ready().await.unwrap();
    database.write(add("ann")).await.unwrap();
    peer.kill();
    for failed in [
        database.read(count).await.map(drop),
        database.write(add("bob")).await,
        database.check().await,
        Database::open(&location(&url)).unwrap().ready().await,
    ] {
        let error = failed.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(error.may_pass());
    }
    // A server that starts now waits.
    let later = Database::open_exclusive(&location(&url)).unwrap();
    assert!(matches!(later.read(count).await, Err(Error::NotReached)));
    peer.start_again();
    later.ready().await.unwrap();
    assert_eq!(later.read(count).await.unwrap(), 1);
    assert_eq!(later.read(count).await.unwrap(), 1);
}

#[tokio::test]
async fn writes_of_many_tasks_need_no_more_threads_than_connections() {
    let peer = TestPostgresDatabase::create();
    let database = server(&peer).await;
    let most = database.postgres().unwrap().settings().connections.get();
    let running = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut reads = JoinSet::new();
    for _ in 0..4 * most {
        let (database, running) = (database.clone(), Arc::clone(&running));
        reads.spawn(async move {
            let read = move |connection: &DatabaseConnection| {
                use std::sync::atomic::Ordering::SeqCst;
                let now = running.fetch_add(1, SeqCst) + 1;
                let counted = count(connection);
                running.fetch_sub(1, SeqCst);
                counted.map(|_| now)
            };
            database.read(read).await.unwrap()
        });
    }
    let at_once = reads.join_all().await;
    assert!(at_once.into_iter().all(|now| now <= most));
}
