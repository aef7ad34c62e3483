-- Version 4 of the ledger: sessions in several directories. Each row is then a part, with an account and a state of its own.

-- The id of the session's first part, in every part of it; NULL where a row is all of its session.
ALTER TABLE sessions ADD COLUMN whole TEXT;
CREATE INDEX sessions_by_whole ON sessions (whole) WHERE whole IS NOT NULL;
