-- Since when a knowledge base is being deleted. Nobody sees it any more; its row goes last.
ALTER TABLE kbs ADD COLUMN deleting_at_us INTEGER;
-- Grows with each change.
ALTER TABLE kbs ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
