-- What became of tags: a row for each time that one was made, moved or removed, written in the transaction of the change. It
-- outlives its repository.
CREATE TABLE tag_history (
    -- Never used twice, so that a page can continue. The oldest is the lowest.
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    repository  TEXT    NOT NULL CHECK (repository <> ''),
    tag         TEXT    NOT NULL CHECK (tag <> ''),
    at          INTEGER NOT NULL,
    -- What it pointed at before. NULL: it was made.
    from_digest BLOB             CHECK (length(from_digest) IN (33, 65)),
    -- What it points at since. NULL: it was removed.
    to_digest   BLOB             CHECK (length(to_digest) IN (33, 65)),
    -- As it is recorded: it may be a hash. Empty for the anonymous account.
    account     TEXT    NOT NULL,
    request_id  TEXT    NOT NULL
) STRICT;

CREATE INDEX tag_history_by_tag ON tag_history (repository, tag, id);

-- Rules that make tags immutable, which commands and the API manage.
CREATE TABLE immutable_tag_rules (
    -- Never used twice, so that a log names one rule for good.
    number      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- Patterns.
    repository  TEXT    NOT NULL CHECK (repository <> ''),
    tag         TEXT    NOT NULL CHECK (tag <> ''),
    -- Patterns of tags that the rule leaves alone, as a JSON array.
    exceptions  TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

INSERT INTO change_counters VALUES ('immutable_tags', 0);

CREATE TRIGGER immutable_tag_rule_added AFTER INSERT ON immutable_tag_rules BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'immutable_tags';
END;
CREATE TRIGGER immutable_tag_rule_changed AFTER UPDATE ON immutable_tag_rules BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'immutable_tags';
END;
CREATE TRIGGER immutable_tag_rule_removed AFTER DELETE ON immutable_tag_rules BEGIN
    UPDATE change_counters SET count = count + 1 WHERE subject = 'immutable_tags';
END;
