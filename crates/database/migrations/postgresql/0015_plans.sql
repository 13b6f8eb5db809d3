-- A push costs PostgreSQL most of what it costs at all, and much of that is planning. A function in SQL is planned for each call; one in
-- PL/pgSQL keeps its plans.

CREATE OR REPLACE FUNCTION write_outbox_1(p_at timestamptz, p_repository text, p_kinds text[], p_payloads bytea[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (repository, kind, payload, created_at)
    SELECT p_repository, kind, payload, p_at FROM unnest(p_kinds, p_payloads) WITH ORDINALITY AS record (kind, payload, number)
    ORDER BY number;
END $$;

CREATE OR REPLACE FUNCTION lock_repository_1(p_name text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_id bigint;
BEGIN
    SELECT id INTO v_id FROM repositories WHERE name = p_name FOR NO KEY UPDATE;
    RETURN v_id;
END $$;

-- Most uploads end with the one object that they have made, and it is kept.
CREATE OR REPLACE FUNCTION mark_unused_1(p_at timestamptz, p_names text[], p_kept text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_names <@ p_kept THEN
        RETURN;
    END IF;
    INSERT INTO unused_objects (name, since)
    SELECT DISTINCT name, p_at FROM unnest(p_names) AS name
    WHERE NOT EXISTS (SELECT 1 FROM unnest(p_kept) AS kept WHERE name = kept OR starts_with(name, kept || '?'))
    ON CONFLICT (name) DO NOTHING;
END $$;

CREATE OR REPLACE FUNCTION purge_tombstones_1(p_at timestamptz, p_repository bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM tag_tombstones d USING manifests m
    WHERE d.repository = p_repository AND d.expires_at <= coalesce(p_at, now()) AND m.id = d.manifest
        AND (NOT d.releases OR m.leased_at >= d.removed_at OR EXISTS (SELECT 1 FROM tags t WHERE t.manifest = d.manifest));
END $$;
