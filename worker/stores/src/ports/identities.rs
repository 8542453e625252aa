use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::tenant::{Identity, TenantId};
use uuid::Uuid;

use super::StoreResult;
use crate::model::{
    GateRule, Invitation, InvitationAccepted, InvitationSecret, Invitee, Membership, Place, PlaceChange,
    Renewal, Session, User, UserChange, UserName,
};

/// People who log in, their sessions, and how often they tried. They belong to no tenant; of what does, this port knows
/// the memberships of one named person, and the invitation whose secret they have.
#[async_trait::async_trait]
pub trait Identities: Send + Sync {
    /// A person.
    async fn user(&self, name: &UserName) -> StoreResult<Option<User>>;

    /// Makes a user, or gives one another password, which ends their sessions.
    async fn user_put(&self, user: &User, now: DateTime<Utc>) -> StoreResult<UserChange>;

    /// Gives a user another password, which ends their sessions but `kept`. Returns whether there is such a user.
    async fn password_put(&self, user: &User, kept: Uuid, now: DateTime<Utc>) -> StoreResult<bool>;

    /// Where a person is a member, by tenant id; without tenants that are being deleted.
    async fn memberships(&self, identity: &Identity) -> StoreResult<Vec<Membership>>;

    /// The tenant's invitation that is open and has this secret, while the tenant takes members.
    async fn invitation_of(
        &self,
        tenant: &TenantId,
        secret: &InvitationSecret,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<Invitation>>;

    /// Makes a person a member and uses their invitation up, if the tenant has fewer than `maximum` members (if there
    /// is
    /// one): exactly once, also when several accept it at once. With [`Invitee::New`] their account is made too.
    async fn invitation_accept(
        &self,
        tenant: &TenantId,
        secret: &InvitationSecret,
        who: &Invitee,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<InvitationAccepted>;

    /// Gives a person a place in a tenant that exists and may have at most `maximum` members; who was a member before,
    /// or is no longer, stays what they are.
    async fn place_ensure(
        &self,
        name: &UserName,
        place: &Place,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<PlaceChange>;

    /// Begins a session.
    async fn session_insert(&self, session: &Session, now: DateTime<Utc>) -> StoreResult<()>;

    /// Whether a session goes on.
    async fn session_is_live(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool>;

    /// Renews a session until `expires_at` if `generation` is still its own. If it is not, the session ends.
    async fn session_renew(
        &self,
        id: Uuid,
        generation: u32,
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> StoreResult<Renewal>;

    /// Ends a session. Returns whether it was live.
    async fn session_end(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<bool>;

    /// Counts a try at the gate called `key`. Returns for how long the gate is closed, if it is; then nothing is
    /// counted.
    async fn gate_enter(
        &self,
        key: &str,
        rule: GateRule,
        now: DateTime<Utc>,
    ) -> StoreResult<Option<Duration>>;

    /// Forgets the tries at a gate, because one was good.
    async fn gate_reset(&self, key: &str) -> StoreResult<()>;
}
