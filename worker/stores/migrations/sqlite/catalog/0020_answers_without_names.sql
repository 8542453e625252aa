-- Stored answers hold no names any more: they come from the request that replays the answer. So what a knowledge base or
-- a document was called goes with it.
UPDATE idempotency SET body = json_set(body, '$.name', NULL) WHERE json_type(body, '$.name') IS NOT NULL;
UPDATE idempotency SET body = json_set(body, '$.documents', json((
    SELECT json_group_array(json_set(value, '$.name', NULL)) FROM json_each(body, '$.documents'))))
WHERE json_type(body, '$.documents') = 'array';
