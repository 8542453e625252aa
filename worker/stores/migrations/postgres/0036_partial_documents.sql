-- What could not be extracted from a document that is in the graph: how many of its chunks gave nothing, the first of
-- them with reasons, and how many records were dropped. Only a processed document with such chunks is partial.
alter table documents add column chunks_failed bigint not null default 0;
alter table documents add column chunk_faults text;
alter table documents add column records_dropped bigint not null default 0;
