-- state.db: what the service remembers besides raw frames. Instants are microseconds since 1970 UTC.

CREATE TABLE point (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- One row a closed period, all points in one blob (layout: rollup_codec.py). The row is also the mark that the period
-- is closed: its outbox rows were created in the same transaction and are never created again.
CREATE TABLE rollup (
    period_min INTEGER NOT NULL,
    start_us INTEGER NOT NULL,
    layout INTEGER NOT NULL,
    columns BLOB NOT NULL,
    PRIMARY KEY (period_min, start_us)
) WITHOUT ROWID;

-- One row a delivery target. The epoch is born with the row: a lost database means a new epoch, never a re-used number.
CREATE TABLE stream (
    uplink TEXT PRIMARY KEY,
    epoch TEXT NOT NULL,
    seq_last INTEGER NOT NULL DEFAULT 0,
    seq_sent_max INTEGER NOT NULL DEFAULT 0,
    resent_count INTEGER NOT NULL DEFAULT 0,
    acknowledged_us INTEGER
) WITHOUT ROWID;

-- One uplink's one period. A row leaves only on the platform's acknowledgement.
CREATE TABLE outbox (
    uplink TEXT NOT NULL REFERENCES stream (uplink),
    seq INTEGER NOT NULL,
    start_us INTEGER NOT NULL,
    period_min INTEGER NOT NULL,
    payload BLOB NOT NULL,
    sent_count INTEGER NOT NULL DEFAULT 0,
    refused TEXT,
    PRIMARY KEY (uplink, seq),
    UNIQUE (uplink, start_us, period_min)
) WITHOUT ROWID;

-- Append only, chained: hash = SHA-256 of the hash before and the entry (audit.py).
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instant_us INTEGER NOT NULL,
    entry TEXT NOT NULL,
    hash BLOB NOT NULL
);

CREATE TABLE plan (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    made_us INTEGER NOT NULL,
    plan TEXT NOT NULL
);
CREATE INDEX plan_made ON plan (made_us);

CREATE TABLE state (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
