//! What an actor may do, from the rows that say so.

use chrono::{DateTime, Utc};
use jobs::tenant::{KbId, Permissions, Role};

use super::MemberRecord;
use crate::model::ApiKeyRecord;

/// What the holder of a key may do in a knowledge base, or in all of the tenant: nothing out of its reach, nor
/// once it is revoked, expired or gone.
pub(super) fn of_api_key(
    record: Option<&ApiKeyRecord>,
    kb: Option<&KbId>,
    now: DateTime<Utc>,
) -> Permissions {
    let works = |key: &&ApiKeyRecord| key.is_live(now) && key.reaches(kb);
    record.filter(works).map_or(Permissions::NONE, |key| key.permissions)
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

    fn key() -> ApiKeyRecord {
        ApiKeyRecord {
            secret_sha256: String::new(),
            previous: None,
            role: Role::Editor,
            kb_id: None,
            permissions: Role::Editor.permissions(),
            expires_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_key_ends_with_its_time_or_its_revocation() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let second = chrono::TimeDelta::seconds(1);
        let key = |expires_at, revoked_at| ApiKeyRecord { expires_at, revoked_at, ..key() };
        let all = Role::Editor.permissions();
        assert_eq!(of_api_key(Some(&key(None, None)), None, now), all);
        assert_eq!(of_api_key(Some(&key(Some(now + second), None)), None, now), all);
        assert_eq!(of_api_key(Some(&key(Some(now), None)), None, now), Permissions::NONE);
        assert_eq!(of_api_key(Some(&key(None, Some(now - second))), None, now), Permissions::NONE);
        assert_eq!(of_api_key(None, None, now), Permissions::NONE);
    }

    #[test]
    fn a_key_for_one_knowledge_base_reaches_neither_another_nor_the_tenant() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let (mine, other): (KbId, KbId) = ("papers".parse().unwrap(), "papers-2".parse().unwrap());
        let key = ApiKeyRecord { kb_id: Some(mine.clone()), ..key() };
        assert_eq!(of_api_key(Some(&key), Some(&mine), now), key.permissions);
        assert_eq!(of_api_key(Some(&key), Some(&other), now), Permissions::NONE);
        assert_eq!(of_api_key(Some(&key), None, now), Permissions::NONE);
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
