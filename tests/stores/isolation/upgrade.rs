//! Rows that an earlier version wrote, after the tables were brought up to date.

use std::path::Path;

use serde_json::json;
use stores::direct::DirectPostgres;
use tests::services::Scratch;

/// Goal: a membership from before identities named their provider gives no more than it did.
/// Method: write members as version 15 did, with and without an account of the name, and run what came after it.
#[tokio::test]
async fn a_bare_name_becomes_its_account_or_stays_with_tokens() {
    let scratch = Scratch::create().await;
    let owner = DirectPostgres::connect(&scratch.urls.postgres_admin).await.unwrap();
    owner.execute("create schema tenantry").await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../worker/stores/migrations/postgres");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (old, new) = files.split_at(15);
    for file in old {
        owner.execute(&std::fs::read_to_string(file).unwrap()).await.unwrap();
    }
    let rows = "select set_config('app.tenant_id', 'acme', true);
        insert into tenants (tenant_id, name, plan, status, created_at)
            values ('acme', 'Acme', 'free', 'active', 'epoch');
        insert into tenantry.users (name, password_hash, created_at)
            values ('ann', '', 'epoch'), ('bob', '', 'epoch');
        insert into members (tenant_id, subject, role, created_at, removed_at, revision)
            values ('acme', 'ann', 'EDITOR', 'epoch', null, 3), ('acme', 'bob', 'ADMIN', 'epoch', 'epoch', 2),
                ('acme', 'cid', 'VIEWER', 'epoch', null, 1), ('acme', 'dan', 'ADMIN', 'epoch', 'epoch', 2);";
    owner.execute(rows).await.unwrap();
    owner.execute(&std::fs::read_to_string(&new[0]).unwrap()).await.unwrap();
    let members =
        "select identity, role, removed_at is not null as removed, revision from members order by 1";
    let enter = "select set_config('app.tenant_id', 'acme', true)";
    let member = |identity: &str, role: &str, removed: bool, revision: u64| json!({ "identity": identity, "role": role, "removed": removed, "revision": revision });
    let expected = [
        member("local:ann", "EDITOR", false, 3),
        member("local:bob", "ADMIN", true, 2),
        member("user:ann", "EDITOR", true, 0),
        member("user:bob", "ADMIN", true, 0),
        member("user:cid", "VIEWER", false, 1),
        member("user:dan", "ADMIN", true, 2),
    ];
    assert_eq!(owner.rows(enter, members).await.unwrap(), expected);
    assert_eq!(
        owner.rows("", members).await.unwrap(),
        Vec::<serde_json::Value>::new(),
        "the owner sees them again"
    );
    owner.close().await;
    scratch.drop().await;
}
