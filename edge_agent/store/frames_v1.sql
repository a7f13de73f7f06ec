-- frames/YYYY-MM-DD.db: the raw samples of one UTC day, one row a scan. Instants are microseconds since 1970 UTC.
-- The file explains itself: names, units and causes stand in `point` and `word`.

CREATE TABLE point (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    UNIQUE (name, unit)
);

CREATE TABLE word (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);

CREATE TABLE frame (
    seq INTEGER PRIMARY KEY,
    instant_us INTEGER NOT NULL,
    elapsed_us INTEGER NOT NULL, -- reading of the machine's monotonic clock; means something within one boot
    boot TEXT NOT NULL,
    sample_min_us INTEGER NOT NULL,
    sample_max_us INTEGER NOT NULL,
    layout INTEGER NOT NULL, -- of the blob: frame_codec.py
    crc INTEGER NOT NULL, -- CRC-32 of the blob
    blob BLOB NOT NULL
);
CREATE INDEX frame_span ON frame (sample_max_us, sample_min_us);
