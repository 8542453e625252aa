SET check_function_bodies = false;
CREATE SCHEMA tenantry;
CREATE FUNCTION tenantry.app_grant(app name) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
    target regclass;
    reader name;
begin
    execute format('grant usage on schema public, tenantry to %I', app);
    execute format('grant select on tenantry.migrations to %I', app);
    for target in
        select c.oid from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
          and pg_get_userbyid(c.relowner) = current_user
    loop
        execute format('grant select, insert, update, delete on %s to %I', target, app);
    end loop;
    -- Memberships belong to the cluster, so they are left alone where another installation made them.
    foreach reader in array array['tenantry_directory', 'tenantry_relay', 'tenantry_identity'] loop
        continue when exists (
            select from pg_auth_members where roleid = reader::regrole and member = quote_ident(app)::regrole);
        if current_setting('server_version_num')::int >= 160000 then
            execute format('grant %I to %I with inherit false, set true', reader, app);
        else
            execute format('alter role %I noinherit', app);
            execute format('grant %I to %I', reader, app);
        end if;
    end loop;
end $$;
CREATE FUNCTION tenantry.expose(target regclass, reader name) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
    execute format('grant select on %s to %I', target, reader);
    execute format('create policy %I on %s for select to %I using (true)', reader || '_reads', target, reader);
