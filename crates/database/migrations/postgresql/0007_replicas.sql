-- The servers that use this database. A row is written every few seconds, and removed when its server ends in order.
CREATE TABLE replicas (
    -- Random, made at each start.
    id          bytea       PRIMARY KEY CHECK (octet_length(id) = 16),
    -- The name of its machine or pod.
    name        text        COLLATE "C" NOT NULL,
    version     text        NOT NULL,
    -- The version of the tables that its program knows.
    schema      bigint      NOT NULL,
    -- Equal for equal configurations, with the files that they name. It is keyed, so that it tells nothing of them.
    config_hash bytea       NOT NULL CHECK (octet_length(config_hash) = 32),
    started_at  timestamptz NOT NULL DEFAULT now(),
    -- Since when it has this version and configuration.
    changed_at  timestamptz NOT NULL DEFAULT now(),
    seen_at     timestamptz NOT NULL DEFAULT now()
);
