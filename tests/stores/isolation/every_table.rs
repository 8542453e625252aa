//! Every table there is: the list comes from the server, and no table is excepted.

use serde_json::Value;
use stores::direct::DirectPostgres;

use super::tenants::{seed, servers};

const TABLES: &str = "select relname as name, relrowsecurity and relforcerowsecurity as forced, \
        exists (select from pg_attribute \
                where attrelid = c.oid and attname = 'tenant_id' and attnotnull) as has_tenant, \
        coalesce((select array_agg(distinct policyname order by policyname) from pg_policies \
                  where schemaname = 'public' and tablename = relname and roles = '{public}'), '{}') as policies \
    from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'm', 'v', 'f') order by 1";

async fn tables(postgres: &DirectPostgres) -> Vec<String> {
    let rows = postgres.rows("", TABLES).await.unwrap();
    assert!(rows.len() >= 13, "only {} tables: were they migrated?", rows.len());
    rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// How many rows of `tenant` a transaction that begins with `before` sees.
async fn count(postgres: &DirectPostgres, before: &str, table: &str, tenant: &str) -> u64 {
    let query = format!("select count(*) as total from {table} where tenant_id = '{tenant}'");
    postgres.rows(before, &query).await.unwrap()[0]["total"].as_u64().unwrap()
}

fn as_tenant(id: &str) -> String {
    format!("select set_config('app.tenant_id', '{id}', true)")
}

#[tokio::test]
async fn row_level_security_is_forced_on_every_table() {
    let servers = servers().await;
    let app = DirectPostgres::connect(&servers.urls.postgres).await.unwrap();
    for table in app.rows("", TABLES).await.unwrap() {
        assert_eq!(table["forced"], true, "{table}: not forced");
        assert_eq!(table["has_tenant"], true, "{table}: rows may lack a tenant");
        assert_eq!(table["policies"], serde_json::json!(["tenant_rows"]), "{table}: anyone may see more");
    }
    let looser = "select tablename, policyname, qual from pg_policies where schemaname = 'public' \
                  and policyname = 'tenant_rows' \
                  and (qual <> '(tenant_id = current_setting(''app.tenant_id''::text, true))' or with_check is not null)";
    assert_eq!(app.rows("", looser).await.unwrap(), Vec::<Value>::new());
}

#[tokio::test]
async fn rows_are_seen_by_their_tenant_alone() {
    let servers = servers().await;
    let (mine, theirs) = (seed(&servers, "mine").await, seed(&servers, "theirs").await);
    let app = DirectPostgres::connect(&servers.urls.postgres).await.unwrap();
    let owner = DirectPostgres::connect(&servers.urls.postgres_admin).await.unwrap();
    for table in tables(&app).await {
        assert_ne!(
            count(&app, &as_tenant(&mine.id), &table, &mine.id).await,
            0,
            "{table}: nothing was seeded"
        );
        assert_eq!(count(&app, "", &table, &mine.id).await, 0, "{table}: visible to nobody in particular");
        assert_eq!(
            count(&app, &as_tenant(""), &table, &mine.id).await,
            0,
            "{table}: visible to an empty tenant"
        );
        assert_eq!(count(&app, &as_tenant("%"), &table, &mine.id).await, 0, "{table}: visible to a pattern");
        assert_eq!(
            count(&app, &as_tenant(&theirs.id), &table, &mine.id).await,
            0,
            "{table}: visible to another"
        );
        assert_eq!(count(&owner, "", &table, &mine.id).await, 0, "{table}: visible to the owner");
        assert_eq!(
            count(&owner, &as_tenant(&theirs.id), &table, &mine.id).await,
            0,
            "{table}: visible to the owner"
        );
    }
}

#[tokio::test]
async fn rows_are_changed_by_their_tenant_alone() {
    let servers = servers().await;
    let (mine, theirs) = (seed(&servers, "mine").await, seed(&servers, "theirs").await);
    let app = DirectPostgres::connect(&servers.urls.postgres).await.unwrap();
    for table in tables(&app).await {
        let before = count(&app, &as_tenant(&mine.id), &table, &mine.id).await;
        let enter = as_tenant(&theirs.id);
        let delete = format!("{enter}; delete from {table} where tenant_id = '{}'", mine.id);
        reaches_nothing(&app, &table, &delete).await;
        let steal = format!(
            "{enter}; update {table} set tenant_id = '{}' where tenant_id = '{}'",
            theirs.id, mine.id
        );
        reaches_nothing(&app, &table, &steal).await;
        assert_eq!(count(&app, &as_tenant(&mine.id), &table, &mine.id).await, before, "{table}");
        // Nor may a tenant give its rows away.
        let give = format!(
            "{enter}; update {table} set tenant_id = '{}' where tenant_id = '{}'",
            mine.id, theirs.id
        );
        let given = app.execute(&give).await;
        let refused = given.err().map(|error| error.to_string()).unwrap_or_default();
        let nothing_to_give = count(&app, &enter, &table, &theirs.id).await == 0;
        let expected =
            if APPEND_ONLY.contains(&table.as_str()) { "permission denied" } else { "row-level security" };
        assert!(nothing_to_give || refused.contains(expected), "{table}: {refused}");
    }
}

/// Tables whose rows the application may not change at all, not even a tenant's own.
const APPEND_ONLY: [&str; 1] = ["audit_log"];

/// Runs a change of rows that belong to another tenant: there are none for it.
async fn reaches_nothing(app: &DirectPostgres, table: &str, change: &str) {
    match app.execute(change).await {
        Ok(()) => assert!(!APPEND_ONLY.contains(&table), "the server allowed: {change}"),
        Err(error) => {
            let refused = error.to_string();
            assert!(
                APPEND_ONLY.contains(&table) && refused.contains("permission denied"),
                "{table}: {refused}"
            );
        }
    }
}

#[tokio::test]
async fn a_tenants_own_audit_log_is_only_added_to() {
    let servers = servers().await;
    let mine = seed(&servers, "mine").await;
    let app = DirectPostgres::connect(&servers.urls.postgres).await.unwrap();
    let enter = as_tenant(&mine.id);
    for change in ["delete from audit_log", "update audit_log set actor = 'local:eve'", "truncate audit_log"]
    {
        let refused = app.execute(&format!("{enter}; {change}")).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{change}: {refused}");
    }
    assert_eq!(count(&app, &enter, "audit_log", &mine.id).await, 1);
    // Nor into another tenant's.
    let forged = "insert into audit_log (tenant_id, audit_id, at, actor, action, target, request_id) \
                  values ('another', gen_random_uuid(), now(), '', '', '{}', '')";
    let refused = app.execute(&format!("{enter}; {forged}")).await.unwrap_err().to_string();
    assert!(refused.contains("row-level security"), "{refused}");
}
