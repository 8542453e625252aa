//! Accounts, sessions, login throttles, and memberships of single persons.
//!
//! These tables belong to no tenant. On PostgreSQL they are in the schema `tenantry` and accessed as the role
//! `tenantry_identity`; a membership is the tenant's row and is written as the tenant.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::tenant::{ApiKeyId, Identity, TenantId};
use uuid::Uuid;

use super::{Catalog, Catalogs, Reader, Row, Tx, View, sql};
use crate::model::{
    Invitation, InvitationAccepted, InvitationSecret, Invitee, KeyPlaced, MemberPlaced, Membership,
    MembershipImport, MembershipImported, NewApiKey, OverQuota, Renewal, Session, ThrottleRule,
    ThrottleState, User, UserChange, UserName,
};
use crate::ports::StoreResult;

/// How long tries at a throttle are remembered, at most.
const THROTTLES_KEPT: TimeDelta = TimeDelta::days(2);

/// Accounts, sessions and login throttles, which belong to no tenant. Of tenants' rows this port reads only the
/// memberships of a named person, and the invitation whose secret the caller has.
pub struct Identities {
    catalogs: Catalogs,
}

/// Inserts an account. Returns whether the name was free. The transaction must run as a role that can access
/// accounts.
pub(super) async fn user_insert(tx: &mut Tx, user: &User, now: DateTime<Utc>) -> StoreResult<bool> {
    let insert = sql("insert into users (name, password_hash, created_at) values ($1, $2, $3)
         on conflict (name) do nothing");
    Ok(tx.execute(insert.bind(user.name.as_str()).bind(&user.password_hash).bind(now)).await? == 1)
}

impl Identities {
    pub(crate) const fn new(catalogs: Catalogs) -> Self {
        Self { catalogs }
    }

    fn people(&self) -> View {
        self.catalogs.db.reader(Reader::Identity)
    }

    /// The account with this name.
    pub async fn user(&self, name: &UserName) -> StoreResult<Option<User>> {
        let select = sql("select name, password_hash from users where name = $1").bind(name.as_str());
        let read =
            |row: &Row| Ok(User { name: row.parsed("name")?, password_hash: row.text("password_hash")? });
        self.people().optional("identities.user", select, read).await
    }

    /// Creates an account, or replaces its password, which ends the account's sessions.
    pub async fn user_put(&self, user: &User, now: DateTime<Utc>) -> StoreResult<UserChange> {
        let mut tx = self.people().write("identities.user_put").await?;
        if user_insert(&mut tx, user, now).await? {
            tx.commit().await?;
            return Ok(UserChange::Made);
        }
        let change = sql("update users set password_hash = $2 where name = $1 and password_hash <> $2");
        if tx.execute(change.bind(user.name.as_str()).bind(&user.password_hash)).await? == 0 {
            return Ok(UserChange::Same);
        }
        let end = sql("update sessions set ended_at = $2 where user_name = $1 and ended_at is null");
        tx.execute(end.bind(user.name.as_str()).bind(now)).await?;
        tx.commit().await?;
        Ok(UserChange::PasswordChanged)
    }

    /// Replaces an account's password, which ends its sessions except `kept`. Returns whether the account exists.
    pub async fn password_put(&self, user: &User, kept: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        let mut tx = self.people().write("identities.password_put").await?;
        let change = sql("update users set password_hash = $2 where name = $1");
        let change = change.bind(user.name.as_str()).bind(&user.password_hash);
        let known = tx.execute(change).await? == 1;
        let end = sql("update sessions set ended_at = $2
             where user_name = $1 and session_id <> $3 and ended_at is null");
        tx.execute(end.bind(user.name.as_str()).bind(now).bind(kept)).await?;
        tx.commit().await?;
        Ok(known)
    }

    /// The person's memberships by tenant id, without tenants that are being deleted.
    pub async fn memberships(&self, identity: &Identity) -> StoreResult<Vec<Membership>> {
        // A membership from before identities named their provider counts only where the identity has none of its
        // own.
        let select =
            sql("select tenant_id, tenants.name, members.role from members join tenants using (tenant_id)
             where removed_at is null and tenants.status <> 'deprovisioning' and (identity = $1
                 or identity = $2 and tenant_id not in (select tenant_id from members where identity = $1))
             order by tenant_id");
        let legacy = identity.legacy().map(|legacy| legacy.to_string());
        let read = |row: &Row| {
            let (tenant, tenant_name) = (row.parsed("tenant_id")?, row.text("name")?);
            Ok(Membership { tenant, tenant_name, role: row.parsed("role")? })
        };
        self.people()
            .all("identities.memberships", select.bind(identity.to_string()).bind(legacy), read)
            .await
    }

    /// The tenant's open invitation with this secret, while the tenant takes members.
    pub async fn invitation_of(
        &self,
        tenant: &TenantId,
        secret: &InvitationSecret,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<Invitation>> {
        let catalog = self.catalogs.of(tenant);
        let mut tx = catalog.rows.read("identities.invitation_of").await?;
        let found = catalog.invitation_of_secret(&mut tx, secret, now).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// Makes a person a member and consumes the invitation, if the tenant has fewer than `maximum` members (`None`:
    /// no limit). Concurrent calls succeed exactly once. With [`Invitee::New`] the account is created too.
    pub async fn invitation_accept(
        &self,
        tenant: &TenantId,
        secret: &InvitationSecret,
        who: &Invitee,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<InvitationAccepted> {
        let catalog = self.catalogs.of(tenant);
        let mut tx = catalog.rows.write("identities.invitation_accept").await?;
        // Serialises with others that accept, invite or close the tenant, so that an invitation is consumed once.
        catalog.lock(&mut tx).await?;
        let Some(invitation) = catalog.invitation_of_secret(&mut tx, secret, now).await? else {
            return Ok(InvitationAccepted::Unknown);
        };
        let identity = who.identity();
        if catalog.member_in(&mut tx, &identity).await?.is_some() {
            return Ok(InvitationAccepted::MemberExists);
        }
        // The invitation counts already, so it is not counted again.
        let members = catalog.member_total(&mut tx).await?;
        if let Some(over) = maximum.and_then(|maximum| OverQuota::members(members, maximum)) {
            return Ok(InvitationAccepted::OverQuota(over));
        }
        if let Invitee::New(user) = who {
            tx.become_reader(Some(Reader::Identity)).await?;
            let made = user_insert(&mut tx, user, now).await?;
            tx.become_reader(None).await?;
            if !made {
                return Ok(InvitationAccepted::UserExists);
            }
        }
        let by = Some(invitation.created_by.as_str());
        let member = catalog.member_put(&mut tx, &identity, invitation.role, now, by).await?;
        tx.execute(catalog.invitation_delete_sql(invitation.id)).await?;
        tx.commit().await?;
        Ok(InvitationAccepted::Member(member))
    }

    /// Imports a membership: makes the person a member unless they already are or were one, within the limit of
    /// `maximum` members. Former members stay removed.
    pub async fn membership_import(
        &self,
        name: &UserName,
        import: &MembershipImport,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MembershipImported> {
        let catalog = self.catalogs.of(&import.tenant);
        let mut tx = catalog.rows.write("identities.membership_import").await?;
        // Serialises with transactions that change members or names of keys.
        catalog.lock(&mut tx).await?;
        let member = import_member(&catalog, &mut tx, name, import, (maximum, now)).await?;
        let api_key = match &import.api_key {
            Some(key) if !matches!(member, MemberPlaced::OverQuota(_)) => {
                Some(import_key(&catalog, &mut tx, name, import, key, now).await?)
            }
            _ => None,
        };
        tx.commit().await?;
        Ok(MembershipImported { member, api_key })
    }

    /// Creates a session.
    pub async fn session_insert(&self, session: &Session, now: DateTime<Utc>) -> StoreResult<()> {
        let mut tx = self.people().write("identities.session_insert").await?;
        let prune = sql("delete from sessions where session_id in (
                 select session_id from sessions where expires_at <= $1 limit 100
                 {for update skip locked})");
        tx.execute(prune.bind(now)).await?;
        let insert =
            sql("insert into sessions (session_id, user_name, tenant_id, generation, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6)");
        let insert = insert.bind(session.id).bind(session.user.as_str());
        let insert = insert.bind(session.tenant.as_ref().map(TenantId::as_str)).bind(session.generation);
        tx.execute(insert.bind(now).bind(session.expires_at)).await?;
        tx.commit().await
    }

    /// Whether a session is neither ended nor expired.
    pub async fn session_is_live(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        let select = sql("select 1 as found from sessions
             where session_id = $1 and ended_at is null and expires_at > $2");
        let select = select.bind(id).bind(now);
        let found = self.people().optional("identities.session_is_live", select, |_| Ok(())).await?;
        Ok(found.is_some())
    }

    /// Extends a session until `expires_at` if `generation` is the current one. If it is not, the refresh token was
    /// used twice, and the session ends.
    pub async fn session_renew(
        &self,
        id: Uuid,
        generation: u32,
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<Renewal> {
        let mut tx = self.people().write("identities.session_renew").await?;
        let renew = sql("update sessions set generation = generation + 1, expires_at = $4
             where session_id = $1 and generation = $2 and ended_at is null and expires_at > $3
             returning session_id, user_name, tenant_id, generation, expires_at");
        let renew = renew.bind(id).bind(generation).bind(now).bind(expires_at);
        let renewal = match tx.optional(renew, read_session).await? {
            Some(session) => Renewal::Renewed(session),
            None if session_end_in(&mut tx, id, now).await? => Renewal::Reused,
            None => Renewal::Ended,
        };
        tx.commit().await?;
        Ok(renewal)
    }

    /// Ends a session. Returns whether it was live.
    pub async fn session_end(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        let mut tx = self.people().write("identities.session_end").await?;
        let ended = session_end_in(&mut tx, id, now).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Counts an attempt at the login throttle `key`. Returns how long the throttle still rejects attempts; in that
    /// case the attempt is not counted. `None` means that the attempt may go on.
    pub async fn throttle_enter(
        &self,
        key: &str,
        rule: ThrottleRule,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<Duration>> {
        let mut tx = self.people().write("identities.throttle_enter").await?;
        let prune = sql("delete from gates where key in (
                 select key from gates where last_at < $1 limit 100 {for update skip locked})");
        tx.execute(prune.bind(now - THROTTLES_KEPT)).await?;
        // Makes sure that there is a row to lock, so that two concurrent attempts count as two.
        let ensure = sql("insert into gates (key, tries, last_at, open_at) values ($1, 0, $2, $2)
             on conflict (key) do nothing");
        tx.execute(ensure.bind(key).bind(now)).await?;
        let select = sql("select tries, last_at, open_at from gates where key = $1 {for update}");
        let before = tx.one(select.bind(key), read_throttle).await?;
        let after = match rule.enter(Some(before), now) {
            Ok(after) => after,
            Err(wait) => return Ok(Some(wait)),
        };
        let update = sql("update gates set tries = $2, last_at = $3, open_at = $4 where key = $1");
        tx.execute(update.bind(key).bind(after.tries).bind(after.last_at).bind(after.open_at)).await?;
        tx.commit().await?;
        Ok(None)
    }

    /// Resets a login throttle after a successful attempt.
    pub async fn throttle_reset(&self, key: &str) -> StoreResult<()> {
        let delete = sql("delete from gates where key = $1").bind(key);
        self.people().execute("identities.throttle_reset", delete).await.map(drop)
    }
}

/// Ends a live session. Returns whether it was live.
async fn session_end_in(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
    let end = sql("update sessions set ended_at = $2
         where session_id = $1 and ended_at is null and expires_at > $2");
    Ok(tx.execute(end.bind(id).bind(now)).await? == 1)
}

/// Makes an imported account a member, unless it is or was one.
async fn import_member(
    catalog: &Catalog,
    tx: &mut Tx,
    name: &UserName,
    import: &MembershipImport,
    (maximum, now): (Option<u64>, DateTime<Utc>),
) -> StoreResult<MemberPlaced> {
    let identity = name.identity();
    let known = catalog.sql("select 1 as found from members where tenant_id = $1 and identity = $2");
    if tx.optional(known.bind(identity.to_string()), |_| Ok(())).await?.is_some() {
        return Ok(MemberPlaced::Known);
    }
    if let Some(over) = catalog.members_refused(tx, maximum, now).await? {
        return Ok(MemberPlaced::OverQuota(over));
    }
    catalog.member_put(tx, &identity, import.role, now, None).await?;
    Ok(MemberPlaced::New)
}

/// Stores the API key of an imported account.
async fn import_key(
    catalog: &Catalog,
    tx: &mut Tx,
    name: &UserName,
    import: &MembershipImport,
    (id, secret_sha256): &(ApiKeyId, String),
    now: DateTime<Utc>,
) -> StoreResult<KeyPlaced> {
    let key = NewApiKey {
        id: id.clone(),
        name: name.as_str().to_owned(),
        secret_sha256: secret_sha256.clone(),
        role: import.role,
        kb_id: None,
        permissions: None,
        created_by: None,
        expires_at: None,
    };
    catalog.key_place(tx, &key, now).await
}

fn read_session(row: &Row) -> sqlx::Result<Session> {
    Ok(Session {
        id: row.parsed("session_id")?,
        user: row.parsed("user_name")?,
        tenant: row.parsed_or_null("tenant_id")?,
        generation: row.number("generation")?,
        expires_at: row.time("expires_at")?,
    })
}

fn read_throttle(row: &Row) -> sqlx::Result<ThrottleState> {
    Ok(ThrottleState {
        tries: row.number("tries")?,
        last_at: row.time("last_at")?,
        open_at: row.time("open_at")?,
    })
}
