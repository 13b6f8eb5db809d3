-- Refresh tokens. A token itself is never stored, only its SHA-256. Times are seconds since the Unix epoch.
CREATE TABLE refresh_tokens (
    hash         BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    -- The id of the session in lists and logs.
    id           TEXT    NOT NULL UNIQUE,
    account      TEXT    NOT NULL CHECK (account <> ''),
    -- The labels of the account when it was last confirmed: {"label": ["value", …]}.
    labels       TEXT    NOT NULL,
    -- Identifies the credential that opened the session, if the backend can.
    stamp        BLOB             CHECK (length(stamp) = 32),
    service      TEXT    NOT NULL,
    client_id    TEXT    NOT NULL,
    address      TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    confirmed_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    revoked_at   INTEGER
) STRICT, WITHOUT ROWID;

-- For the limit of an account, and for lists.
CREATE INDEX refresh_tokens_by_account ON refresh_tokens (account, last_used_at);
-- For the two kinds of expiry.
CREATE INDEX refresh_tokens_by_last_use ON refresh_tokens (last_used_at);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);
