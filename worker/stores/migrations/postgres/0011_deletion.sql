-- Since when a document is being deleted. Nobody sees it any more; its row goes last.
alter table documents add column deleting_at timestamptz;
