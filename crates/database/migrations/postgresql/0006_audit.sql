-- What happened, when, and who caused it: see the table of SQLite.
CREATE TABLE audit (
    id         bigint NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         bigint NOT NULL,
    kind       text   NOT NULL COLLATE "C",
    account    text   NOT NULL COLLATE "C",
    repository text   COLLATE "C",
    reference  text   COLLATE "C",
    digest     text   COLLATE "C",
    document   text   NOT NULL,
    outbox     bigint
);

-- Numbers become visible in their order: one transaction at a time draws them, until it ends. A reader goes on after the last
-- number that it has seen, and would miss one that became visible later.
CREATE FUNCTION order_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1465401681);
    RETURN NULL;
END $$;

CREATE TRIGGER audit_in_order BEFORE INSERT ON audit FOR EACH STATEMENT EXECUTE FUNCTION order_audit();

CREATE INDEX audit_by_time ON audit (at, id);
CREATE INDEX audit_by_account ON audit (account, at, id);
CREATE INDEX audit_by_repository ON audit (repository, at, id) WHERE repository IS NOT NULL;
CREATE INDEX audit_by_kind ON audit (kind, at, id)
    WHERE kind NOT IN ('token_issued', 'login_accepted', 'manifest_pulled', 'blob_pulled');
CREATE UNIQUE INDEX audit_by_outbox ON audit (outbox) WHERE outbox IS NOT NULL;

CREATE TABLE audit_key (
    number bigint NOT NULL PRIMARY KEY CHECK (number = 1),
    key    bytea  NOT NULL CHECK (length(key) = 32)
);

-- Administration is recorded in the transaction of what it tells of.
CREATE FUNCTION record_administration() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (at, kind, account, document) VALUES (
        NEW.at * 1000, 'administration', CASE NEW.origin WHEN 'api' THEN NEW.actor ELSE '' END,
        json_build_object(
            'time', to_char(to_timestamp(NEW.at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            'event', 'administration', 'origin', NEW.origin, 'actor', NEW.actor,
            'action', NEW.action, 'object', NEW.object, 'details', NEW.details::json
        )::text
    );
    RETURN NULL;
END $$;

CREATE TRIGGER administration_recorded AFTER INSERT ON administration
    FOR EACH ROW EXECUTE FUNCTION record_administration();

-- The responses that are kept for an account go with it.
CREATE FUNCTION remove_idempotency_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM idempotency_keys WHERE account = OLD.name;
    RETURN NULL;
END $$;

CREATE TRIGGER idempotency_keys_removed AFTER DELETE ON accounts
    FOR EACH ROW EXECUTE FUNCTION remove_idempotency_keys();
