-- Members are changed by several people at once.

-- Grows with each change of the member.
alter table members add column revision bigint not null default 1;