end $$;
CREATE FUNCTION tenantry.isolate(target regclass) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
    execute format('alter table %s add check (tenant_id <> '''')', target);
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format(
        'create policy tenant_rows on %s using (tenant_id = current_setting(''app.tenant_id'', true))', target);
end $$;
CREATE TABLE public.api_keys (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    key_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    secret_sha256 text NOT NULL,
    role text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    kb_id text COLLATE pg_catalog."C",
    permissions text,
    created_by text,
    revision bigint DEFAULT 1 NOT NULL,
    last_used_at timestamp with time zone,
    previous_sha256 text,
    previous_until timestamp with time zone,
    CONSTRAINT api_keys_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.api_keys FORCE ROW LEVEL SECURITY;
CREATE TABLE public.documents (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    kb_id text NOT NULL COLLATE pg_catalog."C",
    document_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    revision bigint NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 text NOT NULL,
    status text NOT NULL,
    fault_code text,
    fault_detail text,
    chunks bigint DEFAULT 0 NOT NULL,
    entities bigint DEFAULT 0 NOT NULL,
    relations bigint DEFAULT 0 NOT NULL,
    job_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    deleting_at timestamp with time zone,
    CONSTRAINT documents_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'processing'::text, 'processed'::text, 'failed'::text]))),
    CONSTRAINT documents_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.documents FORCE ROW LEVEL SECURITY;
CREATE TABLE public.idempotency (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    fingerprint text NOT NULL,
    status integer NOT NULL,
    body text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT idempotency_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.idempotency FORCE ROW LEVEL SECURITY;
CREATE TABLE public.index_entity_mentions (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    workspace text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    chunk_id text NOT NULL COLLATE pg_catalog."C",
    document_id text NOT NULL COLLATE pg_catalog."C",
    file_name text NOT NULL,
    entity_type text NOT NULL,
    description text NOT NULL,
    CONSTRAINT index_entity_mentions_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.index_entity_mentions FORCE ROW LEVEL SECURITY;
CREATE TABLE public.index_relation_mentions (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    workspace text NOT NULL COLLATE pg_catalog."C",
    source text NOT NULL COLLATE pg_catalog."C",
    target text NOT NULL COLLATE pg_catalog."C",
    chunk_id text NOT NULL COLLATE pg_catalog."C",
    document_id text NOT NULL COLLATE pg_catalog."C",
    file_name text NOT NULL,
    keywords text NOT NULL,
    weight_milli bigint NOT NULL,
    description text NOT NULL,
    CONSTRAINT index_relation_mentions_check CHECK ((source < target)),
    CONSTRAINT index_relation_mentions_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.index_relation_mentions FORCE ROW LEVEL SECURITY;
CREATE TABLE public.job_history (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    job_id uuid NOT NULL,
    kind text NOT NULL,
    queue text NOT NULL,
    state text NOT NULL,
    attempts bigint NOT NULL,
    error_code text,
    error_detail text,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    CONSTRAINT job_history_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.job_history FORCE ROW LEVEL SECURITY;
CREATE TABLE public.kbs (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    kb_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    workspace text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    deleting_at timestamp with time zone,
    revision bigint DEFAULT 1 NOT NULL,
    CONSTRAINT kbs_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.kbs FORCE ROW LEVEL SECURITY;
CREATE TABLE public.lightrag_doc_chunks (
    id character varying(255) NOT NULL,
    workspace character varying(255) NOT NULL,
    full_doc_id character varying(256),
    chunk_order_index integer,
    tokens integer,
    content text,
    file_path text,
    llm_cache_list jsonb DEFAULT '[]'::jsonb,
    heading jsonb DEFAULT '{}'::jsonb,
    sidecar jsonb DEFAULT '{}'::jsonb,
    create_time timestamp(0) without time zone DEFAULT CURRENT_TIMESTAMP,
    update_time timestamp(0) without time zone DEFAULT CURRENT_TIMESTAMP,
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    kb_id text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT lightrag_doc_chunks_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.lightrag_doc_chunks FORCE ROW LEVEL SECURITY;
CREATE TABLE public.members (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    subject text NOT NULL COLLATE pg_catalog."C",
    role text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone,
    revision bigint DEFAULT 1 NOT NULL,
    CONSTRAINT members_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.members FORCE ROW LEVEL SECURITY;
CREATE TABLE public.outbox (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    job_id uuid NOT NULL,
    wire text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT outbox_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.outbox FORCE ROW LEVEL SECURITY;
CREATE TABLE public.outbox_rejected (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    job_id uuid NOT NULL,
    wire text NOT NULL,
    reason text NOT NULL,
    rejected_at timestamp with time zone NOT NULL,
    CONSTRAINT outbox_rejected_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.outbox_rejected FORCE ROW LEVEL SECURITY;
CREATE TABLE public.schedules (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    kb_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    cron text NOT NULL,
    time_zone text NOT NULL,
    kind text NOT NULL,
    template text NOT NULL,
    created_by text NOT NULL,
    next_fire_at timestamp with time zone NOT NULL,
    last_fire_at timestamp with time zone,
    CONSTRAINT schedules_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.schedules FORCE ROW LEVEL SECURITY;
CREATE TABLE public.slugs (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    slug text NOT NULL COLLATE pg_catalog."C",
    is_current boolean DEFAULT true NOT NULL,
    CONSTRAINT slugs_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.slugs FORCE ROW LEVEL SECURITY;
CREATE TABLE public.tenants (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    plan text NOT NULL,
    status text NOT NULL,
    epoch bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    limits text DEFAULT '{}'::text NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    applied_revision bigint DEFAULT 0 NOT NULL,
    rag_settings text DEFAULT '{}'::text NOT NULL,
    rag_revision bigint DEFAULT 1 NOT NULL,
    deleted_at timestamp with time zone,
    gone_revision bigint DEFAULT 0 NOT NULL,
    CONSTRAINT tenants_status_check CHECK ((status = ANY (ARRAY['provisioning'::text, 'active'::text, 'suspended'::text, 'deprovisioning'::text]))),
    CONSTRAINT tenants_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.tenants FORCE ROW LEVEL SECURITY;
CREATE TABLE public.usage_counters (
    tenant_id text NOT NULL COLLATE pg_catalog."C",
    counter text NOT NULL COLLATE pg_catalog."C",
    period text NOT NULL COLLATE pg_catalog."C",
    amount bigint NOT NULL,
    CONSTRAINT usage_counters_amount_check CHECK ((amount >= 0)),
    CONSTRAINT usage_counters_counter_check CHECK ((counter = ANY (ARRAY['jobs'::text, 'api_calls'::text]))),
    CONSTRAINT usage_counters_tenant_id_check CHECK ((tenant_id <> ''::text))
);
ALTER TABLE ONLY public.usage_counters FORCE ROW LEVEL SECURITY;
CREATE TABLE tenantry.gates (
    key text NOT NULL COLLATE pg_catalog."C",
    tries bigint NOT NULL,
    last_at timestamp with time zone NOT NULL,
    open_at timestamp with time zone NOT NULL
);
CREATE TABLE tenantry.migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE tenantry.sessions (
    session_id uuid NOT NULL,
    user_name text NOT NULL COLLATE pg_catalog."C",
    tenant_id text COLLATE pg_catalog."C",
    generation bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone
);
CREATE TABLE tenantry.users (
    name text NOT NULL COLLATE pg_catalog."C",
    password_hash text NOT NULL,
    created_at timestamp with time zone NOT NULL
);
INSERT INTO public.api_keys (tenant_id, key_id, name, secret_sha256, role, created_at, expires_at, revoked_at, kb_id, permissions, created_by, revision, last_used_at, previous_sha256, previous_until) VALUES ('birch', '936f13b0fdf393c9', 'first key', 'ef236f9f52ef8d877565b117537c4dd86415d2ab0b767cb7b6225dd121d8db28', 'ADMIN', '2026-11-29 01:37:04.446527+00', NULL, NULL, NULL, NULL, NULL, 1, NULL, NULL, NULL);
INSERT INTO public.api_keys (tenant_id, key_id, name, secret_sha256, role, created_at, expires_at, revoked_at, kb_id, permissions, created_by, revision, last_used_at, previous_sha256, previous_until) VALUES ('acme', 'b7bd62b25eb0d347', 'first key', 'dc3fbdbed7ffbf78146114c8e6a6f624d8ce2a1e9dfcd2b463c8c18978d91783', 'ADMIN', '2026-11-29 01:37:04.447931+00', NULL, NULL, NULL, NULL, NULL, 1, '2026-11-29 01:37:04.519098+00', NULL, NULL);
INSERT INTO public.api_keys (tenant_id, key_id, name, secret_sha256, role, created_at, expires_at, revoked_at, kb_id, permissions, created_by, revision, last_used_at, previous_sha256, previous_until) VALUES ('acme', 'faac46b7b7de0a1f', 'reader', 'eccc4cbf4d73241f4d88ea96d9c36bb5bde50d299506c294536b11fed201ff9c', 'VIEWER', '2026-11-29 01:37:06.040936+00', NULL, NULL, 'papers', NULL, 'api_key:b7bd62b25eb0d347', 1, NULL, NULL, NULL);
INSERT INTO public.api_keys (tenant_id, key_id, name, secret_sha256, role, created_at, expires_at, revoked_at, kb_id, permissions, created_by, revision, last_used_at, previous_sha256, previous_until) VALUES ('acme', '2352aa8e1ba20b42', 'revoked', '0f9b6a3ffa61a76058b3b7e604e107d584e90fe6076e69f6aeaf83ebde59d0ce', 'EDITOR', '2026-11-29 01:37:06.051458+00', NULL, '2026-11-29 01:37:06.062932+00', NULL, NULL, 'api_key:b7bd62b25eb0d347', 2, NULL, NULL, NULL);
INSERT INTO public.api_keys (tenant_id, key_id, name, secret_sha256, role, created_at, expires_at, revoked_at, kb_id, permissions, created_by, revision, last_used_at, previous_sha256, previous_until) VALUES ('acme', 'a16e970171bf650b', 'rotated', 'b6b47c34648b87f833b83ac964e9289a5c38852c958d54e87809e2201c2eb7ec', 'EDITOR', '2026-11-29 01:37:06.073488+00', NULL, NULL, NULL, 'document:read', 'api_key:b7bd62b25eb0d347', 2, NULL, NULL, NULL);
INSERT INTO public.documents (tenant_id, kb_id, document_id, name, revision, media_type, size_bytes, sha256, status, fault_code, fault_detail, chunks, entities, relations, job_id, created_at, updated_at, deleting_at) VALUES ('acme', 'default', 'doc-a89f577bef3a223d55a3878fd4a62f3c', 'notes/heron.md', 1, 'text/markdown', 82, 'c70d28fd0be2a1352bdd0af5a084a55bddde5825f6fcf458a5868a544bfa8ab4', 'processed', NULL, NULL, 1, 4, 4, '01a224f2-d87c-794a-a1c7-bc02a2d913c7', '2026-11-29 01:37:04.640635+00', '2026-11-29 01:37:05.002239+00', NULL);
INSERT INTO public.documents (tenant_id, kb_id, document_id, name, revision, media_type, size_bytes, sha256, status, fault_code, fault_detail, chunks, entities, relations, job_id, created_at, updated_at, deleting_at) VALUES ('acme', 'default', 'doc-19b9ab570937b46e2383bc2f399f3321', 'empty.html', 1, 'text/html', 16, '5fca5dfc48d7f4cd521889fd4623ef5b9e7a91a7e2f0573a274b1df1c52407d0', 'failed', 'empty_document', 'the document contains no text; upload a document with at least one word', 0, 0, 0, '01a224f2-da77-715f-abcd-750aaf127a99', '2026-11-29 01:37:05.151455+00', '2026-11-29 01:37:05.18127+00', NULL);
INSERT INTO public.documents (tenant_id, kb_id, document_id, name, revision, media_type, size_bytes, sha256, status, fault_code, fault_detail, chunks, entities, relations, job_id, created_at, updated_at, deleting_at) VALUES ('acme', 'default', 'doc-8212df42d6fbff9a3be24c205b596b11', 'kestrel.txt', 2, 'text/plain', 61, '395ccbe77d225a935987756568127999ae3d61a5b120dc8d39074f54fe506d65', 'processed', NULL, NULL, 1, 4, 2, '01a224f2-da50-7493-a83b-7547c1038068', '2026-11-29 01:37:04.661558+00', '2026-11-29 01:37:05.715557+00', NULL);
INSERT INTO public.documents (tenant_id, kb_id, document_id, name, revision, media_type, size_bytes, sha256, status, fault_code, fault_detail, chunks, entities, relations, job_id, created_at, updated_at, deleting_at) VALUES ('acme', 'papers', 'doc-9f7936f9b5c071ae81db818b80a44a0d', 'second.md', 1, 'text/markdown', 41, '1c08d6b1a138f865694229bc216a2b016d01df88f3100d307986ea82fe6a2059', 'processed', NULL, NULL, 1, 3, 3, '01a224f2-da60-7a41-824b-25b5b0dc9086', '2026-11-29 01:37:05.129561+00', '2026-11-29 01:37:05.756419+00', NULL);
INSERT INTO public.documents (tenant_id, kb_id, document_id, name, revision, media_type, size_bytes, sha256, status, fault_code, fault_detail, chunks, entities, relations, job_id, created_at, updated_at, deleting_at) VALUES ('acme', 'papers', 'doc-53e0c1330865611cf5a83cbdfb0abf07', 'Quietwater.md', 1, 'text/markdown', 25, 'a149e86d2ba92e9d55a7a8e6fb278f021faf2a740d35b6db7b133148af798191', 'processed', NULL, NULL, 1, 2, 1, '01a224f2-da5e-7860-b385-5773ed239346', '2026-11-29 01:37:05.129561+00', '2026-11-29 01:37:05.86738+00', NULL);
INSERT INTO public.documents (tenant_id, kb_id, document_id, name, revision, media_type, size_bytes, sha256, status, fault_code, fault_detail, chunks, entities, relations, job_id, created_at, updated_at, deleting_at) VALUES ('acme', 'papers', 'doc-09de8e05c2d99d5993022b60f2805b39', 'waiting.md', 4, 'text/markdown', 35, 'db2ba433d1e80b9c06faa8614fa7426e5f0843a626319247a3a829c0529e43b9', 'pending', NULL, NULL, 0, 0, 0, '01a224f2-e8cd-7b09-a70e-4e9277d0f455', '2026-11-29 01:37:08.816971+00', '2026-11-29 01:37:08.816971+00', NULL);
INSERT INTO public.idempotency (tenant_id, key, fingerprint, status, body, created_at) VALUES ('self-test-canary-3f9c1b7d', 'canary-01a224f2-d144-7954-b547-9298b9195f5f', 'canary-01a224f2-d144-7954-b547-9298b9195f5f', 200, 'null', '2026-11-29 01:37:02.78854+00');
INSERT INTO public.idempotency (tenant_id, key, fingerprint, status, body, created_at) VALUES ('self-test-canary-3f9c1b7d', 'canary-01a224f2-d144-7b24-a1b7-3845b14d798d', 'canary-01a224f2-d144-7b24-a1b7-3845b14d798d', 200, 'null', '2026-11-29 01:37:02.788531+00');
INSERT INTO public.idempotency (tenant_id, key, fingerprint, status, body, created_at) VALUES ('acme', 'acme-1', 'f926ea3dce4bd6fe8b202c448ee133f022f45db9bd02ce967d8be2054895716e', 202, '{"api_key_id":"b7bd62b25eb0d347","job_id":"01a224f2-d672-7006-a785-cf477136cb7f","location":"/api/v1/tenants/acme","tenant":{"id":"acme","name":"Acme Ltd","plan":"standard","slug":"acme","status":"provisioning"}}', '2026-11-29 01:37:04.114487+00');
INSERT INTO public.idempotency (tenant_id, key, fingerprint, status, body, created_at) VALUES ('acme', 'papers-1', 'ce20db0fcdf879e03f22d35544d57da6e77b793a2e67a453bb985be7c55a7ed4', 201, '{"created_at":"2026-11-29T01:37:04.520276706Z","id":"papers","location":"/api/v1/tenants/acme/kbs/papers","name":"Larkspur papers"}', '2026-11-29 01:37:04.560684+00');
INSERT INTO public.idempotency (tenant_id, key, fingerprint, status, body, created_at) VALUES ('acme', 'batch-1', 'e7a844a60fe8b9796695fe93f6875d48de11d00471b9f509faece2b67d491aec', 202, '{"documents":[{"document_id":"doc-53e0c1330865611cf5a83cbdfb0abf07","job_id":"01a224f2-da5e-7860-b385-5773ed239346","location":"/api/v1/tenants/acme/jobs/01a224f2-da5e-7860-b385-5773ed239346","name":"Quietwater.md","revision":1},{"document_id":"doc-9f7936f9b5c071ae81db818b80a44a0d","job_id":"01a224f2-da60-7a41-824b-25b5b0dc9086","location":"/api/v1/tenants/acme/jobs/01a224f2-da60-7a41-824b-25b5b0dc9086","name":"second.md","revision":1}],"job_id":"01a224f2-da5e-7860-b385-5773ed239346","location":"/api/v1/tenants/acme/jobs/01a224f2-da5e-7860-b385-5773ed239346"}', '2026-11-29 01:37:05.129561+00');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Ada Lovelace', 'doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000', 'doc-a89f577bef3a223d55a3878fd4a62f3c', 'notes/heron.md', 'person', 'Ada Lovelace met Charles Babbage in London.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Charles Babbage', 'doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000', 'doc-a89f577bef3a223d55a3878fd4a62f3c', 'notes/heron.md', 'person', 'Ada Lovelace met Charles Babbage in London.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Heron Ltd', 'doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000', 'doc-a89f577bef3a223d55a3878fd4a62f3c', 'notes/heron.md', 'organization', 'Babbage works for Heron Ltd.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'London', 'doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000', 'doc-a89f577bef3a223d55a3878fd4a62f3c', 'notes/heron.md', 'location', 'Ada Lovelace met Charles Babbage in London.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut3a7y07rxkq', 'Fennwick Ltd', 'doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000', 'doc-9f7936f9b5c071ae81db818b80a44a0d', 'second.md', 'organization', 'Nora Lindqvist runs Fennwick Ltd in Oslo.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut3a7y07rxkq', 'Nora Lindqvist', 'doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000', 'doc-9f7936f9b5c071ae81db818b80a44a0d', 'second.md', 'person', 'Nora Lindqvist runs Fennwick Ltd in Oslo.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut3a7y07rxkq', 'Oslo', 'doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000', 'doc-9f7936f9b5c071ae81db818b80a44a0d', 'second.md', 'location', 'Nora Lindqvist runs Fennwick Ltd in Oslo.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Ada Lovelace', 'doc-8212df42d6fbff9a3be24c205b596b11-chunk-000', 'doc-8212df42d6fbff9a3be24c205b596b11', 'kestrel.txt', 'concept', 'Ada Lovelace lives in London.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Grace Hopper', 'doc-8212df42d6fbff9a3be24c205b596b11-chunk-000', 'doc-8212df42d6fbff9a3be24c205b596b11', 'kestrel.txt', 'person', 'Grace Hopper left Kestrel Labs.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Kestrel Labs', 'doc-8212df42d6fbff9a3be24c205b596b11-chunk-000', 'doc-8212df42d6fbff9a3be24c205b596b11', 'kestrel.txt', 'organization', 'Grace Hopper left Kestrel Labs.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'London', 'doc-8212df42d6fbff9a3be24c205b596b11-chunk-000', 'doc-8212df42d6fbff9a3be24c205b596b11', 'kestrel.txt', 'location', 'Ada Lovelace lives in London.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut3a7y07rxkq', 'Oslo', 'doc-53e0c1330865611cf5a83cbdfb0abf07-chunk-000', 'doc-53e0c1330865611cf5a83cbdfb0abf07', 'Quietwater.md', 'location', 'Tomas Berg lives in Oslo.');
INSERT INTO public.index_entity_mentions (tenant_id, workspace, name, chunk_id, document_id, file_name, entity_type, description) VALUES ('acme', 'ws_0197ut3a7y07rxkq', 'Tomas Berg', 'doc-53e0c1330865611cf5a83cbdfb0abf07-chunk-000', 'doc-53e0c1330865611cf5a83cbdfb0abf07', 'Quietwater.md', 'person', 'Tomas Berg lives in Oslo.');
INSERT INTO public.index_relation_mentions (tenant_id, workspace, source, target, chunk_id, document_id, file_name, keywords, weight_milli, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Ada Lovelace', 'Charles Babbage', 'doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000', 'doc-a89f577bef3a223d55a3878fd4a62f3c', 'notes/heron.md', 'london', 1000, 'Ada Lovelace met Charles Babbage in London.');
INSERT INTO public.index_relation_mentions (tenant_id, workspace, source, target, chunk_id, document_id, file_name, keywords, weight_milli, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Ada Lovelace', 'London', 'doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000', 'doc-a89f577bef3a223d55a3878fd4a62f3c', 'notes/heron.md', 'charles,babbage', 1000, 'Ada Lovelace met Charles Babbage in London.');
INSERT INTO public.index_relation_mentions (tenant_id, workspace, source, target, chunk_id, document_id, file_name, keywords, weight_milli, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Charles Babbage', 'Heron Ltd', 'doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000', 'doc-a89f577bef3a223d55a3878fd4a62f3c', 'notes/heron.md', 'works', 1000, 'Babbage works for Heron Ltd.');
INSERT INTO public.index_relation_mentions (tenant_id, workspace, source, target, chunk_id, document_id, file_name, keywords, weight_milli, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Charles Babbage', 'London', 'doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000', 'doc-a89f577bef3a223d55a3878fd4a62f3c', 'notes/heron.md', 'mentioned together', 1000, 'Ada Lovelace met Charles Babbage in London.');
INSERT INTO public.index_relation_mentions (tenant_id, workspace, source, target, chunk_id, document_id, file_name, keywords, weight_milli, description) VALUES ('acme', 'ws_0197ut3a7y07rxkq', 'Fennwick Ltd', 'Nora Lindqvist', 'doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000', 'doc-9f7936f9b5c071ae81db818b80a44a0d', 'second.md', 'runs', 1000, 'Nora Lindqvist runs Fennwick Ltd in Oslo.');
INSERT INTO public.index_relation_mentions (tenant_id, workspace, source, target, chunk_id, document_id, file_name, keywords, weight_milli, description) VALUES ('acme', 'ws_0197ut3a7y07rxkq', 'Fennwick Ltd', 'Oslo', 'doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000', 'doc-9f7936f9b5c071ae81db818b80a44a0d', 'second.md', 'mentioned together', 1000, 'Nora Lindqvist runs Fennwick Ltd in Oslo.');
INSERT INTO public.index_relation_mentions (tenant_id, workspace, source, target, chunk_id, document_id, file_name, keywords, weight_milli, description) VALUES ('acme', 'ws_0197ut3a7y07rxkq', 'Nora Lindqvist', 'Oslo', 'doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000', 'doc-9f7936f9b5c071ae81db818b80a44a0d', 'second.md', 'runs,fennwick,ltd', 1000, 'Nora Lindqvist runs Fennwick Ltd in Oslo.');
INSERT INTO public.index_relation_mentions (tenant_id, workspace, source, target, chunk_id, document_id, file_name, keywords, weight_milli, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Ada Lovelace', 'London', 'doc-8212df42d6fbff9a3be24c205b596b11-chunk-000', 'doc-8212df42d6fbff9a3be24c205b596b11', 'kestrel.txt', 'lives', 1000, 'Ada Lovelace lives in London.');
INSERT INTO public.index_relation_mentions (tenant_id, workspace, source, target, chunk_id, document_id, file_name, keywords, weight_milli, description) VALUES ('acme', 'ws_0197ut39vyk4z6s9', 'Grace Hopper', 'Kestrel Labs', 'doc-8212df42d6fbff9a3be24c205b596b11-chunk-000', 'doc-8212df42d6fbff9a3be24c205b596b11', 'kestrel.txt', 'left', 1000, 'Grace Hopper left Kestrel Labs.');
INSERT INTO public.index_relation_mentions (tenant_id, workspace, source, target, chunk_id, document_id, file_name, keywords, weight_milli, description) VALUES ('acme', 'ws_0197ut3a7y07rxkq', 'Oslo', 'Tomas Berg', 'doc-53e0c1330865611cf5a83cbdfb0abf07-chunk-000', 'doc-53e0c1330865611cf5a83cbdfb0abf07', 'Quietwater.md', 'lives', 1000, 'Tomas Berg lives in Oslo.');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('birch', '01a224f2-d6a4-7f4e-ae57-ad0e23076fe2', 'tenant.provision', 'tenants', 'completed', 1, NULL, NULL, '2026-11-29 01:37:04.164246+00', '2026-11-29 01:37:04.292446+00', '2026-11-29 01:37:04.45182+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-d672-7006-a785-cf477136cb7f', 'tenant.provision', 'tenants', 'completed', 1, NULL, NULL, '2026-11-29 01:37:04.114271+00', '2026-11-29 01:37:04.292996+00', '2026-11-29 01:37:04.452231+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-d87c-794a-a1c7-bc02a2d913c7', 'document.ingest', 'documents', 'completed', 1, NULL, NULL, '2026-11-29 01:37:04.6367+00', '2026-11-29 01:37:04.646314+00', '2026-11-29 01:37:04.676489+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-d88f-74db-afa9-098fa36722f0', 'document.ingest', 'documents', 'completed', 1, NULL, NULL, '2026-11-29 01:37:04.655463+00', '2026-11-29 01:37:04.675085+00', '2026-11-29 01:37:04.686736+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-d87c-73d4-b032-0ca639950f52', 'entities.extract', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:04.676169+00', '2026-11-29 01:37:04.682288+00', '2026-11-29 01:37:04.698206+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-d88f-7bed-b544-c289f82ac986', 'entities.extract', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:04.686377+00', '2026-11-29 01:37:04.697443+00', '2026-11-29 01:37:04.70797+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-d87c-748d-9980-a0cbde911f90', 'graph.build', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:04.676284+00', '2026-11-29 01:37:04.703975+00', '2026-11-29 01:37:05.004558+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-d88f-74a8-8380-a39f89793e56', 'graph.build', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:04.686498+00', '2026-11-29 01:37:04.716565+00', '2026-11-29 01:37:05.004978+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da50-7493-a83b-7547c1038068', 'document.ingest', 'documents', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.104189+00', '2026-11-29 01:37:05.110856+00', '2026-11-29 01:37:05.132662+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da50-7124-ae74-f99bcb19482d', 'entities.extract', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.13223+00', '2026-11-29 01:37:05.137681+00', '2026-11-29 01:37:05.166586+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da60-7a41-824b-25b5b0dc9086', 'document.ingest', 'documents', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.120509+00', '2026-11-29 01:37:05.137209+00', '2026-11-29 01:37:05.170933+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da77-715f-abcd-750aaf127a99', 'document.ingest', 'documents', 'discarded', 1, 'empty_document', 'the document contains no text; upload a document with at least one word', '2026-11-29 01:37:05.143759+00', '2026-11-29 01:37:05.167632+00', '2026-11-29 01:37:05.187639+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da98-7bc3-8c6f-f1bdbcbab9a4', 'document.ingest', 'documents', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.176579+00', '2026-11-29 01:37:05.193522+00', '2026-11-29 01:37:05.206894+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da60-7c6a-ac70-30f89791a054', 'entities.extract', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.170556+00', '2026-11-29 01:37:05.180002+00', '2026-11-29 01:37:05.207359+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da98-7b7d-b54a-f1b3f398e789', 'entities.extract', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.206512+00', '2026-11-29 01:37:05.216623+00', '2026-11-29 01:37:05.237373+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-dabb-7e87-a27d-ba7b7a65699c', 'document.ingest', 'documents', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.211704+00', '2026-11-29 01:37:05.230782+00', '2026-11-29 01:37:05.322188+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-dabb-7ff3-b0d8-8fef2f1aea5b', 'entities.extract', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.321773+00', '2026-11-29 01:37:05.325673+00', '2026-11-29 01:37:05.378428+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da5e-7860-b385-5773ed239346', 'document.ingest', 'documents', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.118834+00', '2026-11-29 01:37:05.138253+00', '2026-11-29 01:37:05.40117+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da5e-77b8-a52a-b29c87e5467c', 'entities.extract', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.400731+00', '2026-11-29 01:37:05.406385+00', '2026-11-29 01:37:05.458002+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da50-7932-b4ed-47aa166e402a', 'graph.build', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.132394+00', '2026-11-29 01:37:05.181421+00', '2026-11-29 01:37:05.718443+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da98-79ac-9c7c-59c6d106d47e', 'graph.build', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.206666+00', '2026-11-29 01:37:05.247757+00', '2026-11-29 01:37:05.720319+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da60-78fe-9e38-85b41273d708', 'graph.build', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.170704+00', '2026-11-29 01:37:05.217413+00', '2026-11-29 01:37:05.759594+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-dabb-72a8-be9b-c441048741df', 'graph.build', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.321947+00', '2026-11-29 01:37:05.383878+00', '2026-11-29 01:37:05.832913+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-da5e-79de-8864-aa6c0ac7fd16', 'graph.build', 'enrich', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.400911+00', '2026-11-29 01:37:05.46385+00', '2026-11-29 01:37:05.869536+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-dd6e-753f-9109-4149b16c00e7', 'document.delete', 'documents', 'completed', 1, NULL, NULL, '2026-11-29 01:37:05.902011+00', '2026-11-29 01:37:05.905871+00', '2026-11-29 01:37:06.009031+00');
INSERT INTO public.job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_detail, created_at, started_at, finished_at) VALUES ('acme', '01a224f2-ddde-7e1f-9cd5-2c747d71891c', 'kb.delete', 'maintenance', 'completed', 1, NULL, NULL, '2026-11-29 01:37:06.014635+00', '2026-11-29 01:37:06.021454+00', '2026-11-29 01:37:06.205639+00');
INSERT INTO public.kbs (tenant_id, kb_id, name, workspace, created_at, deleting_at, revision) VALUES ('acme', 'default', 'Default', 'ws_0197ut39vyk4z6s9', '2026-11-29 01:37:04.302536+00', NULL, 1);
INSERT INTO public.kbs (tenant_id, kb_id, name, workspace, created_at, deleting_at, revision) VALUES ('birch', 'default', 'Default', 'ws_0197ut39ybggy9p5', '2026-11-29 01:37:04.345304+00', NULL, 1);
INSERT INTO public.kbs (tenant_id, kb_id, name, workspace, created_at, deleting_at, revision) VALUES ('acme', 'papers', 'Papers of Acme', 'ws_0197ut3a7y07rxkq', '2026-11-29 01:37:04.560684+00', NULL, 2);
INSERT INTO public.lightrag_doc_chunks (id, workspace, full_doc_id, chunk_order_index, tokens, content, file_path, llm_cache_list, heading, sidecar, create_time, update_time, tenant_id, kb_id) VALUES ('doc-a89f577bef3a223d55a3878fd4a62f3c-chunk-000', 'ws_0197ut39vyk4z6s9', 'doc-a89f577bef3a223d55a3878fd4a62f3c', 0, 25, '# Heron
Ada Lovelace met Charles Babbage in London. Babbage works for Heron Ltd.', 'notes/heron.md', '[]', '{}', '{}', '2026-11-29 01:37:05', '2026-11-29 01:37:05', 'acme', 'default');
INSERT INTO public.lightrag_doc_chunks (id, workspace, full_doc_id, chunk_order_index, tokens, content, file_path, llm_cache_list, heading, sidecar, create_time, update_time, tenant_id, kb_id) VALUES ('doc-8212df42d6fbff9a3be24c205b596b11-chunk-000', 'ws_0197ut39vyk4z6s9', 'doc-8212df42d6fbff9a3be24c205b596b11', 0, 16, 'Grace Hopper left Kestrel Labs. Ada Lovelace lives in London.', 'kestrel.txt', '[]', '{}', '{}', '2026-11-29 01:37:05', '2026-11-29 01:37:05', 'acme', 'default');
INSERT INTO public.lightrag_doc_chunks (id, workspace, full_doc_id, chunk_order_index, tokens, content, file_path, llm_cache_list, heading, sidecar, create_time, update_time, tenant_id, kb_id) VALUES ('doc-9f7936f9b5c071ae81db818b80a44a0d-chunk-000', 'ws_0197ut3a7y07rxkq', 'doc-9f7936f9b5c071ae81db818b80a44a0d', 0, 13, 'Nora Lindqvist runs Fennwick Ltd in Oslo.', 'second.md', '[]', '{}', '{}', '2026-11-29 01:37:05', '2026-11-29 01:37:05', 'acme', 'papers');
INSERT INTO public.lightrag_doc_chunks (id, workspace, full_doc_id, chunk_order_index, tokens, content, file_path, llm_cache_list, heading, sidecar, create_time, update_time, tenant_id, kb_id) VALUES ('doc-53e0c1330865611cf5a83cbdfb0abf07-chunk-000', 'ws_0197ut3a7y07rxkq', 'doc-53e0c1330865611cf5a83cbdfb0abf07', 0, 7, 'Tomas Berg lives in Oslo.', 'Quietwater.md', '[]', '{}', '{}', '2026-11-29 01:37:05', '2026-11-29 01:37:05', 'acme', 'papers');
INSERT INTO public.members (tenant_id, subject, role, created_at, removed_at, revision) VALUES ('birch', 'ann', 'ADMIN', '2026-11-29 01:37:04.164509+00', NULL, 1);
INSERT INTO public.members (tenant_id, subject, role, created_at, removed_at, revision) VALUES ('acme', 'ann', 'EDITOR', '2026-11-29 01:37:06.101438+00', NULL, 1);
INSERT INTO public.members (tenant_id, subject, role, created_at, removed_at, revision) VALUES ('acme', 'cid', 'VIEWER', '2026-11-29 01:37:06.117305+00', NULL, 1);
INSERT INTO public.members (tenant_id, subject, role, created_at, removed_at, revision) VALUES ('acme', 'dan', 'VIEWER', '2026-11-29 01:37:06.128519+00', '2026-11-29 01:37:06.139566+00', 2);
INSERT INTO public.outbox (tenant_id, job_id, wire, created_at) VALUES ('acme', '01a224f2-e8cd-7b09-a70e-4e9277d0f455', '{"stamp":"eyJhbGciOiJIUzI1NiIsImtpZCI6ImRldiJ9.eyJqdGkiOiIwMWEyMjRmMi1lOGNkLTdiMDktYTcwZS00ZTkyNzdkMGY0NTUiLCJ0eXBlIjoiZG9jdW1lbnQuaW5nZXN0IiwiZGlnIjoiRWp0OHNiYUx0alNmYkNYbllkSzhoaWYwMVRIQlNlTWFSS2RsZ3NKXzVKNCIsInRlbmFudCI6ImFjbWUiLCJrYiI6InBhcGVycyIsImFjdG9yIjoiYXBpX2tleTpiN2JkNjJiMjVlYjBkMzQ3Iiwicm9sZSI6IkFETUlOIiwiZXBvY2giOjAsImlhdCI6MTc5NTkxNjIyOH0.m_FvuS4Y8aZTfn3Nhnpd9dLkv8V4p7ZjMnUl3e8rBes","job":{"specversion":"1.0","id":"01a224f2-e8cd-7b09-a70e-4e9277d0f455","type":"document.ingest","queue":"documents","args":[{"document_id":"doc-09de8e05c2d99d5993022b60f2805b39","revision":4}],"meta":{"version":1,"traceparent":"00-481b2baa03974524fd59214f7610d767-2c25928bd7294244-01","created_at":"2026-11-29T01:37:08.813478654Z"},"priority":0,"timeout":300}}', '2026-11-29 01:37:08.816971+00');
INSERT INTO public.schedules (tenant_id, kb_id, name, cron, time_zone, kind, template, created_by, next_fire_at, last_fire_at) VALUES ('acme', 'default', 'yearly', '0 3 1 1 *', 'Europe/Berlin', 'kb.reindex', '{"stamp":"eyJhbGciOiJIUzI1NiIsImtpZCI6ImRldiJ9.eyJqdGkiOiIwMWEyMjRmMi1kZThkLTc0MTMtODQwYy00ZTZiMmU3YmE0ODMiLCJ0eXBlIjoia2IucmVpbmRleCIsImRpZyI6IkIwSTVSajRZNkY4UENWNU5XME13dEdkY1lYTnJFWHpPMTl0eFZXcXFjZ3MiLCJ0ZW5hbnQiOiJhY21lIiwia2IiOiJkZWZhdWx0IiwiYWN0b3IiOiJzY2hlZHVsZTp5ZWFybHkiLCJyb2xlIjoiQURNSU4iLCJlcG9jaCI6MCwiaWF0IjoxNzk1OTE2MjI2fQ.IbOv15XDOqKH-gmV8P56OVPxCBK_Pikmf54z-GU95cM","job":{"specversion":"1.0","id":"01a224f2-de8d-7413-840c-4e6b2e7ba483","type":"kb.reindex","queue":"maintenance","args":[{}],"meta":{"version":1,"traceparent":"00-6da764e7db9ef01f0a163d269dad5f80-984c3c372115915f-01","created_at":"2026-11-29T01:37:06.197507615Z"},"priority":-1,"timeout":120}}', 'api_key:b7bd62b25eb0d347', '2027-01-01 02:00:00+00', NULL);
INSERT INTO public.slugs (tenant_id, slug, is_current) VALUES ('birch', 'birch', true);
INSERT INTO public.slugs (tenant_id, slug, is_current) VALUES ('acme', 'acme', false);
INSERT INTO public.slugs (tenant_id, slug, is_current) VALUES ('acme', 'acme-works', true);
INSERT INTO public.tenants (tenant_id, name, plan, status, epoch, created_at, limits, revision, applied_revision, rag_settings, rag_revision, deleted_at, gone_revision) VALUES ('acme', 'Acme Ltd', 'pro', 'active', 0, '2026-11-29 01:37:04.114487+00', '{"max_documents":50}', 3, 3, '{"models":{"llm":null,"embedding":null},"embedding_dimensions":1024,"chunk_size_tokens":200,"chunk_overlap_tokens":100,"top_k":7}', 2, NULL, 3);
INSERT INTO public.tenants (tenant_id, name, plan, status, epoch, created_at, limits, revision, applied_revision, rag_settings, rag_revision, deleted_at, gone_revision) VALUES ('gone', '', '', 'deprovisioning', 1, '2026-11-29 01:37:04.179067+00', '{}', 3, 3, '{}', 1, '2026-11-29 01:37:06.348884+00', 0);
INSERT INTO public.tenants (tenant_id, name, plan, status, epoch, created_at, limits, revision, applied_revision, rag_settings, rag_revision, deleted_at, gone_revision) VALUES ('birch', 'Birch', 'standard', 'active', 0, '2026-11-29 01:37:04.164509+00', '{}', 2, 2, '{}', 1, NULL, 0);
INSERT INTO public.usage_counters (tenant_id, counter, period, amount) VALUES ('acme', 'jobs', '2026-11-29', 11);
INSERT INTO public.usage_counters (tenant_id, counter, period, amount) VALUES ('acme', 'api_calls', '2026-11', 56);
INSERT INTO tenantry.gates (key, tries, last_at, open_at) VALUES ('signup:address:127.0.0.1', 1, '2026-11-29 01:37:04.126296+00', '2026-11-29 01:38:04.126296+00');
INSERT INTO tenantry.gates (key, tries, last_at, open_at) VALUES ('login:address:127.0.0.1', 1, '2026-11-29 01:37:06.206345+00', '2026-11-29 01:37:06.706345+00');
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (1, 'isolation', '2026-11-29 01:37:01.20802+00', true, '\x1ed572c87987a8f146a5b3295a5e71533142fb13fd27d4052506f6babf1caea4452c6f1624e09254e3ade3304d6a009b', 5654900);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (2, 'catalog', '2026-11-29 01:37:01.213657+00', true, '\x1215a5fe13843edbab55df3ec3c62d8bcf6e06a4ea7915601e68a7df1f14da02790b454e0115639d43fbbc1396809d32', 18624404);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (3, 'index', '2026-11-29 01:37:01.233224+00', true, '\x97df1e4c4eb6821c94e148c2bc83a9339c79d55c0191d356e3a592a7c0ef47ab1ae4ec33a092f27cc7e9244f5000a8f6', 10490048);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (4, 'settings', '2026-11-29 01:37:01.244184+00', true, '\x4ea9862b5f9e611a1e11a1624af4dcc3a8b3b7058bd12e2e227bbb8293c0674052ddda0900ffcdd95d49308158ef3e05', 4641715);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (5, 'slug', '2026-11-29 01:37:01.249054+00', true, '\x00be1c864e6353aecacb359fd4ea374d6a3470eeeb8c86a6d68117fac5ac7aa69f41a5b38e95741d916336d33512cf51', 4687568);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (6, 'usage', '2026-11-29 01:37:01.253962+00', true, '\x45fb31a2815047bf3eb9633b4a373ca86dcce0a8d27675e5a5b4b839948ec54d27343fcf05b5977e7578c3697da948b6', 2278567);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (7, 'rag settings', '2026-11-29 01:37:01.256426+00', true, '\x429fb7aa670b245047c3a1b21c179f77e7cb3f9686df8839fe4769cd86b4193dc59a16fac509881664ec245dfd8e9436', 596569);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (8, 'members', '2026-11-29 01:37:01.25729+00', true, '\x675efaf31a5fa9d3bab40efea2ac8760c00e74c3d322782f88a0155421c209ff0e6b7511e616fe37203475ed5b557b4f', 737960);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (9, 'api keys', '2026-11-29 01:37:01.258115+00', true, '\x106e36a77a2e7af4a4b8c5f147de8768a8bbfc953d72c0ac15d14eee02415b08321929a4386f33c86337a90e61d8dd06', 791810);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (10, 'identities', '2026-11-29 01:37:01.259034+00', true, '\xe447d200c16db38152e4ae4e612d6370e0334ad1dea0f91c7aec9c7c93cb488fc8821b89dd4d34089731a860426d0cdc', 7624045);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (11, 'deletion', '2026-11-29 01:37:01.26691+00', true, '\x51f3a5ac124df9458229820b1e20b594783f1bdd7c31f15ab787f11a449990a4af8370d4003e308cc52d01b19c26d5b2', 4123116);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (12, 'kbs', '2026-11-29 01:37:01.271339+00', true, '\x7f256d79878ef32f2ca4ecb67ecdb54686ce365abeebdf82ee724f1e65dcc60981bd1456abf60c0f6c26ba0ba4c145dd', 1187350);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (13, 'tombstones', '2026-11-29 01:37:01.27259+00', true, '\x7a0eed34b9a783404ee59f9480ee3edb4f548a37ea21974150528bcf219452a8ee1de0f4164a81d3a15eb079267b0329', 443992);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (14, 'slugs', '2026-11-29 01:37:01.273194+00', true, '\xe7985601ac9119415bdf2f27ab83f0d6958ec2351bdacc01ea51649a554c21866599f7f8ab9e231319759d62df7a0c10', 5186171);
INSERT INTO tenantry.migrations (version, description, installed_on, success, checksum, execution_time) VALUES (15, 'revisions', '2026-11-29 01:37:01.278508+00', true, '\x9651773c970cf3a40a0a0d76985970337a488f3494c5a0d2f23c32ef6c7eede048fd140176e6b691d0d77ee73369cad9', 519204);
INSERT INTO tenantry.sessions (session_id, user_name, tenant_id, generation, created_at, expires_at, ended_at) VALUES ('01a224f2-dec2-7112-b0d7-60e9450ae4b4', 'ann', 'birch', 1, '2026-11-29 01:37:06.242369+00', '2026-12-29 01:37:06.242369+00', NULL);
INSERT INTO tenantry.users (name, password_hash, created_at) VALUES ('ann', '$argon2id$v=19$m=19456,t=2,p=1$Qtu1pMhAMkesS8AFaPgqUw$5Uvc4oHh39k8MkAVee1TEWee5VXDofLjcLLlkYtNmqA', '2026-11-29 01:37:04.164509+00');
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, key_id);
ALTER TABLE ONLY public.documents
    ADD CONSTRAINT documents_pkey PRIMARY KEY (tenant_id, kb_id, document_id);
ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (tenant_id, key);
ALTER TABLE ONLY public.index_entity_mentions
    ADD CONSTRAINT index_entity_mentions_pkey PRIMARY KEY (workspace, name, chunk_id);
ALTER TABLE ONLY public.index_relation_mentions
    ADD CONSTRAINT index_relation_mentions_pkey PRIMARY KEY (workspace, source, target, chunk_id) INCLUDE (weight_milli);
ALTER TABLE ONLY public.job_history
    ADD CONSTRAINT job_history_pkey PRIMARY KEY (tenant_id, job_id);
ALTER TABLE ONLY public.kbs
    ADD CONSTRAINT kbs_pkey PRIMARY KEY (tenant_id, kb_id);
ALTER TABLE ONLY public.kbs
    ADD CONSTRAINT kbs_workspace_key UNIQUE (workspace);
ALTER TABLE ONLY public.lightrag_doc_chunks
    ADD CONSTRAINT lightrag_doc_chunks_pk PRIMARY KEY (workspace, id);
ALTER TABLE ONLY public.members
    ADD CONSTRAINT members_pkey PRIMARY KEY (tenant_id, subject);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (tenant_id, job_id);
ALTER TABLE ONLY public.outbox_rejected
    ADD CONSTRAINT outbox_rejected_pkey PRIMARY KEY (tenant_id, job_id);
ALTER TABLE ONLY public.schedules
    ADD CONSTRAINT schedules_pkey PRIMARY KEY (tenant_id, kb_id, name);
ALTER TABLE ONLY public.slugs
    ADD CONSTRAINT slugs_pkey PRIMARY KEY (tenant_id, slug);
ALTER TABLE ONLY public.slugs
    ADD CONSTRAINT slugs_slug_key UNIQUE (slug);
ALTER TABLE ONLY public.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (tenant_id);
ALTER TABLE ONLY public.usage_counters
    ADD CONSTRAINT usage_counters_pkey PRIMARY KEY (tenant_id, counter, period);
ALTER TABLE ONLY tenantry.gates
    ADD CONSTRAINT gates_pkey PRIMARY KEY (key);
ALTER TABLE ONLY tenantry.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY tenantry.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (session_id);
ALTER TABLE ONLY tenantry.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (name);
CREATE INDEX documents_by_job ON public.documents USING btree (tenant_id, job_id);
CREATE INDEX documents_by_status ON public.documents USING btree (tenant_id, kb_id, status, document_id);
CREATE INDEX documents_by_tenant ON public.documents USING btree (tenant_id) INCLUDE (size_bytes);
CREATE INDEX idempotency_by_age ON public.idempotency USING btree (tenant_id, created_at);
CREATE INDEX index_entity_mentions_by_document ON public.index_entity_mentions USING btree (workspace, document_id);
CREATE INDEX index_relation_mentions_by_document ON public.index_relation_mentions USING btree (workspace, document_id);
CREATE INDEX index_relation_mentions_by_source ON public.index_relation_mentions USING btree (workspace, source, chunk_id, target);
CREATE INDEX index_relation_mentions_by_target ON public.index_relation_mentions USING btree (workspace, target, chunk_id, source);
CREATE INDEX job_history_by_end ON public.job_history USING btree (tenant_id, finished_at DESC, job_id DESC);
CREATE INDEX lightrag_doc_chunks_by_document ON public.lightrag_doc_chunks USING btree (workspace, full_doc_id, chunk_order_index);
CREATE INDEX members_by_subject ON public.members USING btree (subject, tenant_id);
CREATE INDEX outbox_by_age ON public.outbox USING btree (created_at, job_id);
CREATE INDEX schedules_by_time ON public.schedules USING btree (next_fire_at);
CREATE UNIQUE INDEX slugs_current ON public.slugs USING btree (tenant_id) WHERE is_current;
CREATE INDEX tenants_unapplied ON public.tenants USING btree (tenant_id) WHERE (applied_revision < revision);
CREATE INDEX gates_by_age ON tenantry.gates USING btree (last_at);
CREATE INDEX sessions_by_end ON tenantry.sessions USING btree (expires_at);
CREATE INDEX sessions_by_user ON tenantry.sessions USING btree (user_name);
ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);
ALTER TABLE ONLY public.documents
    ADD CONSTRAINT documents_tenant_id_kb_id_fkey FOREIGN KEY (tenant_id, kb_id) REFERENCES public.kbs(tenant_id, kb_id);
ALTER TABLE ONLY public.kbs
    ADD CONSTRAINT kbs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);
ALTER TABLE ONLY public.members
    ADD CONSTRAINT members_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);
ALTER TABLE ONLY public.schedules
    ADD CONSTRAINT schedules_tenant_id_kb_id_fkey FOREIGN KEY (tenant_id, kb_id) REFERENCES public.kbs(tenant_id, kb_id);
ALTER TABLE ONLY public.slugs
    ADD CONSTRAINT slugs_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES public.tenants(tenant_id);
ALTER TABLE ONLY tenantry.sessions
    ADD CONSTRAINT sessions_user_name_fkey FOREIGN KEY (user_name) REFERENCES tenantry.users(name);
ALTER TABLE public.api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.index_entity_mentions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.index_relation_mentions ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.job_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.kbs ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.lightrag_doc_chunks ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.members ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.outbox_rejected ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.schedules ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.slugs ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_rows ON public.api_keys USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.documents USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.idempotency USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.index_entity_mentions USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.index_relation_mentions USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.job_history USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.kbs USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.lightrag_doc_chunks USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.members USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.outbox USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.outbox_rejected USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.schedules USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.slugs USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.tenants USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenant_rows ON public.usage_counters USING ((tenant_id = current_setting('app.tenant_id'::text, true)));
CREATE POLICY tenantry_directory_reads ON public.api_keys FOR SELECT TO tenantry_directory USING (true);
CREATE POLICY tenantry_directory_reads ON public.kbs FOR SELECT TO tenantry_directory USING (true);
CREATE POLICY tenantry_directory_reads ON public.members FOR SELECT TO tenantry_directory USING (true);
CREATE POLICY tenantry_directory_reads ON public.schedules FOR SELECT TO tenantry_directory USING (true);
CREATE POLICY tenantry_directory_reads ON public.slugs FOR SELECT TO tenantry_directory USING (true);
CREATE POLICY tenantry_directory_reads ON public.tenants FOR SELECT TO tenantry_directory USING (true);
CREATE POLICY tenantry_identity_reads ON public.members FOR SELECT TO tenantry_identity USING (true);
CREATE POLICY tenantry_identity_reads ON public.tenants FOR SELECT TO tenantry_identity USING (true);
CREATE POLICY tenantry_relay_deletes ON public.outbox FOR DELETE TO tenantry_relay USING (true);
CREATE POLICY tenantry_relay_inserts ON public.outbox_rejected FOR INSERT TO tenantry_relay WITH CHECK (true);
CREATE POLICY tenantry_relay_reads ON public.outbox FOR SELECT TO tenantry_relay USING (true);
CREATE POLICY tenantry_relay_reads ON public.schedules FOR SELECT TO tenantry_relay USING (true);
ALTER TABLE public.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.usage_counters ENABLE ROW LEVEL SECURITY;
GRANT USAGE ON SCHEMA public TO tenantry_directory;
GRANT USAGE ON SCHEMA public TO tenantry_relay;
GRANT USAGE ON SCHEMA public TO tenantry_identity;
GRANT USAGE ON SCHEMA tenantry TO tenantry_identity;
GRANT SELECT ON TABLE public.api_keys TO tenantry_directory;
GRANT SELECT ON TABLE public.kbs TO tenantry_directory;
GRANT SELECT ON TABLE public.members TO tenantry_directory;
GRANT SELECT ON TABLE public.members TO tenantry_identity;
GRANT SELECT,DELETE ON TABLE public.outbox TO tenantry_relay;
GRANT INSERT ON TABLE public.outbox_rejected TO tenantry_relay;
GRANT SELECT ON TABLE public.schedules TO tenantry_directory;
GRANT SELECT ON TABLE public.schedules TO tenantry_relay;
GRANT SELECT ON TABLE public.slugs TO tenantry_directory;
GRANT SELECT ON TABLE public.tenants TO tenantry_directory;
GRANT SELECT ON TABLE public.tenants TO tenantry_identity;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenantry.gates TO tenantry_identity;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenantry.sessions TO tenantry_identity;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE tenantry.users TO tenantry_identity;
