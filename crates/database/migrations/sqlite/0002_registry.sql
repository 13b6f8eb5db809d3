-- The content of a registry. Times are seconds since the Unix epoch. A digest is one byte for the algorithm (1: SHA-256,
-- 2: SHA-512) and the hash, so that it sorts as its text does. Names and tags compare as bytes.

CREATE TABLE repositories (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name      TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    -- Counts changes of its manifests and tags. Collection does what it planned only if the count is the same.
    version   INTEGER NOT NULL DEFAULT 0,
    -- How many manifests it has; triggers count them.
    manifests INTEGER NOT NULL DEFAULT 0 CHECK (manifests >= 0)
) STRICT;

-- For the catalog: a page is one range of this index.
CREATE INDEX repositories_listed ON repositories (name) WHERE manifests > 0;

CREATE TABLE manifests (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    repository INTEGER NOT NULL REFERENCES repositories,
    digest     BLOB    NOT NULL CHECK (length(digest) IN (33, 65)),
    media_type TEXT    NOT NULL,
    subject    BLOB             CHECK (length(subject) IN (33, 65)),
    -- Collection keeps it for a grace time after this.
    leased_at  INTEGER NOT NULL,
    -- Last, so that the rest of a row can be read without it.
    bytes      BLOB    NOT NULL,
    UNIQUE (repository, digest)
) STRICT;

CREATE TRIGGER manifest_counted AFTER INSERT ON manifests BEGIN
    UPDATE repositories SET manifests = manifests + 1 WHERE id = new.repository;
END;

CREATE TRIGGER manifest_uncounted AFTER DELETE ON manifests BEGIN
    UPDATE repositories SET manifests = manifests - 1 WHERE id = old.repository;
END;

CREATE TABLE tags (
    repository INTEGER NOT NULL REFERENCES repositories,
    name       TEXT    NOT NULL CHECK (name <> ''),
    manifest   INTEGER NOT NULL REFERENCES manifests ON DELETE CASCADE,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX tags_by_manifest ON tags (manifest);

-- What a manifest refers to. It may be missing: an index may be sparse, and a layer foreign.
CREATE TABLE manifest_references (
    digest     BLOB    NOT NULL CHECK (length(digest) IN (33, 65)),
    repository INTEGER NOT NULL REFERENCES repositories,
    manifest   INTEGER NOT NULL REFERENCES manifests ON DELETE CASCADE,
    PRIMARY KEY (digest, repository, manifest)
) STRICT, WITHOUT ROWID;

CREATE INDEX manifest_references_by_manifest ON manifest_references (manifest, digest);

-- A list of referrers is one range of this table.
CREATE TABLE referrers (
    repository    INTEGER NOT NULL REFERENCES repositories,
    subject       BLOB    NOT NULL CHECK (length(subject) IN (33, 65)),
    digest        BLOB    NOT NULL CHECK (length(digest) IN (33, 65)),
    manifest      INTEGER NOT NULL REFERENCES manifests ON DELETE CASCADE,
    media_type    TEXT    NOT NULL,
    size          INTEGER NOT NULL,
    artifact_type TEXT,
    -- {"key": "value", …}
    annotations   TEXT    NOT NULL,
    PRIMARY KEY (repository, subject, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX referrers_by_type ON referrers (repository, subject, artifact_type, digest);
CREATE INDEX referrers_by_manifest ON referrers (manifest);

-- Data directories of other registries that were adopted. Store 0 is our own and has no row.
CREATE TABLE stores (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id > 0),
    path     TEXT    NOT NULL UNIQUE,
    -- The last repository that was read, if the adoption was interrupted.
    progress TEXT,
    -- Collection removes no file of an adoption that is not final.
    final    INTEGER NOT NULL DEFAULT 0 CHECK (final IN (0, 1))
) STRICT;

CREATE TABLE blobs (
    -- Never used twice. Neither is a key of store 0, which contains it.
    generation INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    digest     BLOB    NOT NULL CHECK (length(digest) IN (33, 65)),
    size       INTEGER NOT NULL CHECK (size >= 0),
    store      INTEGER NOT NULL,
    key        TEXT    NOT NULL,
    -- 0 pending: the file may be missing. 1 live. 2 marked: served, and may be removed by collection.
    -- 3 deleting: not served any more.
    state      INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
    since      INTEGER NOT NULL,
    -- Collection keeps it for a grace time after this.
    leased_at  INTEGER NOT NULL,
    -- The upload of a pending row.
    upload     BLOB             CHECK (length(upload) = 16)
) STRICT;

-- Only one row of a digest can be served.
CREATE UNIQUE INDEX blobs_by_digest ON blobs (digest) WHERE state IN (1, 2);
CREATE INDEX blobs_by_state ON blobs (state, generation) WHERE state <> 1;

-- Which blobs a repository has.
CREATE TABLE links (
    repository INTEGER NOT NULL REFERENCES repositories,
    blob       INTEGER NOT NULL REFERENCES blobs,
    PRIMARY KEY (repository, blob)
) STRICT, WITHOUT ROWID;

CREATE INDEX links_by_blob ON links (blob, repository);

CREATE TABLE uploads (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    repository TEXT    NOT NULL,
    client     TEXT    NOT NULL,
    algorithm  INTEGER NOT NULL CHECK (algorithm IN (1, 2)),
    -- Bytes that are safe on the disk.
    received   INTEGER NOT NULL CHECK (received >= 0),
    moved_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX uploads_by_client ON uploads (client);
CREATE INDEX uploads_by_move ON uploads (moved_at);

-- Holds, which keep collection from removing files, and when they expire.
CREATE TABLE collection_holds (
    id    BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Counts the changes of other processes than the server, which invalidate its cache.
CREATE TABLE foreign_changes (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    count INTEGER NOT NULL
) STRICT;

INSERT INTO foreign_changes VALUES (1, 0);
