-- Records of changes are read kind by kind: each consumer has its own.
CREATE INDEX outbox_by_kind ON outbox (kind, id);

-- Notifications on their way to an endpoint, and for a while those that have arrived or were set aside. Times are milliseconds since
-- the Unix epoch.
CREATE TABLE notification_deliveries (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- The name of the endpoint in the configuration.
    endpoint   TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    action     TEXT    NOT NULL,
    repository TEXT    NOT NULL,
    -- The event as it is sent, as a JSON object.
    event      TEXT    NOT NULL,
    -- Since when it waits: the end of its time to be delivered counts from here.
    queued_at  INTEGER NOT NULL,
    -- When it was last tried, delivered or set aside.
    changed_at INTEGER NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    -- The status of the last response, if there was one.
    status     INTEGER,
    -- Why the last attempt failed.
    error      TEXT,
    -- The number of the outbox's record from which it was taken over.
    outbox     INTEGER
) STRICT;

CREATE INDEX notification_deliveries_by_state ON notification_deliveries (endpoint, state, id);
CREATE INDEX notification_deliveries_by_time ON notification_deliveries (state, changed_at);
CREATE UNIQUE INDEX notification_deliveries_by_outbox ON notification_deliveries (endpoint, outbox) WHERE outbox IS NOT NULL;
