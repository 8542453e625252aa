-- How much tenants use, where no rows are left to count.

-- What happened in a period (UTC): jobs that requests asked for by day, requests by month. They stay, for bills.
CREATE TABLE usage_counters (
    tenant_id TEXT    NOT NULL,
    counter   TEXT    NOT NULL CHECK (counter IN ('jobs', 'api_calls')),
    -- 2027-01-31, or 2027-01
    period    TEXT    NOT NULL,
    amount    INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (tenant_id, counter, period)
) STRICT;

-- Documents and their bytes are counted from the rows, without visiting them.
CREATE INDEX documents_by_tenant ON documents (tenant_id, size_bytes);
