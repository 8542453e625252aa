-- What could not be extracted from a document that is in the graph: how many of its chunks gave nothing, the first of
-- them with reasons, and how many records were dropped. Only a processed document with such chunks is partial.
ALTER TABLE documents ADD COLUMN chunks_failed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN chunk_faults TEXT;
ALTER TABLE documents ADD COLUMN records_dropped INTEGER NOT NULL DEFAULT 0;
