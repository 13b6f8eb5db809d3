-- The functions of uploads and of adoption. 0002_registry.sql has the rules that they follow.

-- From now on, nothing needs these objects, except those of `p_kept` and unfinished objects with such a key.
CREATE FUNCTION mark_unused_1(p_at timestamptz, p_names text[], p_kept text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO unused_objects (name, since)
    SELECT DISTINCT name, p_at FROM unnest(p_names) AS name
    WHERE NOT EXISTS (SELECT 1 FROM unnest(p_kept) AS kept WHERE name = kept OR starts_with(name, kept || '?'))
    ON CONFLICT (name) DO NOTHING
$$;

-- Ends an upload. Its objects are unused from then on, except those of `p_kept`.
CREATE FUNCTION end_upload_1(p_at timestamptz, p_id bytea, p_kept text[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_names text[];
BEGIN
    DELETE FROM uploads WHERE id = p_id RETURNING object_names INTO v_names;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF v_names IS NOT NULL THEN
        PERFORM mark_unused_1(coalesce(p_at, now()), v_names, p_kept);
    END IF;
    RETURN true;
END $$;

-- Begins an upload. Returns the uploads that made room for it: idle ones of the same client. NULL: the client has too many.
CREATE FUNCTION begin_upload_1(
    p_at timestamptz, p_id bytea, p_repository text, p_client text, p_algorithm smallint, p_limit bigint, p_active bytea[],
    p_owner bytea
) RETURNS bytea[] LANGUAGE plpgsql AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
    v_excess bigint;
    v_evicted bytea[] := '{}';
    v_id bytea;
BEGIN
    -- The uploads of one client are counted by one transaction at a time.
    PERFORM pg_advisory_xact_lock(hashtextextended(p_client, 1465401679));
    SELECT count(*) + 1 - p_limit INTO v_excess FROM uploads WHERE client = p_client;
    IF v_excess > 0 THEN
        SELECT coalesce(array_agg(id ORDER BY moved_at, id), '{}') INTO v_evicted FROM (
            SELECT id, moved_at FROM uploads
            WHERE client = p_client AND id <> ALL (p_active) AND (owner IS NULL OR owner = p_owner OR until <= v_at)
            ORDER BY moved_at, id LIMIT v_excess FOR UPDATE SKIP LOCKED
        ) idle;
        IF cardinality(v_evicted) < v_excess THEN
            RETURN NULL;
        END IF;
        FOREACH v_id IN ARRAY v_evicted LOOP
            PERFORM end_upload_1(v_at, v_id, '{}');
        END LOOP;
    END IF;
    INSERT INTO uploads (id, repository, client, algorithm, moved_at)
    VALUES (p_id, p_repository, p_client, p_algorithm, v_at);
    RETURN v_evicted;
END $$;

-- Takes the lease of an upload for `p_owner`, or renews it. No row: it is unknown. `taken` is false while another server has it.
-- `was_taken_over`: the lease of another server has ended, which may not know it yet.
CREATE FUNCTION lease_upload_1(p_at timestamptz, p_repository text, p_id bytea, p_owner bytea, p_lease float8)
RETURNS TABLE (
    client text, algorithm smallint, received bigint, hash bytea, object_key text, object_names text[], object_state text,
    fence bigint, taken boolean, was_taken_over boolean
) LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
    v_row uploads;
    v_stolen boolean;
    v_free boolean;
BEGIN
    SELECT u.* INTO v_row FROM uploads u WHERE u.id = p_id AND u.repository = p_repository FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_stolen := coalesce(v_row.owner <> p_owner, false);
    v_free := NOT v_stolen OR v_row.until <= v_at;
    IF v_free THEN
        UPDATE uploads u SET owner = p_owner, until = v_at + make_interval(secs => p_lease), moved_at = v_at,
            fence = u.fence + v_stolen::integer
        WHERE u.id = p_id RETURNING u.* INTO v_row;
    END IF;
    RETURN QUERY SELECT v_row.client, v_row.algorithm, v_row.received, v_row.hash, v_row.object_key, v_row.object_names,
        v_row.object_state, v_row.fence, v_free, v_stolen AND v_free;
END $$;

-- Stores a checkpoint. 0: stored. 1: the upload is unknown. 2: the fence is old.
CREATE FUNCTION record_upload_1(
    p_at timestamptz, p_id bytea, p_fence bigint, p_received bigint, p_hash bytea, p_key text, p_names text[], p_state text
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
    v_old uploads;
BEGIN
    SELECT u.* INTO v_old FROM uploads u WHERE u.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 1;
    ELSIF v_old.fence <> p_fence THEN
        RETURN 2;
    END IF;
    IF v_old.object_names IS NOT NULL THEN
        PERFORM mark_unused_1(v_at, v_old.object_names, p_names);
    END IF;
    UPDATE uploads SET received = p_received, hash = p_hash, object_key = p_key, object_names = p_names, object_state = p_state,
        moved_at = v_at, fence = fence + 1, until = greatest(until, v_at + (v_old.until - v_old.moved_at))
    WHERE id = p_id;
    RETURN 0;
END $$;

-- Removes an upload that has been idle for longer than `p_expiry`. Returns whether it was.
CREATE FUNCTION expire_upload_1(p_at timestamptz, p_id bytea, p_expiry float8) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
BEGIN
    PERFORM 1 FROM uploads
    WHERE id = p_id AND moved_at < v_at - make_interval(secs => p_expiry) AND (until IS NULL OR until <= v_at)
    FOR UPDATE SKIP LOCKED;
    RETURN FOUND AND end_upload_1(v_at, p_id, '{}');
END $$;

-- The first step from a finished upload to a blob. Status 0: the blob exists, and the repository has it. 1: the content is to be
-- stored under this key. 2: the upload is unknown. 3: its fence is old. Without `p_key`, a pending row is made.
CREATE FUNCTION reserve_blob_1(
    p_at timestamptz, p_upload bytea, p_fence bigint, p_repository text, p_digest bytea, p_size bigint, p_replaces bigint,
    p_key text, p_renewal float8
) RETURNS TABLE (status integer, digest bytea, size bigint, generation bigint, store bigint, key text)
LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
    v_fence bigint;
    v_blob blobs;
    v_generation bigint;
    v_key text;
    v_hex text;
BEGIN
    PERFORM pg_current_xact_id();
    SELECT u.fence INTO v_fence FROM uploads u WHERE u.id = p_upload FOR UPDATE;
    IF p_fence IS NOT NULL AND v_fence IS DISTINCT FROM p_fence THEN
        RETURN QUERY SELECT CASE WHEN v_fence IS NULL THEN 2 ELSE 3 END, NULL::bytea, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text;
        RETURN;
    END IF;
    LOOP
        SELECT b.* INTO v_blob FROM blobs b
        WHERE b.digest = p_digest AND b.state IN (1, 2) AND b.generation IS DISTINCT FROM p_replaces;
        EXIT WHEN NOT FOUND;
        IF give_blob_1(v_at, p_repository, v_blob.generation, p_renewal) THEN
            IF p_key IS NULL THEN
                PERFORM end_upload_1(v_at, p_upload, '{}');
            END IF;
            RETURN QUERY SELECT 0, v_blob.digest, v_blob.size, v_blob.generation, v_blob.store, v_blob.key;
            RETURN;
        END IF;
    END LOOP;
    v_generation := nextval('blob_generations');
    v_key := p_key;
    IF p_key IS NULL THEN
        v_hex := encode(substring(p_digest FROM 2), 'hex');
        v_key := format('blobs/%s/%s/%s.%s', CASE get_byte(p_digest, 0) WHEN 1 THEN 'sha256' ELSE 'sha512' END,
            left(v_hex, 2), v_hex, v_generation);
        INSERT INTO blobs (generation, digest, size, store, key, state, since, leased_at, upload)
        VALUES (v_generation, p_digest, p_size, 0, v_key, 0, v_at, v_at, p_upload);
    END IF;
    RETURN QUERY SELECT 1, p_digest, p_size, v_generation, 0::bigint, v_key;
END $$;

-- Every repository that has the blob `p_old` gets the blob `p_new` instead, whose row is served from then on by the caller. What
-- is left of the old one is removed if it is in our own store.
CREATE FUNCTION replace_blob_1(p_at timestamptz, p_old bigint, p_new bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM change_holders_1(ARRAY[p_old]);
    PERFORM 1 FROM blobs WHERE generation = p_old FOR UPDATE;
    UPDATE links SET blob = p_new WHERE blob = p_old;
    UPDATE blobs SET state = 3, since = p_at, horizon = NULL WHERE generation = p_old AND store = 0;
    DELETE FROM blobs WHERE generation = p_old AND store <> 0;
END $$;

-- The last step: the content is in its place. Status 0: the blob is live. 1: another upload was faster, and this is its blob.
-- 2: the pending row is gone, or the upload of a key. 3: the fence is old. Of two uploads of the same content at once, the second
-- fails by the index blobs_by_digest, and is to be tried again.
CREATE FUNCTION commit_blob_1(
    p_at timestamptz, p_upload bytea, p_fence bigint, p_repository text, p_digest bytea, p_size bigint, p_replaces bigint,
    p_generation bigint, p_key text, p_is_object boolean, p_renewal float8
) RETURNS TABLE (status integer, digest bytea, size bigint, generation bigint, store bigint, key text)
LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
    v_fence bigint;
    v_repository bigint;
    v_blob blobs;
BEGIN
    PERFORM pg_current_xact_id();
    SELECT u.fence INTO v_fence FROM uploads u WHERE u.id = p_upload FOR UPDATE;
    LOOP
        SELECT b.* INTO v_blob FROM blobs b
        WHERE b.digest = p_digest AND b.state IN (1, 2) AND b.generation IS DISTINCT FROM p_replaces;
        EXIT WHEN NOT FOUND;
        IF give_blob_1(v_at, p_repository, v_blob.generation, p_renewal) THEN
            -- Collection removes our content.
            UPDATE blobs b SET state = 3, since = v_at, upload = NULL WHERE b.generation = p_generation AND b.state = 0;
            -- A commit that is repeated after its answer was lost finds its own blob.
            PERFORM end_upload_1(v_at, p_upload,
                CASE WHEN v_blob.generation = p_generation OR NOT p_is_object THEN ARRAY[p_key] ELSE '{}' END);
            RETURN QUERY SELECT 1, v_blob.digest, v_blob.size, v_blob.generation, v_blob.store, v_blob.key;
            RETURN;
        END IF;
    END LOOP;
    IF p_is_object THEN
        -- The row of the upload leads to the content until then.
        IF v_fence IS NULL OR v_fence <> coalesce(p_fence, v_fence) THEN
            RETURN QUERY SELECT CASE WHEN v_fence IS NULL THEN 2 ELSE 3 END, NULL::bytea, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text;
            RETURN;
        END IF;
    ELSE
        PERFORM 1 FROM blobs b WHERE b.generation = p_generation AND b.state = 0;
        IF NOT FOUND THEN
            -- Collection removed it as a row that a crash had left.
            RETURN QUERY SELECT 2, NULL::bytea, NULL::bigint, NULL::bigint, NULL::bigint, NULL::text;
            RETURN;
        END IF;
    END IF;
    v_repository := make_repository_1(p_repository);
    IF p_replaces IS NOT NULL THEN
        PERFORM replace_blob_1(v_at, p_replaces, p_generation);
    END IF;
    IF p_is_object THEN
        INSERT INTO blobs (generation, digest, size, store, key, state, since, leased_at)
        VALUES (p_generation, p_digest, p_size, 0, p_key, 1, v_at, v_at);
    ELSE
        UPDATE blobs b SET state = 1, since = v_at, leased_at = v_at, upload = NULL
        WHERE b.generation = p_generation AND b.state = 0;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the pending row is gone' USING ERRCODE = 'WH005';
        END IF;
    END IF;
    INSERT INTO links (repository, blob) VALUES (v_repository, p_generation) ON CONFLICT DO NOTHING;
    PERFORM end_upload_1(v_at, p_upload, ARRAY[p_key]);
    RETURN QUERY SELECT 0, p_digest, p_size, p_generation, 0::bigint, p_key;
END $$;

-- Adoption -------------------------------------------------------------------------------------------------------------------

-- Whether a repository was read. Another server may be reading the same content.
CREATE FUNCTION is_adopted_1(p_store bigint, p_name text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT 1 FROM stores s WHERE s.id = p_store
        AND (s.complete OR EXISTS (SELECT 1 FROM adopted_repositories a WHERE a.store = s.id AND a.name = p_name))
    )
$$;

-- Begins a part of a repository of an adoption: its blobs. Returns the number of the repository. NULL: it was read already.
CREATE FUNCTION adopt_blobs_1(
    p_at timestamptz, p_store bigint, p_name text, p_digests bytea[], p_sizes bigint[], p_keys text[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
    v_repository bigint;
    v_known bigint[];
BEGIN
    IF is_adopted_1(p_store, p_name) THEN
        RETURN NULL;
    END IF;
    v_repository := change_repository_1(p_name);
    IF is_adopted_1(p_store, p_name) THEN
        RETURN NULL;
    END IF;
    INSERT INTO blobs (digest, size, store, key, state, since, leased_at)
    SELECT part.digest, part.size, p_store, part.key, 1, v_at, v_at FROM (
        SELECT DISTINCT ON (digest) digest, size, key, number
        FROM unnest(p_digests, p_sizes, p_keys) WITH ORDINALITY AS part (digest, size, key, number) ORDER BY digest, number
    ) part
    WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.digest = part.digest AND b.state IN (1, 2))
    ORDER BY part.number
    ON CONFLICT (digest) WHERE state IN (1, 2) DO NOTHING;
    -- Some may be marked: nothing refers to them until the manifests are stored.
    SELECT array_agg(generation) INTO v_known FROM (
        SELECT generation FROM blobs WHERE digest = ANY (p_digests) AND state IN (1, 2) ORDER BY generation FOR NO KEY UPDATE
    ) locked;
    UPDATE blobs SET leased_at = greatest(leased_at, v_at), since = CASE state WHEN 2 THEN v_at ELSE since END, state = 1,
        horizon = NULL
    WHERE generation = ANY (v_known) AND (state = 2 OR leased_at < v_at);
    INSERT INTO links (repository, blob) SELECT v_repository, unnest(v_known) ON CONFLICT DO NOTHING;
    RETURN v_repository;
END $$;

-- Stores a part of a repository. Existing rows stay as they are, tags included. `p_references` are those of all manifests, of
-- which each has the next `p_counts`. With the last part come the totals, and the repository is read.
CREATE FUNCTION adopt_part_1(
    p_at timestamptz, p_store bigint, p_name text, p_blobs bytea[], p_sizes bigint[], p_keys text[], p_digests bytea[],
    p_media_types text[], p_subjects bytea[], p_bytes bytea[], p_counts integer[], p_references bytea[],
    p_artifact_types text[], p_annotations text[], p_tags text[], p_tagged bytea[], p_totals bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
    v_repository bigint := adopt_blobs_1(p_at, p_store, p_name, p_blobs, p_sizes, p_keys);
    v_first integer := 1;
BEGIN
    IF v_repository IS NULL THEN
        RETURN;
    END IF;
    -- Their blobs are not required: the other registry served them without, too.
    FOR i IN 1 .. coalesce(array_length(p_digests, 1), 0) LOOP
        PERFORM store_manifest_1(v_at, v_repository, p_digests[i], p_media_types[i], p_subjects[i], p_bytes[i],
            p_references[v_first : v_first + p_counts[i] - 1], p_artifact_types[i], p_annotations[i]);
        v_first := v_first + p_counts[i];
    END LOOP;
    INSERT INTO tags (repository, name, manifest, updated_at)
    SELECT v_repository, tagged.name, m.id, v_at
    FROM unnest(p_tags, p_tagged) AS tagged (name, digest) JOIN manifests m ON m.repository = v_repository AND m.digest = tagged.digest
    ON CONFLICT (repository, name) DO NOTHING;
    IF cardinality(p_totals) = 3 THEN
        INSERT INTO adopted_repositories (store, name, manifests, tags, blobs)
        VALUES (p_store, p_name, p_totals[1], p_totals[2], p_totals[3]) ON CONFLICT (store, name) DO NOTHING;
    END IF;
END $$;

-- Begins the adoption of a location, or continues it. A complete adoption begins again, and is not final any more.
CREATE FUNCTION begin_adoption_1(p_path text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_store stores;
BEGIN
    SELECT * INTO v_store FROM stores WHERE path = p_path FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO stores (path) VALUES (p_path) ON CONFLICT (path) DO UPDATE SET path = excluded.path
        RETURNING * INTO v_store;
    END IF;
    IF v_store.complete THEN
        UPDATE stores SET complete = false, final = false WHERE id = v_store.id;
        DELETE FROM adopted_repositories WHERE store = v_store.id;
    END IF;
    RETURN v_store.id;
END $$;

-- Completes an adoption.
CREATE FUNCTION end_adoption_1(p_store bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE stores SET complete = true WHERE id = p_store;
    DELETE FROM adopted_repositories WHERE store = p_store;
$$;
