use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::tenant::{Identity, TenantId};
use uuid::Uuid;

use super::{gates, joining, places, sessions, users};
use crate::deadline::CALL;
use crate::embedded::catalog::invitation_of;
use crate::embedded::fault::call;
use crate::embedded::file::SqliteFile;
use crate::model::{
    GateRule, Invitation, InvitationAccepted, InvitationSecret, Invitee, Membership, Place, PlaceChange,
    Renewal, Session, User, UserChange, UserName,
};
use crate::ports::{Identities, StoreResult};

/// Users, sessions and gates, and the memberships of one named person.
pub(in crate::embedded) struct SqliteIdentities {
    file: Arc<SqliteFile>,
}

impl SqliteIdentities {
    pub(in crate::embedded) fn new(file: Arc<SqliteFile>) -> Self {
        Self { file }
    }
}

#[async_trait::async_trait]
impl Identities for SqliteIdentities {
    async fn user(&self, name: &UserName) -> StoreResult<Option<User>> {
        call("identities.user", CALL, users::user(&self.file, name)).await
    }

    async fn user_put(&self, user: &User, now: DateTime<Utc>) -> StoreResult<UserChange> {
        call("identities.user_put", CALL, users::user_put(&self.file, user, now)).await
    }

    async fn password_put(&self, user: &User, kept: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        call("identities.password_put", CALL, users::password_put(&self.file, user, kept, now)).await
    }

    async fn memberships(&self, identity: &Identity) -> StoreResult<Vec<Membership>> {
        call("identities.memberships", CALL, users::memberships(&self.file, identity)).await
    }

    async fn invitation_of(
        &self,
        tenant: &TenantId,
        secret: &InvitationSecret,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<Invitation>> {
        let found = invitation_of(self.file.read(), tenant, secret, now);
        call("identities.invitation_of", CALL, found).await
    }

    async fn invitation_accept(
        &self,
        tenant: &TenantId,
        secret: &InvitationSecret,
        who: &Invitee,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<InvitationAccepted> {
        let accepted = joining::accept(&self.file, tenant, secret, who, (maximum, now));
        call("identities.invitation_accept", CALL, accepted).await
    }

    async fn place_ensure(
        &self,
        name: &UserName,
        place: &Place,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<PlaceChange> {
        let ensured = places::ensure(&self.file, name, place, (maximum, now));
        call("identities.place_ensure", CALL, ensured).await
    }

    async fn session_insert(&self, session: &Session, now: DateTime<Utc>) -> StoreResult<()> {
        call("identities.session_insert", CALL, sessions::insert(&self.file, session, now)).await
    }

    async fn session_is_live(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        call("identities.session_is_live", CALL, sessions::is_live(&self.file, id, now)).await
    }

    async fn session_renew(
        &self,
        id: Uuid,
        generation: u32,
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<Renewal> {
        let renewal = sessions::renew(&self.file, (id, generation), expires_at, now);
        call("identities.session_renew", CALL, renewal).await
    }

    async fn session_end(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool> {
        call("identities.session_end", CALL, sessions::end(&self.file, id, now)).await
    }

    async fn gate_enter(
        &self,
        key: &str,
        rule: GateRule,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<Duration>> {
        call("identities.gate_enter", CALL, gates::enter(&self.file, key, rule, now)).await
    }

    async fn gate_reset(&self, key: &str) -> StoreResult<()> {
        call("identities.gate_reset", CALL, gates::reset(&self.file, key)).await
    }
}
