//! The catalog's file itself, past the ports.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;
use jobs::JobId;
use jobs::clock::{Clock as _, SystemClock};
use jobs::queue::RedisServer;
use jobs::tenant::{Actor, Permissions, Role, TenantContext};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use stores::model::{Acceptance, AuditEntry, NewTenant, Standing};
use stores::{Backends, Opened, StoresConfig};

async fn open(directory: &Path, redis: &RedisServer) -> (Opened, SqlitePool) {
    let data_dir = directory.join("data");
    let config = StoresConfig {
        backends: Backends::Embedded,
        blobs_url: None,
        data_dir: data_dir.clone(),
        redis_url: redis.url().into(),
    };
    let opened = stores::open(&config, Arc::new(SystemClock)).await.unwrap();
    let file = SqliteConnectOptions::new().filename(data_dir.join("catalog.db"));
    (opened, SqlitePool::connect_with(file).await.unwrap())
}

#[tokio::test]
async fn every_table_begins_its_key_with_the_tenant() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::in_directory(directory.path()).unwrap();
    let (_opened, file) = open(directory.path(), &redis).await;
    let tables: Vec<String> = sqlx::query_scalar(
        // Accounts belong to no tenant, nor do the flow settings of queues and what the operator did.
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations'
         AND name NOT IN ('users', 'sessions', 'gates', 'queue_flows', 'operator_audit_log')",
    )
    .fetch_all(&file)
    .await
    .unwrap();
    assert!(tables.len() >= 10, "{tables:?}");
    for table in tables {
        let first: String = sqlx::query_scalar("SELECT name FROM pragma_table_info(?) WHERE pk = 1")
            .bind(&table)
            .fetch_one(&file)
            .await
            .unwrap();
        assert_eq!(first, "tenant_id", "{table}");
    }
}

/// The text of each SQL statement in a source file.
fn statements(source: &str) -> Vec<&str> {
    let verbs = ["select ", "insert ", "update ", "delete ", "with "];
    let literals = source.split('"').skip(1).step_by(2);
    literals.filter(|text| verbs.iter().any(|verb| text.trim_start().starts_with(verb))).collect()
}

#[test]
fn every_statement_of_a_tenants_catalog_names_the_tenant() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalog");
    let mut seen = 0;
    for file in [
        "accept",
        "api_keys",
        "audit_log",
        "cancel",
        "deletions",
        "documents",
        "history",
        "kbs",
        "members",
        "tenants",
        "usage",
    ] {
        let source = std::fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap();
        for statement in statements(&source) {
            let inserts = statement.trim_start().starts_with("insert") && statement.contains("(tenant_id,");
            let filters = statement.contains("tenant_id = $1");
            assert!(inserts || filters, "{file}: {statement}");
            seen += 1;
        }
    }
    assert!(seen >= 60, "only {seen} statements found: does the test still read them?");
}

#[tokio::test]
async fn a_removed_member_may_nothing_whatever_the_token_says() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::in_directory(directory.path()).unwrap();
    let (opened, file) = open(directory.path(), &redis).await;
    let context = TenantContext::for_tests("acme");
    let acceptance = Acceptance { tenant: Some(NewTenant::new("Acme", "free")), ..Acceptance::default() };
    opened.stores.scoped(&context).catalog().accept(&acceptance, SystemClock.now()).await.unwrap();
    for (identity, role, removed_at) in [("product:ann", "VIEWER", None), ("product:bob", "ADMIN", Some(1))] {
        sqlx::query(
            "INSERT INTO members (tenant_id, identity, role, created_at, removed_at) VALUES ('acme', ?, ?, 0, ?)",
        )
        .bind(identity)
        .bind(role)
        .bind(removed_at)
        .execute(&file)
        .await
        .unwrap();
    }
    for (identity, allowed) in [
        ("product:ann", Role::Viewer.permissions()),
        ("product:bob", Permissions::NONE),
        ("product:eve", Role::Admin.permissions()),
        ("local:ann", Permissions::NONE),
        ("issuer:https://id.example.com/#ann", Permissions::NONE),
    ] {
        let actor: Actor = identity.parse().unwrap();
        let found =
            opened.directory.permissions(context.tenant_id(), None, &actor, Role::Admin).await.unwrap();
        assert_eq!(found, allowed, "{identity}");
    }
}

