-- Everything but the registry's content: sessions, sign-ins, accounts, rules, tokens, logs. As in SQLite, times are seconds
-- since the Unix epoch, truth values are 0 and 1, and names compare as bytes.

-- Refresh tokens. A token itself is never stored, only its SHA-256.
CREATE TABLE refresh_tokens (
    hash         bytea  PRIMARY KEY CHECK (octet_length(hash) = 32),
    -- The id of the session in lists and logs.
    id           text   COLLATE "C" NOT NULL UNIQUE,
    account      text   COLLATE "C" NOT NULL CHECK (account <> ''),
    -- The labels of the account when it was last confirmed: {"label": ["value", …]}.
    labels       text   NOT NULL,
    -- Identifies the credential that opened the session, if the backend can.
    stamp        bytea  CHECK (octet_length(stamp) = 32),
    service      text   COLLATE "C" NOT NULL,
    client_id    text   COLLATE "C" NOT NULL,
    address      text   COLLATE "C" NOT NULL,
    created_at   bigint NOT NULL,
    last_used_at bigint NOT NULL,
    confirmed_at bigint NOT NULL,
    expires_at   bigint NOT NULL,
    revoked_at   bigint,
    -- The backend that accepted the login: its section in the configuration.
    backend      text   COLLATE "C",
    -- The most that its tokens may grant: [{"type": "repository", "name": "app", "actions": ["pull"]}]. NULL is no limit.
    ceiling      text
);

CREATE INDEX refresh_tokens_by_account ON refresh_tokens (account, last_used_at);
CREATE INDEX refresh_tokens_by_page ON refresh_tokens (account, id);
CREATE INDEX refresh_tokens_by_last_use ON refresh_tokens (last_used_at);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- What is kept of users who sign in by a provider's page.
CREATE TABLE sign_ins (
    -- The section of the configuration.
    backend text  COLLATE "C" NOT NULL CHECK (backend <> ''),
    -- record: docker_auth's JSON; passwords: the named passwords; spelling: how a name is written.
    kind    text  COLLATE "C" NOT NULL CHECK (kind IN ('record', 'passwords', 'spelling')),
    account text  COLLATE "C" NOT NULL CHECK (account <> ''),
    content bytea NOT NULL,
    PRIMARY KEY (backend, kind, account)
);

-- Accounts that commands and the API manage.
CREATE TABLE accounts (
    name       text   COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    -- An argon2id hash in PHC format.
    password   text   NOT NULL,
    -- {"team": ["red", "blue"]}
    labels     text   NOT NULL,
    disabled   bigint NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    -- Sessions of an older epoch have ended, although the password is the same.
    epoch      bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    changed_at bigint NOT NULL
);

-- Rules that commands and the API manage.
CREATE TABLE rules (
    -- Never used twice, so that a log names one rule for good.
    number     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The lowest is asked first.
    position   bigint NOT NULL,
    -- {"match": {…}, "actions": […], "comment": "…"}
    rule       text   NOT NULL,
    created_at bigint NOT NULL
);

-- Robots and personal tokens.
CREATE TABLE personal_tokens (
    -- What lists and logs call it.
    id            text   COLLATE "C" PRIMARY KEY,
    kind          text   COLLATE "C" NOT NULL CHECK (kind IN ('personal', 'robot')),
    -- A robot's without `robot+`.
    name          text   COLLATE "C" NOT NULL CHECK (name <> ''),
    -- NULL is the system, which owns robots only.
    owner         text   COLLATE "C" CHECK (owner <> ''),
    -- The owner's backend: its section in the configuration.
    owner_backend text   COLLATE "C",
    -- The most that it may do. NULL is no limit.
    ceiling       text,
    -- Where it may be used from: ["10.0.0.0/8"]; [] is everywhere.
    networks      text   NOT NULL,
    created_at    bigint NOT NULL,
    created_by    text   COLLATE "C" NOT NULL,
    disabled_at   bigint,
    -- Kept for some time, so that its client is told why it is rejected.
    revoked_at    bigint,
    CHECK (kind = 'robot' OR owner IS NOT NULL),
    CHECK (owner IS NULL OR owner_backend IS NOT NULL),
    CHECK (owner IS NOT NULL OR ceiling IS NOT NULL)
);

CREATE UNIQUE INDEX robots_by_name ON personal_tokens (name)
    WHERE kind = 'robot' AND revoked_at IS NULL;
CREATE UNIQUE INDEX personal_tokens_by_name ON personal_tokens (owner, name)
    WHERE kind = 'personal' AND revoked_at IS NULL;
CREATE INDEX personal_tokens_by_owner ON personal_tokens (owner, created_at);
CREATE INDEX personal_tokens_by_revocation ON personal_tokens (revoked_at);

-- The secrets of a robot or a personal token, as their SHA-256: one, or two while it is rotated.
CREATE TABLE personal_token_secrets (
    hash       bytea  PRIMARY KEY CHECK (octet_length(hash) = 32),
    token      text   COLLATE "C" NOT NULL REFERENCES personal_tokens (id) ON DELETE CASCADE,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);

CREATE INDEX personal_token_secrets_by_token ON personal_token_secrets (token, created_at);
CREATE INDEX personal_token_secrets_by_expiry ON personal_token_secrets (expires_at);

-- The last use of each secret. A table of its own, so that a use changes nothing that a server keeps in memory.
CREATE TABLE personal_token_uses (
    hash       bytea  PRIMARY KEY REFERENCES personal_token_secrets (hash) ON DELETE CASCADE,
    used_at    bigint NOT NULL,
    address    text   COLLATE "C" NOT NULL,
    -- The last repository that it was used for.
    repository text   COLLATE "C" NOT NULL
);

