-- What is known to be gone from the history, and why: evicted for want of room, or lost with a damaged file. Each is
-- declared to every stream in the same transaction.
CREATE TABLE gap (
    id INTEGER PRIMARY KEY,
    points TEXT, -- JSON array; NULL: all
    from_us INTEGER NOT NULL,
    to_us INTEGER NOT NULL,
    count INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX gap_span ON gap (from_us);
