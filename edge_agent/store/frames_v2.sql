-- How far the clock was trusted when the frame was made (clock_quality.py; NULL: an older release could not tell), and
-- how often the clock had been set back within this file by then: instant and fold together are unique.
ALTER TABLE frame ADD COLUMN clock INTEGER;
ALTER TABLE frame ADD COLUMN fold INTEGER NOT NULL DEFAULT 0;

-- What the file needs to explain its points: how far apart readings are expected [s], and what goes first when there
-- is no room (facts.py). NULL: not known when the file was written.
ALTER TABLE point ADD COLUMN period_s REAL;
ALTER TABLE point ADD COLUMN keep INTEGER;

-- A quarter of an hour of frames as columns (segment_codec.py), one row a class of points. The frames that it was made
-- of were removed in the same transaction.
CREATE TABLE segment (
    id INTEGER PRIMARY KEY,
    seq_first INTEGER NOT NULL,
    seq_last INTEGER NOT NULL,
    keep INTEGER NOT NULL,
    fold INTEGER NOT NULL,
    clock INTEGER, -- the worst of its frames
    instant_min_us INTEGER NOT NULL,
    instant_max_us INTEGER NOT NULL,
    sample_min_us INTEGER NOT NULL,
    sample_max_us INTEGER NOT NULL,
    layout INTEGER NOT NULL,
    crc INTEGER NOT NULL, -- CRC-32 of the blob
    blob BLOB NOT NULL,
    UNIQUE (seq_first, keep)
);
CREATE INDEX segment_span ON segment (sample_max_us, sample_min_us);