-- Logins of devices that a person approves in a browser (RFC 8628).
CREATE TABLE device_logins (
    -- The SHA-256 of the device code, which is never stored.
    hash            bytea  PRIMARY KEY CHECK (octet_length(hash) = 32),
    -- Eight letters, without the hyphen in which they are shown.
    user_code       text   COLLATE "C" NOT NULL UNIQUE CHECK (length(user_code) = 8),
    status          text   COLLATE "C" NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'used')),
    -- What the device says of itself.
    service         text   COLLATE "C" NOT NULL,
    client_id       text   COLLATE "C" NOT NULL,
    device_name     text   COLLATE "C" NOT NULL,
    user_agent      text   COLLATE "C" NOT NULL,
    -- Where it asked from.
    address         text   COLLATE "C" NOT NULL,
    -- What the limit counts; empty if many clients share the address.
    network         text   COLLATE "C" NOT NULL,
    created_at      bigint NOT NULL,
    expires_at      bigint NOT NULL,
    -- The person who has signed in to decide, and the SHA-256 of the secret of the browser.
    browser         bytea  CHECK (octet_length(browser) = 32),
    account         text   COLLATE "C" CHECK (account <> ''),
    labels          text,
    -- What the session keeps of the login: as in `refresh_tokens`.
    stamp           bytea,
    backend         text   COLLATE "C",
    ceiling         text,
    -- How long the session may last; NULL is as long as the configuration says.
    session_seconds bigint,
    CHECK ((browser IS NULL) = (account IS NULL)),
    CHECK ((account IS NULL) = (backend IS NULL)),
    CHECK (status = 'pending' OR account IS NOT NULL)
);

CREATE INDEX device_logins_by_network ON device_logins (network, expires_at);
CREATE INDEX device_logins_by_expiry ON device_logins (expires_at);

-- Creations by the API that a client may send again: who used which Idempotency-Key for what.
CREATE TABLE idempotency_keys (
    -- The SHA-256 of the account and the key.
    id         bytea  PRIMARY KEY CHECK (octet_length(id) = 32),
    account    text   COLLATE "C" NOT NULL,
    -- The SHA-256 of the request.
    request    bytea  NOT NULL CHECK (octet_length(request) = 32),
    -- The response, encrypted. NULL until there is one.
    response   bytea,
    created_at bigint NOT NULL
);

CREATE INDEX idempotency_keys_by_account ON idempotency_keys (account);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Who changed what by a command or by the API, written in the transaction of the change.
CREATE TABLE administration (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         bigint NOT NULL,
    -- command: a user of the server's system. api: an account of the token server.
    origin     text   COLLATE "C" NOT NULL CHECK (origin IN ('command', 'api')),
    actor      text   COLLATE "C" NOT NULL,
    -- user.add, rule.remove, …
    action     text   COLLATE "C" NOT NULL,
    object     text   COLLATE "C" NOT NULL,
    -- What the change was, as a JSON object. It holds no secret.
    details    text   NOT NULL
);

CREATE INDEX administration_by_object ON administration (object, id);
CREATE INDEX administration_by_actor ON administration (actor, id);

-- Counts the changes of what servers keep in memory, so that they notice those of commands and of other servers.
CREATE TABLE change_counters (
    subject text   COLLATE "C" PRIMARY KEY,
    count   bigint NOT NULL
);

INSERT INTO change_counters VALUES ('accounts', 0), ('rules', 0), ('personal_tokens', 0);

CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = TG_ARGV[0];
    RETURN NULL;
END;
$$;

CREATE TRIGGER accounts_changed AFTER INSERT OR UPDATE OR DELETE ON accounts
    FOR EACH ROW EXECUTE FUNCTION count_change('accounts');
CREATE TRIGGER rules_changed AFTER INSERT OR UPDATE OR DELETE ON rules
    FOR EACH ROW EXECUTE FUNCTION count_change('rules');
CREATE TRIGGER personal_tokens_changed AFTER INSERT OR UPDATE OR DELETE ON personal_tokens
    FOR EACH ROW EXECUTE FUNCTION count_change('personal_tokens');
CREATE TRIGGER personal_token_secrets_changed AFTER INSERT OR UPDATE OR DELETE ON personal_token_secrets
    FOR EACH ROW EXECUTE FUNCTION count_change('personal_tokens');

-- Another person may get the name of a removed account, and none of its tokens.
CREATE FUNCTION revoke_tokens_of_removed_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE personal_tokens SET revoked_at = extract(epoch FROM now())::bigint
        WHERE owner = OLD.name AND owner_backend = 'accounts' AND revoked_at IS NULL;
    RETURN NULL;
END;
$$;

CREATE TRIGGER account_removed_with_its_tokens AFTER DELETE ON accounts
    FOR EACH ROW EXECUTE FUNCTION revoke_tokens_of_removed_account();

-- What all servers of this database share. Their keys are derived from the secret.
CREATE TABLE cluster (
    one        bigint      PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    secret     bytea       NOT NULL CHECK (octet_length(secret) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO cluster (secret)
    VALUES (sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

-- Attempts, counted for all servers: the moment at which a source's attempts are forgotten, in microseconds since the Unix
-- epoch. The key is a keyed hash of the source. After a crash of the database, nothing was counted.
CREATE UNLOGGED TABLE attempts (
    key  bytea  PRIMARY KEY CHECK (octet_length(key) = 32),
    full_until bigint NOT NULL
);

CREATE INDEX attempts_by_end ON attempts (full_until);

-- When each device last asked whether its login was approved, and how long it must wait, in milliseconds.
CREATE UNLOGGED TABLE device_polls (
    hash        bytea  PRIMARY KEY CHECK (octet_length(hash) = 32),
    last        bigint NOT NULL,
    wait        bigint NOT NULL
);
