use chrono::{DateTime, Utc};
use jobs::tenant::{Role, Subject};

use super::StoreResult;
use crate::model::{Member, MemberAdded, MemberChange, Page};

/// Who belongs to the tenant. Somebody who was removed is no member any more, but their row stays, so that a
/// token from before does not work on.
#[async_trait::async_trait]
pub trait Members: Send + Sync {
    /// One member.
    async fn member(&self, subject: &Subject) -> StoreResult<Option<Member>>;

    /// Members by subject, beginning after `after`, of one role if given. At most `limit` (1 to 1,000).
    async fn members(
        &self,
        role: Option<Role>,
        after: Option<&Subject>,
        limit: u32,
    ) -> StoreResult<Page<Member>>;

    /// Adds a member, who may have been removed before, while there are fewer than `maximum` (if there is one):
    /// exactly, also when several are added at once.
    async fn member_insert(
        &self,
        subject: &Subject,
        role: Role,
        maximum: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberAdded>;

    /// Gives a member another role, if `revision` (when given) is still theirs. Of changes at the same time,
    /// the last one finds that it would leave the tenant without an `ADMIN`.
    async fn member_role_put(
        &self,
        subject: &Subject,
        role: Role,
        revision: Option<u64>,
    ) -> StoreResult<MemberChange>;

    /// Removes a member. Conditions as for [`Members::member_role_put`].
    async fn member_remove(
        &self,
        subject: &Subject,
        revision: Option<u64>,
        now: DateTime<Utc>,
    ) -> StoreResult<MemberChange>;
}
