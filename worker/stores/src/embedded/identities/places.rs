//! What imported people are in tenants.

use chrono::{DateTime, Utc};
use jobs::tenant::ApiKeyId;
use sqlx::SqliteConnection;

use crate::embedded::catalog::{member_put, member_total, open_total};
use crate::embedded::column::micros;
use crate::embedded::fault::Fault;
use crate::embedded::file::SqliteFile;
use crate::model::{KeyPlaced, MemberPlaced, OverQuota, Place, PlaceChange, UserName};

pub(super) async fn ensure(
    file: &SqliteFile,
    name: &UserName,
    place: &Place,
    (maximum, now): (Option<u64>, DateTime<Utc>),
) -> Result<PlaceChange, Fault> {
    let mut tx = file.begin().await?;
    let member = member(&mut tx, name, place, (maximum, now)).await?;
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
    tx: &mut SqliteConnection,
    name: &UserName,
    place: &Place,
    (maximum, now): (Option<u64>, DateTime<Utc>),
) -> Result<MemberPlaced, Fault> {
    let (tenant, identity) = (&place.tenant, name.identity());
    let known: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM members WHERE tenant_id = ? AND identity = ?)")
            .bind(tenant.as_str())
            .bind(identity.to_string())
            .fetch_one(&mut *tx)
            .await?;
    if known {
        return Ok(MemberPlaced::Known);
    }
    let current = member_total(tx, tenant).await? + open_total(tx, tenant, now).await?;
    if let Some(over) = maximum.and_then(|maximum| OverQuota::members(current, maximum)) {
        return Ok(MemberPlaced::OverQuota(over));
    }
    member_put(tx, tenant, &identity, place.role, now).await?;
    Ok(MemberPlaced::New)
}

async fn api_key(
    tx: &mut SqliteConnection,
    name: &UserName,
    place: &Place,
    (id, secret_sha256): &(ApiKeyId, String),
    now: DateTime<Utc>,
) -> Result<KeyPlaced, Fault> {
    let (tenant, name) = (place.tenant.as_str(), name.as_str());
    let (known, taken): (bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM api_keys WHERE tenant_id = ?1 AND key_id = ?2),
                EXISTS (SELECT 1 FROM api_keys WHERE tenant_id = ?1 AND name = ?3 AND revoked_at_us IS NULL)",
    )
    .bind(tenant)
    .bind(id.as_str())
    .bind(name)
    .fetch_one(&mut *tx)
    .await?;
    if known || taken {
        return Ok(if known { KeyPlaced::Known } else { KeyPlaced::NameTaken });
    }
    sqlx::query(
        "INSERT INTO api_keys (tenant_id, key_id, name, secret_sha256, role, created_at_us)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(tenant)
    .bind(id.as_str())
    .bind(name)
    .bind(secret_sha256)
    .bind(place.role.as_str())
    .bind(micros(now))
    .execute(tx)
    .await?;
    Ok(KeyPlaced::New)
}
