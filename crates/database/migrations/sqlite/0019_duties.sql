-- When work that a server does again and again was last done, so that a restart does not delay it.
CREATE TABLE duties (
    name    TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
    done_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
