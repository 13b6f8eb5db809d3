//! PostgreSQL behind PgBouncer in transaction mode, where each transaction may have another session.

use std::sync::Arc;

use peers::PgBouncer;
use sql::SqlQuery;

use crate::support::{READER_PASSWORD, TestDatabase, database, hash, shared_postgres, users_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn types_of_extensions_are_known_in_every_session() {
    let made = TestDatabase::postgres();
    made.run(
        "CREATE EXTENSION IF NOT EXISTS citext; \
         CREATE TABLE people (login CITEXT, id UUID, hash CITEXT)",
    );
    made.run(&format!(
        "INSERT INTO people VALUES ('Ann', '11111111-2222-3333-4444-555555555555', '{}')",
        hash("right")
    ));
    let _ = made.for_reader("SELECT");
    let pooler = PgBouncer::start(&shared_postgres(), &[("reader", READER_PASSWORD)]);
    // Each of them is as another program, whose statements have the same names as another's.
    let mut logins = Vec::new();
    for column in ["login", "id"] {
        let text = format!(
            "SELECT login AS username, hash AS password_hash FROM people WHERE {column} = ${{account}}"
        );
        for _ in 0..4 {
            let query = SqlQuery::own_for_users(&text, made.kind).unwrap();
            let address = format!("127.0.0.1:{}", pooler.port());
            let users = Arc::new(users_of(
                database(made.kind, &made.reader_at(&address)),
                query,
            ));
            for _ in 0..8 {
                let users = Arc::clone(&users);
                let account = match column {
                    "id" => "11111111-2222-3333-4444-555555555555",
                    _ => "ANN",
                };
                let login = async move { users.outcome(account, "right").await };
                logins.push(tokio::spawn(login));
            }
        }
    }
    for login in logins {
        assert_eq!(login.await.unwrap(), "accepted Ann");
    }
}
