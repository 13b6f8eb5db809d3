-- Every question about events is answered from an index, however many events there are: see the step of SQLite.
-- While they are made, the table can be read and not written.
CREATE INDEX audit_by_account_and_time ON audit (account, (CASE kind WHEN 'token_issued' THEN 1 ELSE 0 END), at, id);

CREATE INDEX audit_by_digest ON audit (repository, substr(digest, 8, 8), at, id) WHERE digest IS NOT NULL;

CREATE INDEX audit_by_tag ON audit (repository, reference, at, id)
    WHERE kind IN ('tag_moved', 'tag_deleted', 'tag_removed_by_retention', 'tag_restored');

DROP INDEX audit_by_account;
ALTER INDEX audit_by_account_and_time RENAME TO audit_by_account;
