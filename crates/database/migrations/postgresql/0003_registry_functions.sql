-- The functions of the registry's tables. 0002_registry.sql has the rules that they follow.

-- Repositories ---------------------------------------------------------------------------------------------------------------

-- The number of a repository, which is created if it is missing. It cannot be removed before the end of the transaction.
CREATE FUNCTION make_repository_1(p_name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
BEGIN
    LOOP
        SELECT id INTO v_id FROM repositories WHERE name = p_name FOR KEY SHARE;
        IF FOUND THEN
            RETURN v_id;
        END IF;
        INSERT INTO repositories (name) VALUES (p_name) ON CONFLICT (name) DO NOTHING RETURNING id INTO v_id;
        IF FOUND THEN
            RETURN v_id;
        END IF;
    END LOOP;
END $$;

-- Counts a change of a repository, which is created if it is missing, and locks it.
CREATE FUNCTION change_repository_1(p_name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
BEGIN
    UPDATE repositories SET version = version + 1 WHERE name = p_name RETURNING id INTO v_id;
    IF NOT FOUND THEN
        INSERT INTO repositories (name) VALUES (p_name)
        ON CONFLICT (name) DO UPDATE SET version = repositories.version + 1 RETURNING id INTO v_id;
    END IF;
    RETURN v_id;
END $$;

-- Counts a change of the repositories that have one of these blobs.
CREATE FUNCTION change_holders_1(p_blobs bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_ids bigint[];
BEGIN
    SELECT array_agg(id) INTO v_ids FROM (
        SELECT r.id FROM repositories r WHERE r.id IN (SELECT l.repository FROM links l WHERE l.blob = ANY (p_blobs))
        ORDER BY r.id FOR NO KEY UPDATE
    ) locked;
    UPDATE repositories SET version = version + 1, changed = pg_current_xact_id() WHERE id = ANY (v_ids);
END $$;

-- Writes the records of a change.
CREATE FUNCTION write_outbox_1(p_at timestamptz, p_repository text, p_kinds text[], p_payloads bytea[]) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO outbox (repository, kind, payload, created_at)
    SELECT p_repository, kind, payload, p_at FROM unnest(p_kinds, p_payloads) WITH ORDINALITY AS record (kind, payload, number)
    ORDER BY number
$$;

-- Manifests ------------------------------------------------------------------------------------------------------------------

-- Stores a manifest, or renews the lease of an existing one. The caller has counted the change.
CREATE FUNCTION store_manifest_1(
    p_at timestamptz, p_repository bigint, p_digest bytea, p_media_type text, p_subject bytea, p_bytes bytea,
    p_references bytea[], p_artifact_type text, p_annotations text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
    v_leased_at timestamptz;
BEGIN
    SELECT id, leased_at INTO v_id, v_leased_at FROM manifests WHERE repository = p_repository AND digest = p_digest;
    IF FOUND THEN
        IF v_leased_at < p_at THEN
            UPDATE manifests SET leased_at = p_at WHERE id = v_id;
        END IF;
        RETURN v_id;
    END IF;
    INSERT INTO manifests (repository, digest, media_type, subject, leased_at, bytes)
    VALUES (p_repository, p_digest, p_media_type, p_subject, p_at, p_bytes) RETURNING id INTO v_id;
    INSERT INTO manifest_references (digest, repository, manifest)
    SELECT DISTINCT needed, p_repository, v_id FROM unnest(p_references) AS needed;
    IF p_subject IS NOT NULL THEN
        INSERT INTO referrers (repository, subject, digest, manifest, media_type, size, artifact_type, annotations)
        VALUES (p_repository, p_subject, p_digest, v_id, p_media_type, octet_length(p_bytes), p_artifact_type, p_annotations);
    END IF;
    RETURN v_id;
END $$;

-- Pushes a manifest. `p_needed` are the blobs that the repository must have, each once. If it lacks some, fails with WH001, and
-- the message ends with the positions of these in `p_needed`, at most 100. Returns whether a tag has moved.
CREATE FUNCTION push_manifest_1(
    p_at timestamptz, p_name text, p_digest bytea, p_media_type text, p_subject bytea, p_bytes bytea, p_references bytea[],
    p_artifact_type text, p_annotations text, p_needed bytea[], p_may_lack boolean, p_tags text[], p_kinds text[],
    p_payloads bytea[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
    v_repository bigint := change_repository_1(p_name);
    v_manifest bigint;
    v_moved boolean := false;
    v_marked bigint[];
    v_missing text;
BEGIN
    -- A new snapshot: a blob that is live in it stays, because collection waits for the end of this transaction.
    IF cardinality(p_needed) > 0 THEN
        SELECT array_agg(b.generation) INTO v_marked
        FROM blobs b JOIN links l ON l.repository = v_repository AND l.blob = b.generation
        WHERE b.digest = ANY (p_needed) AND b.state = 2;
        IF v_marked IS NOT NULL THEN
            PERFORM 1 FROM blobs WHERE generation = ANY (v_marked) ORDER BY generation FOR NO KEY UPDATE;
            UPDATE blobs SET state = 1, since = v_at, leased_at = greatest(leased_at, v_at), horizon = NULL
            WHERE generation = ANY (v_marked) AND state = 2;
        END IF;
        IF NOT p_may_lack THEN
            SELECT string_agg(number::text, ',' ORDER BY number) INTO v_missing FROM (
                SELECT number FROM unnest(p_needed) WITH ORDINALITY AS needed (digest, number)
                WHERE NOT EXISTS (
                    SELECT 1 FROM blobs b JOIN links l ON l.repository = v_repository AND l.blob = b.generation
                    WHERE b.digest = needed.digest AND b.state IN (1, 2)
                ) ORDER BY number LIMIT 100
            ) missing;
            IF v_missing IS NOT NULL THEN
                RAISE EXCEPTION 'the repository lacks the blobs %', v_missing USING ERRCODE = 'WH001';
            END IF;
        END IF;
    END IF;
    v_manifest := store_manifest_1(
        v_at, v_repository, p_digest, p_media_type, p_subject, p_bytes, p_references, p_artifact_type, p_annotations);
    IF cardinality(p_tags) > 0 THEN
        SELECT EXISTS (
            SELECT 1 FROM tags WHERE repository = v_repository AND name = ANY (p_tags) AND manifest <> v_manifest
        ) INTO v_moved;
        IF v_moved THEN
            UPDATE repositories SET changed = pg_current_xact_id() WHERE id = v_repository;
        END IF;
        INSERT INTO tags (repository, name, manifest, updated_at)
        SELECT DISTINCT v_repository, tag, v_manifest, v_at FROM unnest(p_tags) AS tag
        ON CONFLICT (repository, name) DO UPDATE SET manifest = excluded.manifest, updated_at = excluded.updated_at;
    END IF;
    IF cardinality(p_kinds) > 0 THEN
        PERFORM write_outbox_1(v_at, p_name, p_kinds, p_payloads);
    END IF;
    RETURN v_moved;
END $$;

-- Removes a manifest. Returns its tags. Fails with WH002 for an unknown repository, WH003 for an unknown manifest.
CREATE FUNCTION remove_manifest_1(p_at timestamptz, p_name text, p_digest bytea, p_kinds text[], p_payloads bytea[])
RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    v_repository bigint;
    v_manifest bigint;
    v_tags text[];
BEGIN
    UPDATE repositories SET version = version + 1, changed = pg_current_xact_id() WHERE name = p_name
    RETURNING id INTO v_repository;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the repository is unknown' USING ERRCODE = 'WH002';
    END IF;
    SELECT id INTO v_manifest FROM manifests WHERE repository = v_repository AND digest = p_digest;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the manifest is unknown' USING ERRCODE = 'WH003';
    END IF;
    SELECT array_agg(name) INTO v_tags FROM tags WHERE manifest = v_manifest;
    -- Tags, references and the entry in a list of referrers go with it.
    DELETE FROM manifests WHERE id = v_manifest;
    PERFORM write_outbox_1(coalesce(p_at, now()), p_name, p_kinds, p_payloads);
    RETURN coalesce(v_tags, '{}');
END $$;

-- Removes a tag. Fails as remove_manifest_1 does.
CREATE FUNCTION untag_1(p_at timestamptz, p_name text, p_tag text, p_kinds text[], p_payloads bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_repository bigint;
BEGIN
    UPDATE repositories SET version = version + 1, changed = pg_current_xact_id() WHERE name = p_name
    RETURNING id INTO v_repository;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the repository is unknown' USING ERRCODE = 'WH002';
    END IF;
    DELETE FROM tags WHERE repository = v_repository AND name = p_tag;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the manifest is unknown' USING ERRCODE = 'WH003';
    END IF;
    PERFORM write_outbox_1(coalesce(p_at, now()), p_name, p_kinds, p_payloads);
END $$;

-- Renews the lease of a manifest, if it still exists. What collection has planned does not count any more.
CREATE FUNCTION lease_manifest_1(p_at timestamptz, p_repository bigint, p_manifest bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE repositories SET version = version + 1 WHERE id = p_repository;
    UPDATE manifests SET leased_at = greatest(leased_at, coalesce(p_at, now())) WHERE id = p_manifest;
    RETURN FOUND;
END $$;

-- The hot reads, for servers behind a pooler that forbids prepared statements: a function keeps its plan. `p_tag` or `p_digest`
-- is given. No row: the repository is unknown. A row without a manifest: the manifest is.
CREATE FUNCTION find_manifest_1(p_at timestamptz, p_name text, p_tag text, p_digest bytea)
RETURNS TABLE (id bigint, repository bigint, age float8, digest bytea, media_type text, bytes bytea)
LANGUAGE plpgsql STABLE ROWS 1 AS $$
BEGIN
    IF p_tag IS NULL THEN
        RETURN QUERY SELECT m.id, r.id, extract(epoch FROM coalesce(p_at, now()) - m.leased_at)::float8, m.digest, m.media_type, m.bytes
            FROM repositories r LEFT JOIN manifests m ON m.repository = r.id AND m.digest = p_digest WHERE r.name = p_name;
    ELSE
        RETURN QUERY SELECT m.id, r.id, extract(epoch FROM coalesce(p_at, now()) - m.leased_at)::float8, m.digest, m.media_type, m.bytes
            FROM repositories r LEFT JOIN tags t ON t.repository = r.id AND t.name = p_tag LEFT JOIN manifests m ON m.id = t.manifest
            WHERE r.name = p_name;
    END IF;
END $$;

CREATE FUNCTION find_blob_1(p_at timestamptz, p_name text, p_digest bytea)
RETURNS TABLE (digest bytea, size bigint, generation bigint, store bigint, key text, state smallint, age float8)
LANGUAGE plpgsql STABLE ROWS 1 AS $$
BEGIN
    RETURN QUERY SELECT b.digest, b.size, b.generation, b.store, b.key, b.state, extract(epoch FROM coalesce(p_at, now()) - b.leased_at)::float8
        FROM repositories r JOIN blobs b ON b.digest = p_digest AND b.state IN (1, 2)
        JOIN links l ON l.repository = r.id AND l.blob = b.generation WHERE r.name = p_name;
END $$;

-- Blobs ----------------------------------------------------------------------------------------------------------------------

-- Renews the lease of a blob and unmarks it, unless it is live and its lease is younger than `p_renewal`. Returns whether it can
-- be pulled.
CREATE FUNCTION revive_blob_1(p_at timestamptz, p_generation bigint, p_renewal float8) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE blobs SET leased_at = greatest(leased_at, p_at), since = CASE state WHEN 2 THEN p_at ELSE since END, state = 1,
        horizon = NULL
    WHERE generation = p_generation AND state IN (1, 2)
        AND (state = 2 OR leased_at < p_at - make_interval(secs => p_renewal));
    IF FOUND THEN
        RETURN true;
    END IF;
    PERFORM 1 FROM blobs WHERE generation = p_generation AND state IN (1, 2);
    RETURN FOUND;
END $$;

-- Gives a repository a blob, with a lease. Returns false if the blob cannot be pulled any more.
CREATE FUNCTION give_blob_1(p_at timestamptz, p_repository text, p_generation bigint, p_renewal float8) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_repository bigint := make_repository_1(p_repository);
BEGIN
    IF NOT revive_blob_1(p_at, p_generation, p_renewal) THEN
        RETURN false;
    END IF;
    INSERT INTO links (repository, blob) VALUES (v_repository, p_generation) ON CONFLICT DO NOTHING;
    RETURN true;
END $$;

-- A blob of a repository, with a lease. No row: the repository does not have it.
CREATE FUNCTION lease_blob_1(p_at timestamptz, p_name text, p_digest bytea, p_renewal float8)
RETURNS TABLE (digest bytea, size bigint, generation bigint, store bigint, key text) LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    v_blob record;
BEGIN
    PERFORM pg_current_xact_id();
    SELECT b.* INTO v_blob FROM find_blob_1(p_at, p_name, p_digest) b;
    IF NOT FOUND OR NOT revive_blob_1(coalesce(p_at, now()), v_blob.generation, p_renewal) THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT v_blob.digest, v_blob.size, v_blob.generation, v_blob.store, v_blob.key;
END $$;

-- Gives a repository a blob that another one has. No row: the other one does not have it.
CREATE FUNCTION mount_blob_1(p_at timestamptz, p_digest bytea, p_from text, p_to text, p_renewal float8)
RETURNS TABLE (digest bytea, size bigint, generation bigint, store bigint, key text) LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    v_blob record;
BEGIN
    PERFORM pg_current_xact_id();
    SELECT b.* INTO v_blob FROM find_blob_1(p_at, p_from, p_digest) b;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF NOT give_blob_1(coalesce(p_at, now()), p_to, v_blob.generation, p_renewal) THEN
        -- It went meanwhile. The repository that was perhaps created goes with the transaction.
        RAISE EXCEPTION 'the blob is unknown' USING ERRCODE = 'WH004';
    END IF;
    RETURN QUERY SELECT v_blob.digest, v_blob.size, v_blob.generation, v_blob.store, v_blob.key;
END $$;

-- Takes a blob from a repository. Fails with WH004 if the repository does not have it.
CREATE FUNCTION unlink_blob_1(p_name text, p_digest bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_repository bigint;
BEGIN
    UPDATE repositories SET version = version + 1, changed = pg_current_xact_id() WHERE name = p_name
    RETURNING id INTO v_repository;
    DELETE FROM links l USING blobs b
    WHERE l.repository = v_repository AND l.blob = b.generation AND b.digest = p_digest AND b.state IN (1, 2);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the blob is unknown' USING ERRCODE = 'WH004';
    END IF;
END $$;
