-- What repositories use, counted for the prefixes of quotas. Triggers count, so whatever changes the rows is counted. Without a
-- quota, all of these tables are empty.

-- A prefix is the name of a repository, and covers it and all whose names go on with `/`. '' covers all.
CREATE TABLE quota_prefixes (
    id     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    prefix TEXT    NOT NULL UNIQUE,
    -- Each blob once, and each manifest of each repository.
    bytes  INTEGER NOT NULL,
    tags   INTEGER NOT NULL
) STRICT;

-- Which prefixes cover a repository.
CREATE TABLE quota_repositories (
    repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE,
    prefix     INTEGER NOT NULL REFERENCES quota_prefixes ON DELETE CASCADE,
    PRIMARY KEY (repository, prefix)
) STRICT, WITHOUT ROWID;

CREATE INDEX quota_repositories_by_prefix ON quota_repositories (prefix, repository);

-- How many repositories of a prefix have a blob, and how many bytes were counted for it.
CREATE TABLE quota_blobs (
    prefix       INTEGER NOT NULL REFERENCES quota_prefixes ON DELETE CASCADE,
    blob         INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    repositories INTEGER NOT NULL,
    PRIMARY KEY (prefix, blob)
) STRICT, WITHOUT ROWID;

-- The beginnings of the name that end before a slash are looked up, however many prefixes there are.
CREATE TRIGGER quota_repository_added AFTER INSERT ON repositories WHEN EXISTS (SELECT 1 FROM quota_prefixes) BEGIN
    INSERT INTO quota_repositories (repository, prefix)
    SELECT new.id, id FROM quota_prefixes WHERE prefix IN (
        WITH RECURSIVE beginnings (beginning, rest) AS (
            VALUES ('', new.name || '/')
            UNION ALL
            SELECT substr(new.name, 1, length(new.name) - length(rest) + instr(rest, '/')), substr(rest, instr(rest, '/') + 1)
            FROM beginnings WHERE rest <> ''
        )
        SELECT beginning FROM beginnings
    );
END;

CREATE TRIGGER quota_manifest_added AFTER INSERT ON manifests
WHEN EXISTS (SELECT 1 FROM quota_repositories WHERE repository = new.repository) BEGIN
    UPDATE quota_prefixes SET bytes = bytes + length(new.bytes)
    WHERE id IN (SELECT prefix FROM quota_repositories WHERE repository = new.repository);
END;

CREATE TRIGGER quota_manifest_removed AFTER DELETE ON manifests
WHEN EXISTS (SELECT 1 FROM quota_repositories WHERE repository = old.repository) BEGIN
    UPDATE quota_prefixes SET bytes = bytes - length(old.bytes)
    WHERE id IN (SELECT prefix FROM quota_repositories WHERE repository = old.repository);
END;

CREATE TRIGGER quota_tag_added AFTER INSERT ON tags
WHEN EXISTS (SELECT 1 FROM quota_repositories WHERE repository = new.repository) BEGIN
    UPDATE quota_prefixes SET tags = tags + 1
    WHERE id IN (SELECT prefix FROM quota_repositories WHERE repository = new.repository);
END;

CREATE TRIGGER quota_tag_removed AFTER DELETE ON tags
WHEN EXISTS (SELECT 1 FROM quota_repositories WHERE repository = old.repository) BEGIN
    UPDATE quota_prefixes SET tags = tags - 1
    WHERE id IN (SELECT prefix FROM quota_repositories WHERE repository = old.repository);
END;

-- A blob counts while a repository of the prefix has it.
CREATE TRIGGER quota_blob_added AFTER INSERT ON links
WHEN EXISTS (SELECT 1 FROM quota_repositories WHERE repository = new.repository) BEGIN
    UPDATE quota_prefixes SET bytes = bytes + (SELECT size FROM blobs WHERE generation = new.blob)
    WHERE id IN (SELECT prefix FROM quota_repositories WHERE repository = new.repository)
        AND NOT EXISTS (SELECT 1 FROM quota_blobs q WHERE q.prefix = quota_prefixes.id AND q.blob = new.blob);
    INSERT INTO quota_blobs (prefix, blob, size, repositories)
    SELECT q.prefix, new.blob, b.size, 1 FROM quota_repositories q JOIN blobs b ON b.generation = new.blob
    WHERE q.repository = new.repository
    ON CONFLICT (prefix, blob) DO UPDATE SET repositories = repositories + 1;
END;

CREATE TRIGGER quota_blob_removed AFTER DELETE ON links
WHEN EXISTS (SELECT 1 FROM quota_repositories WHERE repository = old.repository) BEGIN
    UPDATE quota_blobs SET repositories = repositories - 1
    WHERE blob = old.blob AND prefix IN (SELECT prefix FROM quota_repositories WHERE repository = old.repository);
    UPDATE quota_prefixes
    SET bytes = bytes - (SELECT size FROM quota_blobs q WHERE q.prefix = quota_prefixes.id AND q.blob = old.blob)
    WHERE id IN (
        SELECT q.prefix FROM quota_repositories r JOIN quota_blobs q ON q.prefix = r.prefix AND q.blob = old.blob
        WHERE r.repository = old.repository AND q.repositories <= 0
    );
    DELETE FROM quota_blobs
    WHERE blob = old.blob AND repositories <= 0
        AND prefix IN (SELECT prefix FROM quota_repositories WHERE repository = old.repository);
END;

-- A blob whose content was damaged is replaced.
CREATE TRIGGER quota_blob_replaced AFTER UPDATE OF blob ON links
WHEN EXISTS (SELECT 1 FROM quota_repositories WHERE repository = new.repository) BEGIN
    UPDATE quota_blobs SET repositories = repositories - 1
    WHERE blob = old.blob AND prefix IN (SELECT prefix FROM quota_repositories WHERE repository = old.repository);
    UPDATE quota_prefixes
    SET bytes = bytes - (SELECT size FROM quota_blobs q WHERE q.prefix = quota_prefixes.id AND q.blob = old.blob)
    WHERE id IN (
        SELECT q.prefix FROM quota_repositories r JOIN quota_blobs q ON q.prefix = r.prefix AND q.blob = old.blob
        WHERE r.repository = old.repository AND q.repositories <= 0
    );
    DELETE FROM quota_blobs
    WHERE blob = old.blob AND repositories <= 0
        AND prefix IN (SELECT prefix FROM quota_repositories WHERE repository = old.repository);
    UPDATE quota_prefixes SET bytes = bytes + (SELECT size FROM blobs WHERE generation = new.blob)
    WHERE id IN (SELECT prefix FROM quota_repositories WHERE repository = new.repository)
        AND NOT EXISTS (SELECT 1 FROM quota_blobs q WHERE q.prefix = quota_prefixes.id AND q.blob = new.blob);
    INSERT INTO quota_blobs (prefix, blob, size, repositories)
    SELECT q.prefix, new.blob, b.size, 1 FROM quota_repositories q JOIN blobs b ON b.generation = new.blob
    WHERE q.repository = new.repository
    ON CONFLICT (prefix, blob) DO UPDATE SET repositories = repositories + 1;
END;
