-- Whether an adoption has come to its end; only then can it be declared final. Of one that was not declared final nobody
-- remembers whether it had: it is run once more. A path is absolute, or relative to the folder that our own content lies in.
ALTER TABLE stores ADD COLUMN complete INTEGER NOT NULL DEFAULT 0 CHECK (complete IN (0, 1));
UPDATE stores SET complete = final;

-- The repositories that were read, for as long as an adoption is under way.
ALTER TABLE stores DROP COLUMN progress;
CREATE TABLE adopted_repositories (
    store INTEGER NOT NULL REFERENCES stores ON DELETE CASCADE,
    name  TEXT    NOT NULL CHECK (name <> ''),
    PRIMARY KEY (store, name)
) STRICT, WITHOUT ROWID;
