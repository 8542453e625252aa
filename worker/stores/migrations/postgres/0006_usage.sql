-- How much tenants use, where no rows are left to count.

-- What happened in a period (UTC): jobs that requests asked for by day, requests by month. They stay, for bills.
create table usage_counters (
    tenant_id text collate "C" not null,
    counter text collate "C" not null check (counter in ('jobs', 'api_calls')),
    -- 2027-01-31, or 2027-01
    period text collate "C" not null,
    amount bigint not null check (amount >= 0),
    primary key (tenant_id, counter, period)
);
select tenantry.isolate('usage_counters');

-- Documents and their bytes are counted from the rows, without visiting them.
create index documents_by_tenant on documents (tenant_id) include (size_bytes);
