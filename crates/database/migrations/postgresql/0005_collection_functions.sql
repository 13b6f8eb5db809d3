-- The functions of garbage collection and of duties. 0002_registry.sql has the rules that they follow.
--
-- A marked blob is deleted only if every transaction that may have read that it is live has ended: their ids are below the
-- `horizon` of its row, which is read after the mark was committed. A transaction that begins later reads that the blob is
-- marked, and has to update its row.

-- Whether a blob may be removed: nothing refers to it, and its content is ours.
CREATE FUNCTION is_garbage_1(p_digest bytea, p_store bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (SELECT 1 FROM manifest_references f WHERE f.digest = p_digest)
        AND (p_store = 0 OR EXISTS (SELECT 1 FROM stores s WHERE s.id = p_store AND s.final))
$$;

-- Removes what a repository does not need: manifests, if it is still in the version for which they were found, links to blobs
-- that only other repositories need, and itself if it is empty. Returns whether the manifests were removed.
CREATE FUNCTION prune_repository_1(
    p_at timestamptz, p_repository bigint, p_version bigint, p_manifests bigint[], p_grace float8
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_row repositories;
    v_removed boolean;
BEGIN
    SELECT * INTO v_row FROM repositories WHERE id = p_repository FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE repositories SET version = version + 1, changed = pg_current_xact_id() WHERE id = p_repository;
    v_removed := v_row.version = p_version;
    IF v_removed THEN
        DELETE FROM manifests WHERE id = ANY (p_manifests);
    END IF;
    DELETE FROM links l USING blobs b
    WHERE l.repository = p_repository AND b.generation = l.blob AND b.leased_at < coalesce(p_at, now()) - make_interval(secs => p_grace)
        AND NOT EXISTS (SELECT 1 FROM manifest_references f WHERE f.digest = b.digest AND f.repository = p_repository)
        AND EXISTS (SELECT 1 FROM manifest_references f WHERE f.digest = b.digest);
    PERFORM 1 WHERE EXISTS (SELECT 1 FROM manifests WHERE repository = p_repository)
        OR EXISTS (SELECT 1 FROM links WHERE repository = p_repository);
    IF NOT FOUND THEN
        INSERT INTO removed_repositories (name, changed, removed_at)
        VALUES (v_row.name, pg_current_xact_id(), coalesce(p_at, now()));
        DELETE FROM repositories WHERE id = p_repository;
    END IF;
    RETURN v_removed;
END $$;

-- Marks idle blobs among some after `p_after`. Returns how many, and the last blob that was looked at.
CREATE FUNCTION mark_blobs_1(p_at timestamptz, p_after bigint, p_grace float8, p_limit bigint)
RETURNS TABLE (marked bigint, last bigint) LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
    v_before timestamptz := v_at - make_interval(secs => p_grace);
    v_last bigint;
    v_idle bigint[];
    v_marked bigint := 0;
BEGIN
    SELECT max(generation), array_agg(generation) FILTER (
        WHERE state = 1 AND leased_at < v_before AND is_garbage_1(digest, blobs.store)
    ) INTO v_last, v_idle
    FROM (SELECT * FROM blobs WHERE generation > p_after ORDER BY generation LIMIT p_limit) blobs;
    IF v_idle IS NOT NULL THEN
        PERFORM change_holders_1(v_idle);
        SELECT array_agg(generation) INTO v_idle FROM (
            SELECT generation FROM blobs WHERE generation = ANY (v_idle) AND state = 1 AND leased_at < v_before
            ORDER BY generation FOR NO KEY UPDATE SKIP LOCKED
        ) locked;
        UPDATE blobs SET state = 2, since = v_at, horizon = NULL
        WHERE generation = ANY (v_idle) AND is_garbage_1(digest, store);
        GET DIAGNOSTICS v_marked = ROW_COUNT;
    END IF;
    RETURN QUERY SELECT v_marked, v_last;
END $$;

-- Gives marked blobs their horizon. Their marks are committed: each statement sees only what was committed before it.
CREATE FUNCTION set_horizons_1() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_marked bigint[];
BEGIN
    SELECT array_agg(generation) INTO v_marked FROM (
        SELECT generation FROM blobs WHERE state = 2 AND state <> 1 AND horizon IS NULL
        ORDER BY generation FOR NO KEY UPDATE SKIP LOCKED
    ) locked;
    IF v_marked IS NOT NULL THEN
        UPDATE blobs SET horizon = pg_snapshot_xmax(pg_current_snapshot()) WHERE generation = ANY (v_marked);
    END IF;
END $$;

-- Moves blobs whose wait is over to deleting, or back to live if something refers to them again. Returns how many, and whether
-- others wait only for transactions to end.
CREATE FUNCTION sweep_blobs_1(p_at timestamptz, p_wait float8, p_pending float8, p_limit bigint)
RETURNS TABLE (moved bigint, waiting boolean) LANGUAGE plpgsql ROWS 1 AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
    v_marked_by timestamptz := v_at - make_interval(secs => p_wait);
    v_pending_before timestamptz := v_at - make_interval(secs => p_pending);
    v_due bigint[];
    v_gone bigint[];
    v_waiting boolean;
BEGIN
    -- A hold begins before or after this transaction.
    PERFORM pg_advisory_xact_lock(1465401680);
    PERFORM 1 FROM collection_holds WHERE until > v_at;
    IF FOUND THEN
        RETURN QUERY SELECT 0::bigint, false;
        RETURN;
    END IF;
    SELECT array_agg(generation) INTO v_due FROM (
        SELECT b.generation FROM blobs b
        WHERE b.state <> 1 AND (
            (b.state = 2 AND b.since <= v_marked_by AND b.horizon <= pg_snapshot_xmin(pg_current_snapshot()))
            OR (b.state = 0 AND b.since < v_pending_before))
        ORDER BY b.generation LIMIT p_limit
    ) due;
    IF v_due IS NULL THEN
        SELECT EXISTS (SELECT 1 FROM blobs b WHERE b.state <> 1 AND b.state = 2 AND b.since <= v_marked_by) INTO v_waiting;
        RETURN QUERY SELECT 0::bigint, v_waiting;
        RETURN;
    END IF;
    PERFORM change_holders_1(v_due);
    SELECT array_agg(generation) INTO v_due FROM (
        SELECT b.generation FROM blobs b
        WHERE b.generation = ANY (v_due) AND (
            (b.state = 2 AND b.since <= v_marked_by AND b.horizon <= pg_snapshot_xmin(pg_current_snapshot()))
            OR (b.state = 0 AND b.since < v_pending_before))
        ORDER BY b.generation FOR NO KEY UPDATE SKIP LOCKED
    ) locked;
    -- A new snapshot: whoever could refer to them has ended, or waits for these locks.
    SELECT array_agg(generation) INTO v_gone FROM blobs
    WHERE generation = ANY (v_due) AND (state = 0 OR is_garbage_1(digest, store));
    DELETE FROM links WHERE blob = ANY (v_gone);
    UPDATE blobs SET state = CASE WHEN generation = ANY (coalesce(v_gone, '{}')) THEN 3 ELSE 1 END, since = v_at, horizon = NULL,
        upload = NULL
    WHERE generation = ANY (v_due);
    RETURN QUERY SELECT coalesce(cardinality(v_due), 0)::bigint, false;
END $$;

-- Keeps all content for `p_lasting` seconds.
CREATE FUNCTION hold_collection_1(p_at timestamptz, p_id bytea, p_lasting float8) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1465401680);
    INSERT INTO collection_holds (id, until) VALUES (p_id, coalesce(p_at, now()) + make_interval(secs => p_lasting))
    ON CONFLICT (id) DO UPDATE SET until = excluded.until;
END $$;

-- Numbers the records of the outbox that no reader has seen yet. Whoever numbers later sees what was committed later.
CREATE FUNCTION number_outbox_1() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_last bigint;
    v_count bigint;
BEGIN
    PERFORM 1 FROM outbox WHERE position IS NULL LIMIT 1;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT last INTO v_last FROM outbox_positions WHERE one = 1 FOR UPDATE;
    UPDATE outbox SET position = v_last + new.number
    FROM (SELECT written, row_number() OVER (ORDER BY written) AS number FROM outbox WHERE position IS NULL) AS new
    WHERE outbox.written = new.written;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    UPDATE outbox_positions SET last = v_last + v_count WHERE one = 1;
END $$;

-- Takes a duty, unless another server has it or it was done less than `p_every` seconds ago. Returns the fence. NULL: not now.
CREATE FUNCTION take_duty_1(p_at timestamptz, p_name text, p_owner bytea, p_lease float8, p_every float8) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_at timestamptz := coalesce(p_at, now());
    v_until timestamptz := v_at + make_interval(secs => p_lease);
    v_fence bigint;
BEGIN
    INSERT INTO duties AS d (name, owner, fence, until) VALUES (p_name, p_owner, 1, v_until)
    ON CONFLICT (name) DO UPDATE SET owner = p_owner, fence = d.fence + 1, until = v_until
    WHERE d.until <= v_at AND (d.done_at IS NULL OR d.done_at <= v_at - make_interval(secs => p_every))
    RETURNING fence INTO v_fence;
    RETURN v_fence;
END $$;
