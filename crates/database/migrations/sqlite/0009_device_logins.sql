-- Logins of devices that a person approves in a browser (RFC 8628). Times are seconds since the Unix
-- epoch.
CREATE TABLE device_logins (
    -- The SHA-256 of the device code, which is never stored.
    hash            BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    -- Eight letters, without the hyphen in which they are shown.
    user_code       TEXT    NOT NULL UNIQUE CHECK (length(user_code) = 8),
    status          TEXT    NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'used')),
    -- What the device says of itself.
    service         TEXT    NOT NULL,
    client_id       TEXT    NOT NULL,
    device_name     TEXT    NOT NULL,
    user_agent      TEXT    NOT NULL,
    -- Where it asked from.
    address         TEXT    NOT NULL,
    -- What the limit counts; empty if many clients share the address.
    network         TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    -- The person who has signed in to decide, and the SHA-256 of the secret of the browser.
    browser         BLOB             CHECK (length(browser) = 32),
    account         TEXT             CHECK (account <> ''),
    labels          TEXT,
    -- What the session keeps of the login: as in `refresh_tokens`.
    stamp           BLOB,
    backend         TEXT,
    ceiling         TEXT,
    -- How long the session may last; NULL is as long as the configuration says.
    session_seconds INTEGER,
    CHECK ((browser IS NULL) = (account IS NULL)),
    CHECK ((account IS NULL) = (backend IS NULL)),
    CHECK (status = 'pending' OR account IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX device_logins_by_network ON device_logins (network, expires_at);
CREATE INDEX device_logins_by_expiry ON device_logins (expires_at);
