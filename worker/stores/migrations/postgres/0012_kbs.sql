-- Since when a knowledge base is being deleted. Nobody sees it any more; its row goes last.
alter table kbs add column deleting_at timestamptz;
-- Grows with each change.
alter table kbs add column revision bigint not null default 1;
