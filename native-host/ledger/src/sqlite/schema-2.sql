-- Version 2 of the ledger: the seal, so that checkpoints cannot be taken out unnoticed.

-- The number of the seal that took the checkpoint in; 0 for those from before there were seals.
ALTER TABLE checkpoints ADD COLUMN seal INTEGER NOT NULL DEFAULT 0;

-- The newest seal, and no other.
CREATE TABLE seal (
    one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    number    INTEGER NOT NULL CHECK (number >= 0),
    at        TEXT NOT NULL,
    digest    BLOB NOT NULL CHECK (length(digest) = 32),    -- SHA-256 over all checkpoints
    signature BLOB NOT NULL CHECK (length(signature) = 64)  -- Ed25519
) STRICT;
