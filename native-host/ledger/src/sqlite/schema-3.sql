-- Version 3 of the ledger: notes that are still to be added to tickets.

CREATE TABLE notes (
    position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,    -- in the order in which they came about
    mark     TEXT NOT NULL UNIQUE,                          -- stands in the note and in no other
    session  TEXT NOT NULL REFERENCES sessions (id),
    psa      TEXT NOT NULL,                                 -- the ticket system's id
    ticket   TEXT NOT NULL,                                 -- the ticket's number
    text     TEXT NOT NULL,
    at       TEXT NOT NULL,                                 -- when it came about
    next_try TEXT NOT NULL,
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    sending  INTEGER NOT NULL CHECK (sending IN (0, 1))     -- it may be in the ticket already
) STRICT;
CREATE INDEX notes_by_session ON notes (session, position);
CREATE INDEX notes_by_system ON notes (psa, next_try, position);
