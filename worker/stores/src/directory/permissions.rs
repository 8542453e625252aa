//! What an actor may do, from the rows that say so.

use chrono::{DateTime, Utc};
use jobs::tenant::{Permissions, Role};

use super::MemberRecord;
use crate::model::ApiKeyRecord;

/// What the holder of a key may do: nothing once it is revoked, expired or gone.
pub(super) fn of_api_key(record: Option<&ApiKeyRecord>, now: DateTime<Utc>) -> Permissions {
    let live = |key: &&ApiKeyRecord| key.revoked_at.is_none() && key.expires_at.is_none_or(|at| now < at);
    record.filter(live).map_or(Permissions::NONE, |key| key.role.permissions())
}

/// What a user may do: what the membership says, and no more than the token said; without a membership what
/// the token said, which the product's own login issued.
pub(super) fn of_user(member: Option<MemberRecord>, role_in_stamp: Role) -> Permissions {
    match member {
        Some(MemberRecord { removed: true, .. }) => Permissions::NONE,
        Some(MemberRecord { role, .. }) => role.permissions().intersection(role_in_stamp.permissions()),
        None => role_in_stamp.permissions(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_ends_with_its_time_or_its_revocation() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let second = chrono::TimeDelta::seconds(1);
        let key = |expires_at, revoked_at| ApiKeyRecord {
            secret_sha256: String::new(),
            role: Role::Editor,
            expires_at,
            revoked_at,
        };
        let all = Role::Editor.permissions();
        assert_eq!(of_api_key(Some(&key(None, None)), now), all);
        assert_eq!(of_api_key(Some(&key(Some(now + second), None)), now), all);
        assert_eq!(of_api_key(Some(&key(Some(now), None)), now), Permissions::NONE);
        assert_eq!(of_api_key(Some(&key(None, Some(now - second))), now), Permissions::NONE);
        assert_eq!(of_api_key(None, now), Permissions::NONE);
    }

    #[test]
    fn a_removed_member_may_nothing() {
        let member = |removed| Some(MemberRecord { role: Role::Viewer, removed });
        assert_eq!(of_user(member(true), Role::Admin), Permissions::NONE);
        assert_eq!(of_user(member(false), Role::Admin), Role::Viewer.permissions());
        let narrow = Role::ViewerReadonly;
        assert_eq!(of_user(member(false), narrow), narrow.permissions(), "the token says less");
        assert_eq!(of_user(None, Role::Editor), Role::Editor.permissions());
    }
}
