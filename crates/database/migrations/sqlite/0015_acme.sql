-- Keys and certificates of the server's own TLS, from an ACME server: the account's private key, each host's private key
-- with its chain, the answers to open challenges, and failed attempts. Used when the configuration names no cache_dir.
CREATE TABLE acme_documents (
    name       TEXT    NOT NULL PRIMARY KEY,
    content    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- Which server may change them, and until when, in seconds since the Unix epoch.
CREATE TABLE acme_lease (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    -- Counts the leases. A server with an old count has lost its lease.
    fence      INTEGER NOT NULL,
    until      INTEGER NOT NULL
) STRICT;
