-- How often readings came after a period had been closed (from the disk's refusal, a clock set back, a salvaged file):
-- its rollups are recomputed from the frames, and the count goes back to 0 when nothing has come meanwhile.
ALTER TABLE rollup ADD COLUMN stale INTEGER NOT NULL DEFAULT 0;
CREATE INDEX rollup_stale ON rollup (start_us) WHERE stale > 0;
