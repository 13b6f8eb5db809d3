-- Creations by the API that a client may send again: who used which Idempotency-Key for what.
CREATE TABLE idempotency_keys (
    -- The SHA-256 of the account and the key.
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    account    TEXT    NOT NULL,
    -- The SHA-256 of the request.
    request    BLOB    NOT NULL CHECK (length(request) = 32),
    -- The response, encrypted: it may hold a secret, and neither its key nor the Idempotency-Key is in
    -- the database. NULL until there is one.
    response   BLOB,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_account ON idempotency_keys (account);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
