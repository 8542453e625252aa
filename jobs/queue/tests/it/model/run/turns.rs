//! The order of turns: the smallest start tag first, and inside a tenant the highest priority, except for every eighth
//! visit.

use super::call::Request;
use crate::model::keys::{Row, Snapshot, same};
use crate::model::plain::{Id, Model};
use crate::model::world::TENANTS;

/// A fetch while it is looked at.
pub(super) struct Turns {
    request: Request,
    /// Start tags, as far as they are known.
    tags: Vec<f64>,
    clock: f64,
    current: Option<usize>,
    left: u32,
    /// Tombstones and caps of types make visits that find less than they could.
    is_plain: bool,
    levels: Vec<Vec<u8>>,
    waiting: Vec<Vec<u8>>,
    lanes: Vec<[bool; 2]>,
}

/// A fetch that was looked at.
pub(super) struct Fetched {
    is_plain: bool,
    clock: f64,
    last_tag: f64,
    payments: f64,
    /// By tenant: levels of the jobs that were taken, that could have been, and that were left.
    levels: Vec<Vec<u8>>,
    waiting: Vec<Vec<u8>>,
    left: Vec<Vec<u8>>,
    /// By tenant: whether interactive jobs seem to wait, and bulk.
    lanes: Vec<[bool; 2]>,
}

impl Turns {
    pub(super) fn begin(before: &Snapshot, model: &Model, request: Request) -> Result<Self, String> {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let clock = before.virtual_clock as f64;
        let (mut tags, mut lanes) = (Vec::new(), Vec::new());
        for tenant in 0..TENANTS.len() {
            let row = before.row(tenant)?.unwrap_or_default();
            tags.push(row.virtual_time.max(clock));
            lanes.push(lanes_of(&row, model, tenant));
        }
        let is_plain =
            model.ghosts.is_empty() && model.tenants.iter().all(|tenant| tenant.type_caps.is_empty());
        let waiting = levels(model, &model.startable(request.skills));
        let levels = vec![Vec::new(); TENANTS.len()];
        Ok(Self { request, tags, clock, current: None, left: 0, is_plain, levels, waiting, lanes })
    }

    /// The next job is one of this tenant's.
    pub(super) fn next(&mut self, model: &Model, tenant: usize) -> Result<(), String> {
        if self.current != Some(tenant) || self.left == 0 {
            let mine = self.tags[tenant].max(self.clock);
            if self.request.newcomers {
                return self.out_of_turn(model, tenant);
            }
            let others = model.startable(self.request.skills);
            let passed =
                others.iter().map(|&id| model.tenant_of(id)).find(|&other| self.tags[other] + 9.0 < mine);
            if let Some(other) = passed.filter(|_| self.is_plain) {
                let (name, other) = (TENANTS[tenant], TENANTS[other]);
                return Err(format!("{name} was served before {other}, tags {:?}", self.tags));
            }
            (self.current, self.left) = (Some(tenant), self.request.quantum);
            (self.clock, self.tags[tenant]) = (mine, mine);
        }
        self.left -= 1;
        Ok(())
    }

    /// It does not move the clock, which would cost the tenants that are passed over.
    fn out_of_turn(&mut self, model: &Model, tenant: usize) -> Result<(), String> {
        if model.active(tenant) > 0 {
            return Err(format!("{} is no newcomer", TENANTS[tenant]));
        }
        (self.current, self.left) = (Some(tenant), 0);
        Ok(())
    }

    /// Tenants that have nothing running and whose jobs may start.
    pub(super) fn newcomers(&self, model: &Model) -> Vec<usize> {
        let startable = model.startable(self.request.skills);
        let tenants = startable.iter().map(|&id| model.tenant_of(id));
        tenants.filter(|&tenant| self.is_plain && model.active(tenant) == 0).collect()
    }

    pub(super) fn started(&mut self, model: &Model, id: Id) {
        let job = model.job(id);
        let tenant = job.spec.tenant;
        self.levels[tenant].push(job.spec.level);
        self.tags[tenant] += model.last_payment(tenant);
    }

