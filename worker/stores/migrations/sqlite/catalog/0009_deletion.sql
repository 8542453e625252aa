-- Since when a document is being deleted. Nobody sees it any more; its row goes last.
ALTER TABLE documents ADD COLUMN deleting_at_us INTEGER;
