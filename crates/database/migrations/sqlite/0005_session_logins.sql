-- What a session keeps of the login that opened it. Both are NULL for older sessions.
-- The backend that accepted the login: its section in the configuration.
ALTER TABLE refresh_tokens ADD COLUMN backend TEXT;
-- The most that its tokens may grant: [{"type": "repository", "name": "app", "actions": ["pull"]}].
-- NULL is no limit.
ALTER TABLE refresh_tokens ADD COLUMN ceiling TEXT;
