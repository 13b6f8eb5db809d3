-- What is kept of users who sign in by a provider's page (github_auth, gitlab_auth, google_auth, oidc_auth).
CREATE TABLE sign_ins (
    -- The section of the configuration.
    backend TEXT NOT NULL CHECK (backend <> ''),
    -- record: docker_auth's JSON; passwords: the named passwords; spelling: how a name is written.
    kind    TEXT NOT NULL CHECK (kind IN ('record', 'passwords', 'spelling')),
    account TEXT NOT NULL CHECK (account <> ''),
    content BLOB NOT NULL,
    PRIMARY KEY (backend, kind, account)
) STRICT, WITHOUT ROWID;
