-- Version 5 of the ledger: who is signed in from elsewhere, tokens of automation, and accounts that are to go altogether.

-- Whether a JIT account is deleted once no session needs it: its technician has left.
ALTER TABLE accounts ADD COLUMN gone INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1));

CREATE TABLE sign_ins (
    id         TEXT NOT NULL PRIMARY KEY,
    technician TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    claim      TEXT NOT NULL,
    value      TEXT NOT NULL,
    subject    TEXT NOT NULL,
    session    TEXT,                                                    -- the provider's
    name       TEXT NOT NULL,
    groups     TEXT NOT NULL CHECK (json_valid(groups)),
    key        TEXT NOT NULL,                                           -- thumbprint of the relay's key
    "from"     TEXT NOT NULL,
    renewed    TEXT NOT NULL,
    until      TEXT NOT NULL,
    ended      TEXT,
    ended_by   TEXT
) STRICT;
CREATE INDEX sign_ins_by_technician ON sign_ins (technician);
CREATE INDEX sign_ins_by_subject ON sign_ins (subject);
CREATE INDEX sign_ins_by_time ON sign_ins (until);

-- Every token of a sign-in; the one before stays good for its own time, since the answer with the next one can be lost.
CREATE TABLE sign_in_tokens (
    token   BLOB NOT NULL PRIMARY KEY CHECK (length(token) = 32),       -- SHA-256
    sign_in TEXT NOT NULL REFERENCES sign_ins (id),
    "from"  TEXT NOT NULL,
    until   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_in_tokens_by_sign_in ON sign_in_tokens (sign_in);
CREATE INDEX sign_in_tokens_by_time ON sign_in_tokens (until);

CREATE TABLE api_tokens (
    id        TEXT NOT NULL PRIMARY KEY,
    name      TEXT NOT NULL,
    token     BLOB NOT NULL UNIQUE CHECK (length(token) = 32),          -- SHA-256
    scopes    TEXT NOT NULL CHECK (json_valid(scopes)),
    customers TEXT CHECK (customers IS NULL OR json_valid(customers)),
    made_by   TEXT NOT NULL,
    "from"    TEXT NOT NULL,
    until     TEXT NOT NULL,
    ended     TEXT
) STRICT;
