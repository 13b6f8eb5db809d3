//! 10,000 rules in a database, replaced as a whole while clients ask for tokens.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use peers::{Postgres, Server, TestCertificate, TestKeyKind};

use crate::wire::get;

/// Clients that ask without a pause.
const CLIENTS: usize = 4;

/// Replaces all rules in one transaction. The last one of the 10,000 is the first that matches.
fn replace_rules(postgres: &Postgres, actions: &str) {
    postgres.run(
        "postgres",
        &format!(
            "BEGIN; DELETE FROM xorm_acl_entry; \
             INSERT INTO xorm_acl_entry SELECT json_build_object( \
               'Match', json_build_object('Name', 'team-' || n || '/*'), 'Actions', json_build_array('*')), n \
             FROM generate_series(1, 9999) AS n; \
             INSERT INTO xorm_acl_entry VALUES ('{{\"Match\": {{\"Name\": \"a\"}}, \"Actions\": [\"{actions}\"]}}', 10000); \
             COMMIT"
        ),
    );
}

#[test]
fn ten_thousand_rules_of_a_database_are_swapped_under_load() {
    let postgres = Postgres::start();
    postgres.run(
        "postgres",
        "CREATE TABLE xorm_acl_entry (acl_entry JSON, seq BIGINT); \
         CREATE ROLE reader LOGIN PASSWORD 'secret'; GRANT SELECT ON xorm_acl_entry TO reader",
    );
    replace_rules(&postgres, "pull");
    let folder = tempfile::tempdir().unwrap();
    let token = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let config = format!(
        "server: {{addr: '@addr@'}}\n\
         token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         users: {{'': {{}}}}\n\
         acl_xorm: {{database_type: postgres, cache_ttl: 1s, timeout: 60s, \
         conn_string: 'host=127.0.0.1 port={} user=reader password=secret dbname=postgres'}}\n",
        token.certificate.display(),
        token.key.display(),
        postgres.port()
    );
    let mut server = Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), &config);
    server.wait_for_log("rules were loaded");

    // Of two sets in part, a client would be granted both actions or none.
    let grants = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let of = |action: &str| match action {
        "repository:a:pull" => &grants[0],
        "repository:a:push" => &grants[1],
        other => panic!("a client was granted {other:?}"),
    };
    let (done, address) = (AtomicBool::new(false), server.host_port());
    std::thread::scope(|scope| {
        let client = || {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let answer = get(&address, "/auth?service=s&scope=repository:a:pull,push");
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    of(answer.json()["scope"].as_str().unwrap()).fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| client()).collect();
        for action in ["push", "pull", "push"] {
            replace_rules(&postgres, action);
            let granted = of(&format!("repository:a:{action}"));
            // Until clients are answered by the new rules.
            let before = granted.load(Ordering::SeqCst);
            while granted.load(Ordering::SeqCst) < before + 10 * CLIENTS {
                assert!(clients.iter().all(|client| !client.is_finished()));
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}
