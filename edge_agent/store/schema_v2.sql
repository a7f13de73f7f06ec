-- Delivery that can be proven: classes of rows, and a ledger that remembers what became of each.

CREATE TABLE outbox_2 (
    uplink TEXT NOT NULL REFERENCES stream (uplink),
    seq INTEGER NOT NULL,
    class INTEGER NOT NULL DEFAULT 1, -- 0 alarms and gap records, 1 records of periods
    kind TEXT NOT NULL DEFAULT 'record', -- record, gap, alarm
    start_us INTEGER NOT NULL,
    period_min INTEGER NOT NULL,
    payload BLOB NOT NULL,
    sent_count INTEGER NOT NULL DEFAULT 0,
    again INTEGER NOT NULL DEFAULT 0, -- 1: it was delivered before and goes again to be proven
    refused TEXT,
    PRIMARY KEY (uplink, seq)
) WITHOUT ROWID;
INSERT INTO outbox_2 (uplink, seq, start_us, period_min, payload, sent_count, refused)
    SELECT uplink, seq, start_us, period_min, payload, sent_count, refused FROM outbox;
DROP TABLE outbox;
ALTER TABLE outbox_2 RENAME TO outbox;
CREATE INDEX outbox_order ON outbox (uplink, class, seq) WHERE refused IS NULL;

-- Lists of codes as they were reported, in their order; `delivery.reported` names one.
CREATE TABLE reported (
    id INTEGER PRIMARY KEY,
    codes TEXT NOT NULL UNIQUE -- JSON array
);

-- One row for each number that was ever given out, kept when the outbox row has long left.
CREATE TABLE delivery (
    uplink TEXT NOT NULL,
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    start_us INTEGER NOT NULL,
    period_min INTEGER NOT NULL,
    made_us INTEGER NOT NULL, -- the instant in its message: the same bytes can be made again
    digest BLOB NOT NULL, -- first 8 bytes of the SHA-256 of the payload
    reported INTEGER REFERENCES reported (id),
    gaps TEXT, -- JSON: cause -> places in `reported` without a valid value; NULL: every value is valid
    state TEXT NOT NULL, -- stored, sent, consumed, fetched, acknowledged, refused, evicted
    sent_count INTEGER NOT NULL DEFAULT 0,
    backfilled INTEGER NOT NULL DEFAULT 0, -- 1: its first sending was not on time
    settled_us INTEGER, -- when the last proof was taken
    reason TEXT,
    PRIMARY KEY (uplink, epoch, seq)
) WITHOUT ROWID;
CREATE INDEX delivery_span ON delivery (uplink, start_us);
CREATE INDEX delivery_open ON delivery (uplink, state) WHERE state <> 'acknowledged';
INSERT INTO delivery (uplink, epoch, seq, kind, start_us, period_min, made_us, digest, state, sent_count, reason)
    SELECT uplink, epoch, seq, 'record', start_us, period_min, 0, x'',
           CASE WHEN refused IS NOT NULL THEN 'refused' WHEN sent_count > 0 THEN 'sent' ELSE 'stored' END,
           sent_count, refused
    FROM outbox JOIN stream USING (uplink);

-- One row a day and stream: what was due and what became of it; hash = SHA-256 of the hash before and the record.
-- A day whose figures changed later (back-fill, reconciling) gets another row; the newest of a day holds.
CREATE TABLE completeness (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uplink TEXT NOT NULL,
    day TEXT NOT NULL, -- of the site's calendar
    record TEXT NOT NULL, -- JSON
    hash BLOB NOT NULL
);
CREATE INDEX completeness_day ON completeness (uplink, day, id);
