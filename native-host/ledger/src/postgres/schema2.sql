-- Version 2: an account that was taken from a broker before that one had finished is looked at for a while.

ALTER TABLE accounts ADD COLUMN looks INTEGER NOT NULL DEFAULT 0;   -- how often still, also while nothing else is due
