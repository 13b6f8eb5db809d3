-- Accounts that commands and the API manage.
CREATE TABLE accounts (
    name       TEXT    NOT NULL PRIMARY KEY CHECK (name <> ''),
    -- An argon2id hash in PHC format.
    password   TEXT    NOT NULL,
    -- {"team": ["red", "blue"]}
    labels     TEXT    NOT NULL,
    disabled   INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    -- Sessions of an older epoch have ended, although the password is the same.
    epoch      INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Rules that commands and the API manage.
CREATE TABLE rules (
    -- Never used twice, so that a log names one rule for good.
    number     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- The lowest is asked first.
    position   INTEGER NOT NULL,
    -- {"match": {…}, "actions": […], "comment": "…"}
    rule       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Counts the changes of what a server keeps in memory, so that it notices those of commands.
CREATE TABLE change_counters (
    subject TEXT    NOT NULL PRIMARY KEY,
    count   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO change_counters VALUES ('accounts', 0), ('rules', 0);

CREATE TRIGGER account_added AFTER INSERT ON accounts BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'accounts';
END;
CREATE TRIGGER account_changed AFTER UPDATE ON accounts BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'accounts';
END;
CREATE TRIGGER account_removed AFTER DELETE ON accounts BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'accounts';
END;
CREATE TRIGGER rule_added AFTER INSERT ON rules BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'rules';
END;
CREATE TRIGGER rule_changed AFTER UPDATE ON rules BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'rules';
END;
CREATE TRIGGER rule_removed AFTER DELETE ON rules BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'rules';
END;

-- Who changed what by a command or by the API, written in the transaction of the change.
CREATE TABLE administration (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    -- command: a user of the server's system. api: an account of the token server.
    origin     TEXT    NOT NULL CHECK (origin IN ('command', 'api')),
    actor      TEXT    NOT NULL,
    -- user.add, rule.remove, …
    action     TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    -- What the change was, as a JSON object. It holds no secret.
    details    TEXT    NOT NULL
) STRICT;

CREATE INDEX administration_by_object ON administration (object, id);
CREATE INDEX administration_by_actor ON administration (actor, id);
