//! Which shard to ask next, so that shares are global although shards know nothing of each other.

use std::time::Instant;

use crate::claim::{Ceiling, Turn, VirtualTime};

/// A worker's view of the shards, which decides the shard to fetch from next.
///
/// Start tags of all shards are on one scale: a partition's tag grows by what it got, divided by its weight. Asking
/// the shard whose next tag is the smallest, for no more than what comes before the next tag of any other, therefore
/// serves all partitions in the order in which one big shard would. What a worker knows may be old, because others
/// serve as well, but tags only grow: it then asks too early, finds out, and the lead that a shard gains this way
/// stays below one batch for each worker.
///
/// The clock of a shard without work stands still. Its newcomers would be served until they caught up, so a shard
/// that was found idle is put forward to the others' clocks, and so often that it cannot fall far behind.
#[derive(Debug)]
pub struct ShardOrder {
    views: Vec<View>,
    /// The latest clock seen anywhere.
    latest: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// To be asked at once.
    Unknown { was_idle: bool },
    /// Had work left.
    Busy(VirtualTime, u64),
    /// Had no work. Its watcher, a timer or the fallback poll will tell.
    Idle { until: Instant },
    /// Did not answer. Its watcher finds out when it does.
    Away,
}

/// The next step of a worker that has free slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextShard {
    /// Ask this shard.
    Ask {
        /// Its number.
        shard: u16,
        /// The turn to fetch with; `None` when there is only one shard.
        turn: Option<Turn>,
    },
    /// No shard has work.
    Wait {
        /// When to ask a shard all the same; `None` when no shard answers.
        until: Option<Instant>,
    },
}

impl ShardOrder {
    /// The initial order, before any shard has answered.
    #[must_use]
    pub fn new(shards: u16) -> Self {
        Self { views: vec![View::Unknown { was_idle: false }; usize::from(shards)], latest: 0 }
    }

    /// The shard to ask at `now`, or how long to wait.
    #[must_use]
    pub fn next(&self, now: Instant) -> NextShard {
        let mut first: Option<(u64, u16)> = None;
        let mut until: Option<Instant> = None;
        for (view, shard) in self.views.iter().zip(0..) {
            match *view {
                View::Unknown { .. } => return self.ask(shard),
                View::Idle { until: due } if due <= now => return self.ask(shard),
                View::Busy(_, next) => {
                    first = Some(first.map_or((next, shard), |best| best.min((next, shard))));
                }
                View::Idle { until: due } => until = Some(until.map_or(due, |first| first.min(due))),
                View::Away => {}
            }
        }
        first.map_or(NextShard::Wait { until }, |(_, shard)| self.ask(shard))
    }

    fn ask(&self, shard: u16) -> NextShard {
        let turn = (self.views.len() > 1).then(|| self.turn(usize::from(shard)));
        NextShard::Ask { shard, turn }
    }

    fn turn(&self, shard: usize) -> Turn {
        let others = self.views.iter().enumerate().filter(|(other, _)| *other != shard);
        let busy = others.filter_map(|(_, view)| match view {
            View::Busy(time, next) => Some((time.now, *next)),
            _ => None,
        });
        let (mut now, mut ceiling) = (None, u64::MAX);
        for (other_now, other_next) in busy {
            now = Some(now.map_or(other_now, |least: u64| least.min(other_now)));
            ceiling = ceiling.min(other_next);
        }
        let was_idle = matches!(self.views[shard], View::Idle { .. } | View::Unknown { was_idle: true });
        let floor = if was_idle { now.unwrap_or(self.latest) } else { 0 };
        Turn { floor, ceiling: Ceiling::Tag(ceiling) }
    }

    /// The turn for fetching newcomers' jobs from `shard`.
    #[must_use]
    pub fn turn_of_newcomers(&self, shard: u16) -> Turn {
        Turn { ceiling: Ceiling::Busy, ..self.turn(usize::from(shard)) }
    }

    /// The shard answered. Without work it is asked again at `idle_until`.
    pub fn answered(&mut self, shard: u16, time: VirtualTime, idle_until: Instant) {
        self.latest = self.latest.max(time.now);
        let view = time.next.map_or(View::Idle { until: idle_until }, |next| View::Busy(time, next));
        self.views[usize::from(shard)] = view;
    }

    /// A wake-up: the shard may have work.
    pub fn woken(&mut self, shard: u16) {
        let view = &mut self.views[usize::from(shard)];
        *view =
            View::Unknown { was_idle: matches!(view, View::Idle { .. } | View::Unknown { was_idle: true }) };
    }

    /// Marks a shard that does not answer.
    pub fn away(&mut self, shard: u16) {
        self.views[usize::from(shard)] = View::Away;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn asked(order: &ShardOrder, now: Instant) -> (u16, Turn) {
        match order.next(now) {
            NextShard::Ask { shard, turn: Some(turn) } => (shard, turn),
            other => panic!("{other:?}"),
        }
    }

    const fn time(now: u64, next: u64) -> VirtualTime {
        VirtualTime { now, next: Some(next) }
    }

    #[test]
    fn every_shard_is_asked_once_then_the_one_that_is_furthest_behind() {
        let now = Instant::now();
        let mut order = ShardOrder::new(3);
        for (shard, next) in [(0, 30), (1, 10), (2, 20)] {
            assert_eq!(asked(&order, now).0, shard);
            order.answered(shard, time(5, next), now);
        }
        assert_eq!(asked(&order, now), (1, Turn { floor: 0, ceiling: Ceiling::Tag(20) }));
        order.answered(1, time(10, 40), now);
        assert_eq!(asked(&order, now), (2, Turn { floor: 0, ceiling: Ceiling::Tag(30) }));
    }

    #[test]
    fn a_shard_that_was_idle_is_put_forward_and_gets_no_credit() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        let mut order = ShardOrder::new(2);
        order.answered(0, VirtualTime { now: 3, next: None }, later);
        order.answered(1, time(500, 510), later);
        assert_eq!(asked(&order, now), (1, Turn { floor: 0, ceiling: Ceiling::Tag(u64::MAX) }));
        order.woken(0);
        assert_eq!(asked(&order, now), (0, Turn { floor: 500, ceiling: Ceiling::Tag(510) }));
        assert_eq!(
            asked(&order, later),
            (0, Turn { floor: 500, ceiling: Ceiling::Tag(510) }),
            "the fallback"
        );
        order.answered(0, time(500, 505), later);
        assert_eq!(
            asked(&order, now),
            (0, Turn { floor: 0, ceiling: Ceiling::Tag(510) }),
            "busy: it keeps what it has earned"
        );
    }

    #[test]
    fn one_that_does_not_answer_is_left_alone_until_it_does() {
        let now = Instant::now();
        let mut order = ShardOrder::new(2);
        order.away(0);
        order.answered(1, VirtualTime { now: 7, next: None }, now + Duration::from_secs(1));
        assert_eq!(order.next(now), NextShard::Wait { until: Some(now + Duration::from_secs(1)) });
        order.away(1);
        assert_eq!(order.next(now), NextShard::Wait { until: None });
        order.woken(0);
        assert_eq!(asked(&order, now).0, 0);
    }

    #[test]
    fn a_single_shard_has_no_turns() {
        let now = Instant::now();
        assert_eq!(ShardOrder::new(1).next(now), NextShard::Ask { shard: 0, turn: None });
    }
}
