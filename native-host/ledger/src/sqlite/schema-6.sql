-- Version 6 of the ledger: changes of sessions, counted, so that who was away hears of each exactly once.

-- How many changes there were of each technician's sessions.
CREATE TABLE technicians (
    technician TEXT NOT NULL PRIMARY KEY,
    last_event INTEGER NOT NULL CHECK (last_event >= 0)
) STRICT, WITHOUT ROWID;

-- The changes; kept for a day.
CREATE TABLE events (
    technician TEXT NOT NULL,
    number     INTEGER NOT NULL CHECK (number > 0),         -- from 1, without a gap
    session    TEXT NOT NULL,                               -- by the id that people know it by
    at         TEXT NOT NULL,
    PRIMARY KEY (technician, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_time ON events (at);