/// A catalog as created by the migrations up to `version`.
async fn catalog_of(version: u32, directory: &Path) -> SqlitePool {
    let (known, old) = (Path::new(env!("CARGO_MANIFEST_DIR")), directory.join("old"));
    std::fs::create_dir(&old).unwrap();
    for entry in std::fs::read_dir(known.join("migrations/sqlite/catalog")).unwrap() {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path())).unwrap();
        if name.to_str().unwrap()[..4].parse::<u32>().unwrap() <= version {
            std::fs::copy(path, old.join(name)).unwrap();
        }
    }
    std::fs::create_dir(directory.join("data")).unwrap();
    let file =
        SqliteConnectOptions::new().filename(directory.join("data/catalog.db")).create_if_missing(true);
    let pool = SqlitePool::connect_with(file).await.unwrap();
    Migrator::new(old.as_path()).await.unwrap().run(&pool).await.unwrap();
    pool
}

/// Goal: a membership from before identities named their provider gives no more than it did.
/// Method: write members as version 13 did, with and without an account of the name, and open the catalog as it is now.
#[tokio::test]
async fn a_bare_name_becomes_its_account_or_stays_with_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::in_directory(directory.path()).unwrap();
    let old = catalog_of(13, directory.path()).await;
    let rows = "INSERT INTO tenants (tenant_id, name, plan, status, created_at_us)
                    VALUES ('acme', 'Acme', 'free', 'active', 0), ('twin', 'Twin', 'free', 'active', 0);
                INSERT INTO slugs (tenant_id, slug, is_current) VALUES ('acme', 'acme', TRUE), ('twin', 'twin', TRUE);
                INSERT INTO identity_users (name, password_hash, created_at_us) VALUES ('ann', '', 0), ('bob', '', 0);
                INSERT INTO members (tenant_id, subject, role, status, created_at_us, revision, removed_at_us)
                    VALUES ('acme', 'ann', 'EDITOR', 'active', 1, 3, NULL),
                    ('acme', 'bob', 'ADMIN', 'removed', 1, 2, 9),
                        ('acme', 'cid', 'VIEWER', 'active', 1, 1, NULL), ('acme', 'dan', 'ADMIN', 'removed', 1, 2, 9),
                        ('twin', 'ann', 'ADMIN', 'active', 1, 1, NULL);";
    sqlx::raw_sql(rows).execute(&old).await.unwrap();
    old.close().await;
    let (opened, _file) = open(directory.path(), &redis).await;
    let (acme, member) = ("acme".parse().unwrap(), Standing::Member);
    for (identity, expected) in [
        ("local:ann", member(Role::Editor)),
        ("local:bob", Standing::Removed),
        // An account created later, under a name that earlier tokens used.
        ("local:cid", Standing::Stranger),
        ("local:dan", Standing::Stranger),
        // Tokens with the name of an account do not belong to the account.
        ("product:ann", Standing::Removed),
        ("issuer:https://id.example.com/#ann", Standing::Removed),
        ("product:bob", Standing::Removed),
        ("product:cid", member(Role::Viewer)),
        ("issuer:https://id.example.com/#cid", member(Role::Viewer)),
        ("product:Cid", Standing::Stranger),
        ("product:dan", Standing::Removed),
        // Jobs stamped before the change.
        ("user:ann", member(Role::Editor)),
        ("user:bob", Standing::Removed),
        ("user:cid", member(Role::Viewer)),
        ("user:dan", Standing::Removed),
    ] {
        let found = opened.directory.standing(&acme, &identity.parse().unwrap()).await.unwrap();
        assert_eq!(found, expected, "{identity}");
    }
    let tenants = async |identity: &str| {
        let found = opened.identities.memberships(&identity.parse().unwrap()).await.unwrap();
        found.into_iter().map(|membership| membership.tenant.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(tenants("local:ann").await, ["acme", "twin"]);
    assert_eq!(tenants("product:cid").await, ["acme"]);
    for none in ["product:ann", "local:bob", "local:cid", "product:dan"] {
        assert_eq!(tenants(none).await, Vec::<String>::new(), "{none}");
    }

    // A membership of the identity itself takes precedence over one from before.
    let context = TenantContext::for_tests("acme");
    let catalog = opened.stores.scoped(&context).catalog();
    let cid = "product:cid".parse().unwrap();
    catalog.member_insert(&cid, Role::Admin, None, SystemClock.now(), None).await.unwrap();
    assert_eq!(opened.directory.standing(&acme, &cid).await.unwrap(), member(Role::Admin));
    assert_eq!(tenants("product:cid").await, ["acme"]);
    catalog
        .member_insert(&"local:ada".parse().unwrap(), Role::Admin, None, SystemClock.now(), None)
        .await
        .unwrap();
    catalog.member_remove(&cid, None, SystemClock.now()).await.unwrap();
    assert_eq!(opened.directory.standing(&acme, &cid).await.unwrap(), Standing::Removed);
    assert_eq!(tenants("product:cid").await, Vec::<String>::new());
}

/// A row of each kind, as written before the file had PostgreSQL's names.
const ROWS_BEFORE: &str = "
    INSERT INTO tenants (tenant_id, name, plan, status, created_at_us) VALUES ('acme', 'Acme', 'free', 'active', 5);
    INSERT INTO slugs (tenant_id, slug, is_current) VALUES ('acme', 'acme', TRUE);
    INSERT INTO kbs (tenant_id, kb_id, name, workspace, created_at_us, deleting_at_us)
        VALUES ('acme', 'open', 'Open', 'ws_0000000000000001', 6, NULL),
            ('acme', 'closed', 'Closed', 'ws_0000000000000002', 6, 7);
    INSERT INTO documents (tenant_id, kb_id, document_id, name, revision, media_type, size_bytes, sha256, status,
        fault_code, fault_detail, job_id, created_at_us, updated_at_us, deleting_at_us)
        VALUES ('acme', 'open', 'doc-00000000000000000000000000000001', 'a.md', 3, 'text/markdown', 9, 'ab', 'failed',
                'no_text', 'None.', '01890a5d-ac96-774b-bcce-b302099a8057', 8, 9, NULL),
               ('acme', 'open', 'doc-00000000000000000000000000000002', 'b.md', 1,
                'text/markdown', 9, 'ab', 'processed',
                NULL, NULL, '01890a5d-ac96-774b-bcce-b302099a8058', 8, 9, 10);
    INSERT INTO schedules (tenant_id, kb_id, name, cron, time_zone, kind, template, created_by, next_fire_at_us,
        last_fire_at_us, created_at_us)
        VALUES ('acme', 'open', 'nightly', '0 3 * * *', 'UTC', 'kind', '{}', 'operator', 11000000, NULL, 8);
    INSERT INTO job_history (tenant_id, job_id, kind, queue, state, attempts, error_code, error_text, created_at_us,
        started_at_us, finished_at_us)
        VALUES ('acme', '01890a5d-ac96-774b-bcce-b302099a8057', 'kind', 'ingest', 'discarded', 2, 'no_text', 'None.',
                12, 13, 14);
    INSERT INTO outbox (tenant_id, job_id, wire, created_at_us)
        VALUES ('acme', '01890a5d-ac96-774b-bcce-b302099a8059', 'wire', 15);
    INSERT INTO identity_users (name, password_hash, created_at_us) VALUES ('ann', 'hash', 16);
    INSERT INTO identity_sessions (session_id, user_name, tenant_id, generation, created_at_us, expires_at_us)
        VALUES ('01890a5d-ac96-774b-bcce-b302099a8060', 'ann', 'acme', 1, 17, 4000000000000000);";

/// Goal: a data directory of an earlier release is taken over with all that is in it.
/// Method: write rows as version 13 and version 18 did, open the catalog as it is now, and read each of them.
#[tokio::test]
async fn what_was_written_before_is_read_now() {
    for version in [13, 18] {
        let directory = tempfile::tempdir().unwrap();
        let redis = RedisServer::in_directory(directory.path()).unwrap();
        let old = catalog_of(version, directory.path()).await;
        sqlx::raw_sql(ROWS_BEFORE).execute(&old).await.unwrap();
        old.close().await;
        let (opened, _file) = open(directory.path(), &redis).await;
        let catalog = opened.stores.scoped(&TenantContext::for_tests("acme")).catalog();
        let at = |us| DateTime::from_timestamp_micros(us).unwrap();
        let failed: JobId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();

        assert_eq!(catalog.tenant().await.unwrap().unwrap().created_at, at(5));
        let kbs = catalog.kbs().await.unwrap();
        assert_eq!(kbs.iter().map(|kb| kb.name.as_str()).collect::<Vec<_>>(), ["Open"]);
        let documents = catalog.documents(&kbs[0].id, None, None, 10).await.unwrap().items;
        assert_eq!(documents.len(), 1, "the other one is being deleted");
        assert_eq!((documents[0].revision, documents[0].job_id), (3, failed));
        assert_eq!(documents[0].fault.as_ref().unwrap().code, "no_text");
        assert_eq!((documents[0].created_at, documents[0].updated_at), (at(8), at(9)));
        let schedules = catalog.schedules(&kbs[0].id).await.unwrap();
        assert_eq!((schedules[0].next_fire_at, schedules[0].last_fire_at), (at(11_000_000), None));
        let record = catalog.history(failed).await.unwrap().unwrap();
        assert_eq!(record.error, Some(("no_text".to_owned(), "None.".to_owned())));
        assert_eq!(record.finished_at, at(14));
        let waiting =
            catalog.outbox_job("01890a5d-ac96-774b-bcce-b302099a8059".parse().unwrap()).await.unwrap();
        assert_eq!(waiting.as_deref(), Some("wire"));
        let ann = opened.identities.user(&"ann".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(ann.password_hash, "hash");
        let session = "01890a5d-ac96-774b-bcce-b302099a8060".parse().unwrap();
        assert!(opened.identities.session_is_live(session, SystemClock.now()).await.unwrap());
    }
}

/// As many entries as no test can make one by one.
#[tokio::test]
async fn an_audit_log_keeps_the_newest_and_its_rows_never_change() {
    let directory = tempfile::tempdir().unwrap();
    let redis = RedisServer::in_directory(directory.path()).unwrap();
    let (opened, file) = open(directory.path(), &redis).await;
    let stores = opened.stores.scoped(&TenantContext::for_tests("acme"));
    let (catalog, now) = (stores.catalog(), SystemClock.now());
    let new = NewTenant::new("Acme", "free");
    catalog.accept(&Acceptance { tenant: Some(new), ..Acceptance::default() }, now).await.unwrap();
    let prefix = AuditEntry::id_at(now - chrono::TimeDelta::days(1)).to_string()[..24].to_owned();
    for (table, columns, tenant) in
        [("audit_log", "tenant_id, audit_id", "'acme', "), ("operator_audit_log", "audit_id", "")]
    {
        let fill = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100049)
             INSERT INTO {table} ({columns}, at, actor, action, target, request_id)
             SELECT {tenant}'{prefix}' || printf('%012x', n), 0, 'operator', 'flow_pause', '{{}}', '' FROM numbers"
        );
        sqlx::query(sqlx::AssertSqlSafe(fill)).execute(&file).await.unwrap();
    }
    let mut bytes = AuditEntry::id_at(now).into_bytes();
    // One of those that remove others.
    bytes[15] = 0;
    let entry = AuditEntry {
        id: uuid::Uuid::from_bytes(bytes),
        at: now,
        actor: "operator".into(),
        action: "flow_resume".into(),
        target: [].into(),
        reason: None,
        request_id: String::new(),
        status: Some(200),
    };
    assert!(catalog.audit_append(&entry).await.unwrap());
    assert!(opened.directory.audit_append(&entry).await.unwrap());
    for table in ["audit_log", "operator_audit_log"] {
        let kept = format!("SELECT count(*), min(audit_id) FROM {table}");
        let (kept, oldest): (i64, String) =
            sqlx::query_as(sqlx::AssertSqlSafe(kept)).fetch_one(&file).await.unwrap();
        assert_eq!((kept, oldest), (100_000, format!("{prefix}{:012x}", 51)), "{table}");
        let change = sqlx::AssertSqlSafe(format!("UPDATE {table} SET actor = 'local:eve'"));
        let refused = sqlx::query(change).execute(&file).await.unwrap_err().to_string();
        assert!(refused.contains("only added to"), "{refused}");
    }
}
