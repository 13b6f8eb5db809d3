-- Every question about events is answered from an index, however many events there are.

-- The tokens of an account are found among its pulls. No event has one more entry because of that.
DROP INDEX audit_by_account;
CREATE INDEX audit_by_account ON audit (account, CASE kind WHEN 'token_issued' THEN 1 ELSE 0 END, at);

-- Who pulled this manifest or blob? A part of the digest is enough to find it, and takes less room.
CREATE INDEX audit_by_digest ON audit (repository, substr(digest, 8, 8), at) WHERE digest IS NOT NULL;

-- At which manifests did this tag point?
CREATE INDEX audit_by_tag ON audit (repository, reference, at)
    WHERE kind IN ('tag_moved', 'tag_deleted', 'tag_removed_by_retention', 'tag_restored');
