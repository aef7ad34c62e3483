-- Version 1 of the ledger. Times are UTC text of one width (2026-01-02T03:04:05.000000000Z), so that they sort as text.

CREATE TABLE facts (
    name  TEXT NOT NULL PRIMARY KEY,   -- high_water, public_key
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    key                 TEXT NOT NULL PRIMARY KEY,   -- DIRECTORY/MODE/OWNER
    directory           TEXT NOT NULL,
    mode                TEXT NOT NULL CHECK (mode IN ('dedicated', 'burner', 'membership')),
    technician          TEXT NOT NULL,
    name                TEXT NOT NULL,               -- logon name in the directory
    identity            TEXT,                        -- the directory's own id, once known
    display_name        TEXT,
    token               TEXT NOT NULL,
    password_generation INTEGER NOT NULL CHECK (password_generation >= 0),
    standing            TEXT NOT NULL CHECK (json_valid(standing)),
    settled             INTEGER NOT NULL CHECK (settled IN (0, 1)),
    attempts            INTEGER NOT NULL CHECK (attempts >= 0),
    next_try            TEXT,
    version             INTEGER NOT NULL CHECK (version > 0)
) STRICT;

CREATE TABLE sessions (
    id           TEXT NOT NULL PRIMARY KEY,
    state        TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'activating', 'active', 'ending',
                                                'ended', 'denied', 'lapsed', 'failed')),
    technician   TEXT NOT NULL,
    customer     TEXT NOT NULL,
    directory    TEXT NOT NULL,
    policy       TEXT NOT NULL,
    policy_name  TEXT NOT NULL,
    mode         TEXT NOT NULL CHECK (mode IN ('dedicated', 'burner', 'membership')),
    account      TEXT NOT NULL REFERENCES accounts (key),
    rights       TEXT NOT NULL CHECK (json_valid(rights)),
    reason       TEXT NOT NULL,
    ticket       TEXT CHECK (ticket IS NULL OR json_valid(ticket)),
    requested_at TEXT NOT NULL,
    "from"       TEXT NOT NULL,
    until        TEXT NOT NULL,
    latest_end   TEXT NOT NULL,
    active_at    TEXT,
    end_cause    TEXT,
    ended_at     TEXT,
    trouble      TEXT CHECK (trouble IS NULL OR json_valid(trouble)),
    version      INTEGER NOT NULL CHECK (version > 0)
) STRICT;
CREATE INDEX sessions_by_account ON sessions (account, state);
CREATE INDEX sessions_by_technician ON sessions (technician, state);
CREATE INDEX sessions_by_state ON sessions (state, until);

-- Answers to requests, by the caller's key; kept for a day.
CREATE TABLE requests (
    technician TEXT NOT NULL,
    key        TEXT NOT NULL,
    request    BLOB NOT NULL CHECK (length(request) = 32),   -- SHA-256
    session    TEXT NOT NULL REFERENCES sessions (id),
    at         TEXT NOT NULL,
    PRIMARY KEY (technician, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (at);

-- Requests counted for the rate limits; kept for a day.
CREATE TABLE attempts (
    number     INTEGER PRIMARY KEY,
    technician TEXT NOT NULL,
    at         TEXT NOT NULL
) STRICT;
CREATE INDEX attempts_by_technician ON attempts (technician, at);
CREATE INDEX attempts_by_time ON attempts (at);

-- The audit log; see docs/audit.md.
CREATE TABLE audit (
    position INTEGER PRIMARY KEY,
    chain    TEXT NOT NULL,                                 -- a customer's id, or -
    seq      INTEGER NOT NULL CHECK (seq > 0),
    at       TEXT NOT NULL,
    action   TEXT NOT NULL,
    actor    TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    details  TEXT NOT NULL CHECK (json_valid(details)),
    hash     BLOB NOT NULL CHECK (length(hash) = 32),
    UNIQUE (chain, seq)
) STRICT;
CREATE INDEX audit_by_time ON audit (at);

-- The last record of each chain.
CREATE TABLE chains (
    chain TEXT NOT NULL PRIMARY KEY,
    seq   INTEGER NOT NULL CHECK (seq > 0),
    hash  BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT, WITHOUT ROWID;

-- Signed heads of chains.
CREATE TABLE checkpoints (
    chain     TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    at        TEXT NOT NULL,
    signature BLOB NOT NULL,                                -- Ed25519
    PRIMARY KEY (chain, seq)
) STRICT, WITHOUT ROWID;
