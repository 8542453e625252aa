use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::tenant::{Identity, TenantId};
use uuid::Uuid;

use super::{gates, joining, places, sessions, users};
use crate::model::{
    GateRule, Invitation, InvitationAccepted, InvitationSecret, Invitee, Membership, Place, PlaceChange,
    Renewal, Session, User, UserChange, UserName,
};
use crate::ports::{Identities, StoreResult};
use crate::postgres::pool::Postgres;

/// Users, sessions and gates, and the memberships of one named person.
pub(crate) struct PgIdentities {
    postgres: Postgres,
}

impl PgIdentities {
    pub(crate) fn new(postgres: Postgres) -> Self {
        Self { postgres }
    }
}

#[async_trait::async_trait]
impl Identities for PgIdentities {
    async fn user(&self, name: &UserName) -> StoreResult<Option<User>> {
        users::user(&self.postgres, name).await
    }

    async fn user_put(&self, user: &User, now: DateTime<Utc>) -> StoreResult<UserChange> {
        users::user_put(&self.postgres, user, now).await
    }

    async fn password_put(&self, user: &User, kept: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        users::password_put(&self.postgres, user, kept, now).await
    }

    async fn memberships(&self, identity: &Identity) -> StoreResult<Vec<Membership>> {
        users::memberships(&self.postgres, identity).await
    }

    async fn invitation_of(
        &self,
        tenant: &TenantId,
        secret: &InvitationSecret,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<Invitation>> {
        joining::find(&self.postgres, tenant, secret, now).await
    }

    async fn invitation_accept(
        &self,
        tenant: &TenantId,
        secret: &InvitationSecret,
        who: &Invitee,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<InvitationAccepted> {
        joining::accept(&self.postgres, tenant, secret, who, (maximum, now)).await
    }

    async fn place_ensure(
        &self,
        name: &UserName,
        place: &Place,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<PlaceChange> {
        places::ensure(&self.postgres, name, place, (maximum, now)).await
    }

    async fn session_insert(&self, session: &Session, now: DateTime<Utc>) -> StoreResult<()> {
        sessions::insert(&self.postgres, session, now).await
    }

    async fn session_is_live(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        sessions::is_live(&self.postgres, id, now).await
    }

    async fn session_renew(
        &self,
        id: Uuid,
        generation: u32,
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<Renewal> {
        sessions::renew(&self.postgres, (id, generation), expires_at, now).await
    }

    async fn session_end(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        sessions::end(&self.postgres, id, now).await
    }

    async fn gate_enter(
        &self,
        key: &str,
        rule: GateRule,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<Duration>> {
        gates::enter(&self.postgres, key, rule, now).await
    }

    async fn gate_reset(&self, key: &str) -> StoreResult<()> {
        gates::reset(&self.postgres, key).await
    }
}
