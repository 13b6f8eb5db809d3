-- What happened, when, and who caused it.
CREATE TABLE audit (
    -- Never used twice, so that an export can be continued.
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- In milliseconds.
    at         INTEGER NOT NULL,
    -- manifest_pulled, token_issued, …
    kind       TEXT    NOT NULL,
    -- As it is recorded: it may be a hash. Empty for the anonymous account, and if no client caused it.
    account    TEXT    NOT NULL,
    repository TEXT,
    reference  TEXT,
    digest     TEXT,
    -- The event, as a JSON object. It holds no secret.
    document   TEXT    NOT NULL,
    -- The number of the outbox's record from which it was taken over.
    outbox     INTEGER
) STRICT;

-- Each has the rowid as its last column, so a list is read in its order.
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_account ON audit (account, at);
CREATE INDEX audit_by_repository ON audit (repository, at) WHERE repository IS NOT NULL;
-- The kinds of which there are most are found by time.
CREATE INDEX audit_by_kind ON audit (kind, at)
    WHERE kind NOT IN ('token_issued', 'login_accepted', 'manifest_pulled', 'blob_pulled');
CREATE UNIQUE INDEX audit_by_outbox ON audit (outbox) WHERE outbox IS NOT NULL;

-- The key with which names and addresses are hashed.
CREATE TABLE audit_key (
    number INTEGER NOT NULL PRIMARY KEY CHECK (number = 1),
    key    BLOB    NOT NULL CHECK (length(key) = 32)
) STRICT;

-- Administration is recorded in the transaction of what it tells of.
CREATE TRIGGER administration_recorded AFTER INSERT ON administration BEGIN
    INSERT INTO audit (at, kind, account, document) VALUES (
        NEW.at * 1000, 'administration', CASE NEW.origin WHEN 'api' THEN NEW.actor ELSE '' END,
        json_object(
            'time', strftime('%Y-%m-%dT%H:%M:%SZ', NEW.at, 'unixepoch'), 'event', 'administration',
            'origin', NEW.origin, 'actor', NEW.actor, 'action', NEW.action, 'object', NEW.object,
            'details', json(NEW.details)
        )
    );
END;

INSERT INTO audit (at, kind, account, document)
SELECT at * 1000, 'administration', CASE origin WHEN 'api' THEN actor ELSE '' END,
       json_object(
           'time', strftime('%Y-%m-%dT%H:%M:%SZ', at, 'unixepoch'), 'event', 'administration',
           'origin', origin, 'actor', actor, 'action', action, 'object', object,
           'details', json(details)
       )
FROM administration ORDER BY id;

-- The responses that are kept for an account go with it.
CREATE TRIGGER idempotency_keys_removed AFTER DELETE ON accounts BEGIN
    DELETE FROM idempotency_keys WHERE account = OLD.name;
END;
