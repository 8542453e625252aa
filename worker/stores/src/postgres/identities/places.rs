//! What imported people are in tenants. Written as the tenant, since these are its rows.

use chrono::{DateTime, Utc};
use jobs::tenant::ApiKeyId;
use sqlx::Row as _;

use crate::model::{KeyPlaced, MemberPlaced, OverQuota, Place, PlaceChange, UserName};
use crate::ports::StoreResult;
use crate::postgres::catalog::{member_put, member_total, open_total, tenant_lock};
use crate::postgres::pool::{Postgres, TenantDb};
use crate::postgres::tx::Tx;

pub(super) async fn ensure(
    postgres: &Postgres,
    name: &UserName,
    place: &Place,
    (maximum, now): (Option<u64>, DateTime<Utc>),
) -> StoreResult<PlaceChange> {
    let db = postgres.tenant(&place.tenant);
    let mut tx = db.tx("identities.place_ensure").await?;
    // Whoever changes members or names of keys waits here.
    tenant_lock(&mut tx, &db).await?;
    let member = member(&mut tx, &db, name, place, (maximum, now)).await?;
    let api_key = match &place.api_key {
        Some(key) if !matches!(member, MemberPlaced::OverQuota(_)) => {
            Some(api_key(&mut tx, name, place, key, now).await?)
        }
        _ => None,
    };
    tx.commit().await?;
    Ok(PlaceChange { member, api_key })
}

async fn member(
    tx: &mut Tx,
    db: &TenantDb,
    name: &UserName,
    place: &Place,
    (maximum, now): (Option<u64>, DateTime<Utc>),
) -> StoreResult<MemberPlaced> {
    let identity = name.identity();
    let known = sqlx::query("select from members where tenant_id = $1 and identity = $2");
    let known = known.bind(place.tenant.as_str()).bind(identity.to_string());
    if tx.optional(known, |_| Ok(())).await?.is_some() {
        return Ok(MemberPlaced::Known);
    }
    let current = member_total(tx, db).await? + open_total(tx, db, now).await?;
    if let Some(over) = maximum.and_then(|maximum| OverQuota::members(current, maximum)) {
        return Ok(MemberPlaced::OverQuota(over));
    }
    member_put(tx, db, &identity, place.role, now).await?;
    Ok(MemberPlaced::New)
}

async fn api_key(
    tx: &mut Tx,
    name: &UserName,
    place: &Place,
    (id, secret_sha256): &(ApiKeyId, String),
    now: DateTime<Utc>,
) -> StoreResult<KeyPlaced> {
    let (tenant, name) = (place.tenant.as_str(), name.as_str());
    let found = sqlx::query(
        "select exists (select from api_keys where tenant_id = $1 and key_id = $2) as known, \
                exists (select from api_keys where tenant_id = $1 and name = $3 and revoked_at is null) as taken",
    );
    let found = found.bind(tenant).bind(id.as_str()).bind(name);
    let found = tx.one(found, |row| Ok((row.try_get("known")?, row.try_get("taken")?))).await?;
    match found {
        (true, _) => return Ok(KeyPlaced::Known),
        (_, true) => return Ok(KeyPlaced::NameTaken),
        (false, false) => {}
    }
    let insert = sqlx::query(
        "insert into api_keys (tenant_id, key_id, name, secret_sha256, role, created_at) \
         values ($1, $2, $3, $4, $5, $6)",
    );
    let insert = insert.bind(tenant).bind(id.as_str()).bind(name).bind(secret_sha256);
    tx.execute(insert.bind(place.role.as_str()).bind(now)).await?;
    Ok(KeyPlaced::New)
}
