use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use jobs::tenant::TenantId;
use uuid::Uuid;

/// An action that steered or administered something, as the audit log keeps it. It holds no body and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Names the entry: a UUID of version 7, so that ids sort by time ([`AuditEntry::id_at`]).
    pub id: Uuid,
    /// When the action ended.
    pub at: DateTime<Utc>,
    /// The actor, as the text of a [`jobs::tenant::Actor`].
    pub actor: String,
    /// The stable id of the API's operation.
    pub action: String,
    /// What the action was about, by the names of path parameters.
    pub target: BTreeMap<String, String>,
    /// The reason that the actor gave.
    pub reason: Option<String>,
    /// The id of the request, as in its answer and in the log.
    pub request_id: String,
    /// The HTTP status of the answer; `None` when the client left before there was one.
    pub status: Option<u16>,
}

impl AuditEntry {
    /// A fresh id of an entry made at `at`.
    #[must_use]
    pub fn id_at(at: DateTime<Utc>) -> Uuid {
        with_time(Uuid::now_v7(), at)
    }
}

/// An entry together with the log that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAction {
    /// The tenant whose log it is in; `None` for the operator's.
    pub tenant: Option<TenantId>,
    /// The entry.
    pub entry: AuditEntry,
}

/// The newest entry of an audit log that is in its chain. The default is that of an empty log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditHead {
    /// The entry's number; the first has 1.
    pub number: u64,
    /// SHA-256, in hexadecimal digits, of the entry together with the hash of the one before.
    pub hash: String,
}

/// What a check of an audit log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCheck {
    /// How many entries are as they were written, up to the flaw.
    pub entries: u64,
    /// The newest of them. Kept elsewhere, it shows later whether anything up to it was changed or removed.
    pub head: AuditHead,
    /// Older entries, which are no longer kept.
    pub removed: u64,
    /// Entries without a number. A release from before the chain wrote them.
    pub unchained: u64,
    /// The first entry that is not as it was written.
    pub flaw: Option<AuditFlaw>,
}

/// What is wrong with an audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditFlaw {
    /// An entry is gone.
    Missing {
        /// Its number.
        number: u64,
    },
    /// An entry, or the hash of the one before, is not what it was.
    Changed {
        /// Its number.
        number: u64,
        /// Its id.
        id: Uuid,
    },
}

/// Which entries of an audit log are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Those of this actor.
    pub actor: Option<String>,
    /// Those of this action.
    pub action: Option<String>,
    /// Those that are not older, to the millisecond.
    pub since: Option<DateTime<Utc>>,
    /// Those that are older, to the millisecond.
    pub until: Option<DateTime<Utc>>,
}

impl AuditFilter {
    /// The ids from which and before which the wanted entries lie, after the entry `after` of the page before.
    pub(crate) fn bounds(&self, after: Option<Uuid>, oldest: DateTime<Utc>) -> (Uuid, Uuid) {
        let first = |at| with_time(Uuid::nil(), at);
        let before = [after, self.until.map(first)].into_iter().flatten().min().unwrap_or(Uuid::max());
        (first(self.since.map_or(oldest, |since| since.max(oldest))), before)
    }
}

/// The id with another time in its first 48 bits.
fn with_time(id: Uuid, at: DateTime<Utc>) -> Uuid {
    let mut bytes = id.into_bytes();
    // The years that 48 bits do not reach are as good as the last one that they do.
    let ms = u64::try_from(at.timestamp_millis()).unwrap_or(0).min((1 << 48) - 1);
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(ms).unwrap_or_default()
    }

    #[test]
    fn ids_sort_by_time_and_bounds_are_met_to_the_millisecond() {
        let id = AuditEntry::id_at(at(1_800_000_000_123));
        assert_eq!(id.get_version_num(), 7);
        assert!(id < AuditEntry::id_at(at(1_800_000_000_124)));
        let within = |since, until| {
            let filter = AuditFilter { since, until, ..AuditFilter::default() };
            let (from, before) = filter.bounds(None, at(0));
            from <= id && id < before
        };
        let (earlier, same, later) = (at(1_800_000_000_122), at(1_800_000_000_123), at(1_800_000_000_124));
        assert!(within(None, None) && within(Some(same), Some(later)));
        let last = Some(DateTime::<Utc>::MAX_UTC);
        assert!(within(None, last) && !within(last, None));
        assert!(!within(Some(later), None) && !within(None, Some(same)) && within(Some(earlier), None));
    }

    #[test]
    fn a_page_goes_on_before_the_entry_where_the_last_one_ended() {
        let (old, new) = (AuditEntry::id_at(at(1)), AuditEntry::id_at(at(1_000)));
        let filter = AuditFilter { until: Some(at(500)), ..AuditFilter::default() };
        assert_eq!(filter.bounds(Some(old), at(0)).1, old);
        assert!(filter.bounds(Some(new), at(0)).1 < new, "until is earlier");
        let oldest = AuditFilter { since: Some(at(1)), ..filter }.bounds(None, at(100)).0;
        assert!(oldest > AuditEntry::id_at(at(99)), "nothing that is too old is shown");
    }
}
