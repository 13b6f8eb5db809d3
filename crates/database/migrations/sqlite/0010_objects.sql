-- Content in an object store, which chooses the keys of blobs.

-- What the store has stored for an upload, as JSON: the key that its blob will have, the names of all objects, and what the
-- store needs to continue.
ALTER TABLE uploads ADD COLUMN objects TEXT;

-- Objects that uploads have left behind. Collection removes them.
CREATE TABLE unused_objects (
    name  TEXT    NOT NULL PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The object store that has the content, by the identity that it has in an object of its own. No row: content is in files.
CREATE TABLE content_store (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    identity TEXT    NOT NULL CHECK (identity <> '')
) STRICT;
