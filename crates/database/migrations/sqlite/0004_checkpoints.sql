-- An upload's checkpoint: the state of its hash after the bytes that are safe on the disk, so that nothing is read again
-- after a restart. Without one (an upload from an earlier version) the content is read once more.
ALTER TABLE uploads ADD COLUMN hash BLOB;
-- Counts the checkpoints. A writer with an old count may not write the row.
ALTER TABLE uploads ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;

-- Records of changes for other systems, written in the transaction of the change and removed after delivery.
CREATE TABLE outbox (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    repository TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    payload    BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- What was found in a repository, so that an interrupted adoption reports the right totals.
ALTER TABLE adopted_repositories ADD COLUMN manifests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE adopted_repositories ADD COLUMN tags      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE adopted_repositories ADD COLUMN blobs     INTEGER NOT NULL DEFAULT 0;
