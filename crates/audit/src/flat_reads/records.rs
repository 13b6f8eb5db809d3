//! The records among which reads find theirs.

use database::{Database, DatabaseConnection, params};

/// A tenth of all events is of one repository, and a third of one account. One account has caused many events,
/// and none lately. The tag `latest` of one repository is asked for all the time; it has moved twice. The tags
/// of some repositories have never moved.
const FILL: &str = "WITH RECURSIVE numbers(n) AS (
    SELECT CAST(?1 AS bigint) UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?2
), shapes AS (
    SELECT n, CASE WHEN n IN (7, 5007) THEN 'tag_moved' WHEN n % 10 < 5 THEN 'manifest_pulled'
                   WHEN n % 10 < 7 THEN 'blob_pulled' WHEN n % 10 = 7 THEN 'manifest_pulled'
                   WHEN n % 10 = 8 AND n % 997 < 500 THEN 'tag_moved'
                   WHEN n % 10 = 8 THEN 'manifest_pushed' ELSE 'token_issued' END AS kind,
        CASE WHEN n < 8000 AND n % 2 = 0 THEN 'early' WHEN n % 3 = 0 THEN 'busy'
             ELSE 'robot+ci-' || CAST(n % 499 AS text) END AS account,
        CASE n % 10 WHEN 7 THEN 'library/base'
             ELSE 'team/app-' || CAST(n % 997 AS text) END AS repository,
        CASE n % 10 WHEN 7 THEN 'latest' ELSE '1.' || CAST(n % 7 AS text) END AS tag,
        'sha256:' || substr(CAST(100000000 + CASE WHEN n % 10 <> 7 THEN 10000 + n % 997 * 7 + n % 7
            WHEN n < 5007 THEN 1 ELSE 2 END AS text), 2)
        || '00000000000000000000000000000000000000000000000000000000' AS digest
    FROM numbers
)
INSERT INTO audit (at, kind, account, repository, reference, digest, document)
SELECT 1790000000000 + n * 100, kind, account,
    CASE kind WHEN 'token_issued' THEN NULL ELSE repository END,
    CASE WHEN kind IN ('token_issued', 'blob_pulled') THEN NULL
         WHEN kind <> 'tag_moved' AND n % 4 = 0 THEN digest ELSE tag END,
    CASE kind WHEN 'token_issued' THEN NULL ELSE digest END,
    '{\"time\":\"2026-11-30T00:00:00Z\",\"account\":\"' || account
    || '\",\"address\":\"192.0.2.17\",\"user_agent\":\"containerd/1.7.22\",\"event\":\"' || kind
    || '\",\"granted\":\"repository:' || repository || ':pull\",\"rules\":\"wharfinger.yml:12\",'
    || '\"media_type\":\"application/vnd.oci.image.manifest.v1+json\"}'
FROM shapes";

/// How many events one statement makes. A statement must end in time.
const FILLED_AT_ONCE: i64 = 2_000;

/// Adds the records from one number to before another.
pub(super) async fn fill(database: &Database, from: i64, to: i64) {
    let mut begin = from;
    while begin < to {
        let end = to.min(begin + FILLED_AT_ONCE);
        let write = database.write(move |connection: &DatabaseConnection<'_>| {
            connection.execute(FILL, params![begin, end])
        });
        let filled = write.await.unwrap();
        assert_eq!(i64::try_from(filled).unwrap(), end - begin);
        begin = end;
    }
    if let Some(postgres) = database.postgres() {
        postgres.query("ANALYZE audit", &[]).await.unwrap();
    }
}