    pub(super) fn end(self, model: &Model) -> Fetched {
        let left = levels(model, &model.startable(self.request.skills));
        let Self { is_plain, clock, levels, waiting, lanes, .. } = self;
        let in_turn = !self.request.newcomers;
        let last_tag = self.tags.iter().copied().filter(|_| in_turn).fold(clock, f64::max);
        let payments = levels.iter().map(Vec::len).filter(|_| in_turn).sum::<usize>();
        let payments = f64::from(u32::try_from(payments).unwrap_or(u32::MAX));
        Fetched { is_plain, clock, last_tag, payments, levels, waiting, left, lanes }
    }
}

/// A level is thought to have jobs until a fetch finds that it has none.
fn lanes_of(row: &Row, model: &Model, tenant: usize) -> [bool; 2] {
    let open = row.skills.iter().map(|(_, bits)| *bits).filter(|bits| Row::is_open(*bits));
    let bits = open.fold(0, |all, bits| all | bits) | model.open_levels(tenant);
    [bits & 0x0f != 0, bits & 0xf0 != 0]
}

fn levels(model: &Model, ids: &[Id]) -> Vec<Vec<u8>> {
    let of = |tenant| ids.iter().map(|&id| &model.job(id).spec).filter(move |spec| spec.tenant == tenant);
    (0..TENANTS.len()).map(|tenant| of(tenant).map(|spec| spec.level).collect()).collect()
}

impl Fetched {
    pub(super) fn check(&self, before: &Snapshot, now: &Snapshot) -> Result<(), String> {
        if !self.is_plain {
            return Ok(());
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let clock = now.virtual_clock as f64;
        // A last visit that finds nothing may move it up to where that tenant would start next.
        let (least, most) = (self.clock - self.payments - 1.0, self.last_tag + self.payments + 1.0);
        if clock < least || clock > most {
            return Err(format!(
                "the virtual clock is at {clock}, expected {} to {}",
                self.clock, self.last_tag
            ));
        }
        (0..TENANTS.len()).try_for_each(|tenant| self.priorities(before, now, tenant))
    }

    /// While both lanes have jobs, every fifth visit begins with bulk; every eighth of a lane begins at a lower
    /// priority.
    fn priorities(&self, before: &Snapshot, now: &Snapshot, tenant: usize) -> Result<(), String> {
        let taken = &self.levels[tenant];
        let visits = |snapshot: &Snapshot| Ok::<_, String>(snapshot.row(tenant)?.map_or(0, |row| row.visits));
        let (from, to) = (visits(before)?, visits(now)?);
        if to < from {
            return Ok(()); // the row is gone
        }
        let (lane, turn) = match self.lanes[tenant] {
            // What the lanes have may change from one visit to the next.
            [true, true] if to - from != 1 => return Ok(()),
            [true, true] if to % 5 == 0 => (4, to / 5),
            [true, true] => (0, to - to / 5),
            [interactive, _] => (if interactive { 0 } else { 4 }, to),
        };
        let waiting: Vec<u8> =
            self.waiting[tenant].iter().copied().filter(|level| level / 4 * 4 == lane).collect();
        let Some(first) = taken.first().filter(|_| !waiting.is_empty()) else { return Ok(()) };
        let reserved = (turn + 1 - (to - from)..=turn).find(|visit| visit % 8 == 0);
        let rank = |level: &u8| (level + 8 - lane) % 8;
        match reserved {
            None => {
                let lowest = taken.iter().map(rank).max();
                let passed = self.left[tenant].iter().find(|level| Some(rank(level)) < lowest);
                passed.map_or(Ok(()), |passed| Err(format!("level {passed} was passed over for {taken:?}")))
            }
            Some(visit) if to - from == 1 => {
                let wanted = lane + u8::try_from(visit / 8 % 3).unwrap_or(0) + 1;
                if waiting.contains(&wanted) { same("reserved level", first, &wanted) } else { Ok(()) }
            }
            Some(_) => Ok(()),
        }
    }
}
