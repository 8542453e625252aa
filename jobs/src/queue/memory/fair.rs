//! Who is served next: start-time fair queueing, and priorities of which none starves.

use super::state::State;
use crate::id::JobId;
use crate::tenant::TenantId;

/// The levels of priority.
const LEVELS: u8 = 4;

/// What one claim is to hold.
pub(super) struct Serving<'a> {
    pub(super) lanes: &'a [String],
    pub(super) quantum: usize,
    pub(super) left: usize,
    pub(super) now_ms: i64,
}

impl State {
    /// Takes jobs, one visit after the other: the tenant with the smallest virtual time first.
    pub(super) fn serve(&mut self, mut serving: Serving<'_>) -> Vec<(TenantId, Vec<JobId>)> {
        let mut taken = Vec::new();
        while serving.left > 0 {
            let Some(name) = self.next_tenant(&serving) else { break };
            let ids = self.visit(&name, &serving);
            if ids.is_empty() {
                break;
            }
            serving.left -= ids.len();
            taken.push((name, ids));
        }
        taken
    }

    fn next_tenant(&self, serving: &Serving<'_>) -> Option<TenantId> {
        let ready = self.tenants.iter().filter(|(name, tenant)| {
            let servable = |lane: &String| tenant.waits_in(lane) && self.room(name, lane) > 0;
            tenant.may_run(serving.now_ms) && serving.lanes.iter().any(servable)
        });
        ready.min_by_key(|(name, tenant)| (tenant.virtual_time, *name)).map(|(name, _)| name.clone())
    }

    fn visit(&mut self, name: &TenantId, serving: &Serving<'_>) -> Vec<JobId> {
        let clock = self.virtual_clock;
        let tenant = self.tenant(name);
        tenant.virtual_time = tenant.virtual_time.max(clock);
        let start = tenant.virtual_time;
        let want = serving.left.min(serving.quantum).min(tenant.allowance(serving.now_ms));
        tenant.visits += 1;
        let (levels, first) = order(tenant.visits, serving.lanes.len());
        let mut ids = Vec::new();
        for level in levels {
            for lane in 0..serving.lanes.len() {
                let lane = &serving.lanes[(first + lane) % serving.lanes.len()];
                let more = self.room(name, lane).min(want - ids.len());
                ids.extend(self.take(name, lane, level, more));
            }
        }
        for id in &ids {
            self.free_key_at_start(*id);
        }
        self.tenant(name).charge(ids.len(), serving.now_ms);
        self.virtual_clock = start;
        ids
    }

    fn take(&mut self, name: &TenantId, lane: &str, level: u8, limit: usize) -> Vec<JobId> {
        let tenant = self.tenant(name);
        let Some(list) = tenant.lists.get_mut(&(lane.to_owned(), level)) else { return Vec::new() };
        let taken: Vec<JobId> = list.drain(..list.len().min(limit)).collect();
        tenant.active.extend(&taken);
        taken
    }
}

/// The levels in the order of this visit, and which lane is first. Every eighth visit begins at level 1, 2, 3
/// in turn.
fn order(visit: u64, lanes: usize) -> (Vec<u8>, usize) {
    let (eighth, lanes) = (visit / 8, lanes.max(1) as u64);
    let (begin, first) = if visit.is_multiple_of(8) {
        (u8::try_from(eighth % 3).unwrap_or(0) + 1, (eighth / 3) % lanes)
    } else {
        (0, (visit - eighth) % lanes)
    };
    let others = (0..LEVELS).filter(|level| *level != begin);
    (std::iter::once(begin).chain(others).collect(), usize::try_from(first).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_eighth_visit_begins_lower() {
        let begins: Vec<u8> = (1..=32).map(|visit| order(visit, 1).0[0]).collect();
        let lower: Vec<u8> = begins.iter().copied().filter(|begin| *begin > 0).collect();
        assert_eq!(lower, [2, 3, 1, 2]);
        assert_eq!([begins[7], begins[15], begins[23], begins[31]], [2, 3, 1, 2]);
    }
}
