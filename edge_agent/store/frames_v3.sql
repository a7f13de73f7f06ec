-- The names once more, as one block (names.py): without them nothing in a damaged file can be told.
CREATE TABLE names (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    crc INTEGER NOT NULL, -- CRC-32 of the blob
    blob BLOB NOT NULL
);
