-- What retention needs: when manifests were pulled, and what is left of the tags that it has removed.

-- A pull by any name counts. Written once an hour at most.
CREATE TABLE manifest_pulls (
    manifest  INTEGER NOT NULL PRIMARY KEY REFERENCES manifests ON DELETE CASCADE,
    pulled_at INTEGER NOT NULL
) STRICT;

-- Since when pulls are recorded without a gap. No row: they never were.
CREATE TABLE pull_recording (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    since INTEGER NOT NULL
) STRICT;

-- A removed tag. Until `expires_at` it can be restored, and collection keeps its manifest.
CREATE TABLE tag_tombstones (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    repository INTEGER NOT NULL REFERENCES repositories,
    name       TEXT    NOT NULL CHECK (name <> ''),
    manifest   INTEGER NOT NULL REFERENCES manifests ON DELETE CASCADE,
    -- When the tag was last pushed.
    pushed_at  INTEGER NOT NULL,
    removed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    reason     TEXT    NOT NULL,
    -- Whether collection then removes the manifest even if it keeps manifests without a tag.
    releases   INTEGER NOT NULL CHECK (releases IN (0, 1))
) STRICT;

CREATE INDEX tag_tombstones_by_repository ON tag_tombstones (repository, id);
CREATE INDEX tag_tombstones_by_manifest ON tag_tombstones (manifest, expires_at);
