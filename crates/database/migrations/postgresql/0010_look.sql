-- For how long a server answers from memory without a look at what others have changed, in milliseconds. A program without this
-- column does so for ten.
ALTER TABLE replicas ADD COLUMN look bigint NOT NULL DEFAULT 10;
