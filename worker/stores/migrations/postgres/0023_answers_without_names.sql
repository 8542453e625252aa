-- Stored answers hold no names any more: they come from the request that replays the answer. So what a knowledge base or
-- a document was called goes with it.

-- The owner, too, sees no rows of tenants unless it says so.
alter table idempotency no force row level security;
update idempotency set body = jsonb_set(body::jsonb, '{name}', 'null')::text where body::jsonb -> 'name' is not null;
update idempotency set body = jsonb_set(body::jsonb, '{documents}', (
    select jsonb_agg(jsonb_set(document, '{name}', 'null') order by place)
    from jsonb_array_elements(body::jsonb -> 'documents') with ordinality as documents (document, place)))::text
where jsonb_typeof(body::jsonb -> 'documents') = 'array';
alter table idempotency force row level security;
