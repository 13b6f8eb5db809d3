-- Robots and personal tokens. Times are seconds since the Unix epoch.
CREATE TABLE personal_tokens (
    -- What lists and logs call it.
    id            TEXT    NOT NULL PRIMARY KEY,
    kind          TEXT    NOT NULL CHECK (kind IN ('personal', 'robot')),
    -- A robot's without `robot+`.
    name          TEXT    NOT NULL CHECK (name <> ''),
    -- NULL is the system, which owns robots only.
    owner         TEXT             CHECK (owner <> ''),
    -- The owner's backend: its section in the configuration.
    owner_backend TEXT,
    -- The most that it may do: [{"type": "repository", "name": "app/*", "actions": ["pull"]}].
    -- NULL is no limit.
    ceiling       TEXT,
    -- Where it may be used from: ["10.0.0.0/8"]; [] is everywhere.
    networks      TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    created_by    TEXT    NOT NULL,
    disabled_at   INTEGER,
    -- Kept for some time, so that its client is told why it is rejected.
    revoked_at    INTEGER,
    CHECK (kind = 'robot' OR owner IS NOT NULL),
    CHECK (owner IS NULL OR owner_backend IS NOT NULL),
    CHECK (owner IS NOT NULL OR ceiling IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX robots_by_name ON personal_tokens (name)
    WHERE kind = 'robot' AND revoked_at IS NULL;
CREATE UNIQUE INDEX personal_tokens_by_name ON personal_tokens (owner, name)
    WHERE kind = 'personal' AND revoked_at IS NULL;
CREATE INDEX personal_tokens_by_owner ON personal_tokens (owner, created_at);
CREATE INDEX personal_tokens_by_revocation ON personal_tokens (revoked_at);

-- The secrets of a robot or a personal token: one, or two while it is rotated. A secret itself is
-- never stored, only its SHA-256.
CREATE TABLE personal_token_secrets (
    hash       BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    token      TEXT    NOT NULL REFERENCES personal_tokens (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX personal_token_secrets_by_token ON personal_token_secrets (token, created_at);
CREATE INDEX personal_token_secrets_by_expiry ON personal_token_secrets (expires_at);

-- The last use of each secret. A table of its own, so that a use changes nothing that a server keeps
-- in memory.
CREATE TABLE personal_token_uses (
    hash       BLOB    NOT NULL PRIMARY KEY REFERENCES personal_token_secrets (hash) ON DELETE CASCADE,
    used_at    INTEGER NOT NULL,
    address    TEXT    NOT NULL,
    -- The last repository that it was used for.
    repository TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO change_counters VALUES ('personal_tokens', 0);

CREATE TRIGGER personal_token_added AFTER INSERT ON personal_tokens BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'personal_tokens';
END;
CREATE TRIGGER personal_token_changed AFTER UPDATE ON personal_tokens BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'personal_tokens';
END;
CREATE TRIGGER personal_token_removed AFTER DELETE ON personal_tokens BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'personal_tokens';
END;
CREATE TRIGGER personal_token_secret_added AFTER INSERT ON personal_token_secrets BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'personal_tokens';
END;
CREATE TRIGGER personal_token_secret_changed AFTER UPDATE ON personal_token_secrets BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'personal_tokens';
END;
CREATE TRIGGER personal_token_secret_removed AFTER DELETE ON personal_token_secrets BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'personal_tokens';
END;

-- Another person may get the name of a removed account, and none of its tokens.
CREATE TRIGGER account_removed_with_its_tokens AFTER DELETE ON accounts BEGIN
    UPDATE personal_tokens SET revoked_at = unixepoch()
        WHERE owner = OLD.name AND owner_backend = 'accounts' AND revoked_at IS NULL;
END;
