-- Whether an adoption is complete; only then it can be final. For an older adoption that is not final this is unknown, so it
-- is run again. A path is absolute, or relative to the directory of our own content.
ALTER TABLE stores ADD COLUMN complete INTEGER NOT NULL DEFAULT 0 CHECK (complete IN (0, 1));
UPDATE stores SET complete = final;

-- The repositories that were read, until the adoption is complete.
ALTER TABLE stores DROP COLUMN progress;
CREATE TABLE adopted_repositories (
    store INTEGER NOT NULL REFERENCES stores ON DELETE CASCADE,
    name  TEXT    NOT NULL CHECK (name <> ''),
    PRIMARY KEY (store, name)
) STRICT, WITHOUT ROWID;
