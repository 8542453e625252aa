use chrono::{DateTime, Utc};
use jobs::tenant::{Identity, Role};
use uuid::Uuid;

use super::StoreResult;
use crate::model::{Invitation, Invited, Member, MemberAdded, MemberChange, Page};

/// Who belongs to the tenant. Somebody who was removed is no member any more, but their row stays, so that a
/// token from before does not work on.
#[async_trait::async_trait]
pub trait Members: Send + Sync {
    /// One member.
    async fn member(&self, identity: &Identity) -> StoreResult<Option<Member>>;

    /// Members by the text of their identity, beginning after `after`, of one role if given. At most `limit` (1 to
    /// 1,000).
    async fn members(
        &self,
        role: Option<Role>,
        after: Option<&Identity>,
        limit: u32,
    ) -> StoreResult<Page<Member>>;

    /// Adds a member, who may have been removed before, while members and open invitations are fewer than `maximum` (if
    /// there is one): exactly, also when several are added at once.
    async fn member_insert(
        &self,
        identity: &Identity,
        role: Role,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberAdded>;

    /// Gives a member another role, if `revision` (when given) is still theirs. Of changes at the same time,
    /// the last one finds that it would leave the tenant without an `ADMIN`.
    async fn member_role_put(
        &self,
        identity: &Identity,
        role: Role,
        revision: Option<u64>,
    ) -> StoreResult<MemberChange>;

    /// Removes a member. Conditions as for [`Members::member_role_put`].
    async fn member_remove(
        &self,
        identity: &Identity,
        revision: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberChange>;

    /// Opens an invitation, while members and open invitations are fewer than `maximum` (if there is one): exactly,
    /// also when several are made at once. `sha256` is that of its secret. Expired ones are deleted.
    async fn invitation_insert(
        &self,
        invitation: &Invitation,
        sha256: &str,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<Invited>;

    /// One that is open.
    async fn invitation(&self, id: Uuid, now: DateTime<Utc>) -> StoreResult<Option<Invitation>>;

    /// Those that are open, by id, beginning after `after`. At most `limit` (1 to 1,000).
    async fn invitations(
        &self,
        after: Option<Uuid>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> StoreResult<Page<Invitation>>;

    /// Withdraws an invitation. Returns whether it was there.
    async fn invitation_delete(&self, id: Uuid) -> StoreResult<bool>;
}
