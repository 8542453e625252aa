//! Jobs as arguments of the enqueue function.

use std::collections::BTreeMap;

use super::record;
use crate::envelope::StampedJob;

/// Most jobs in one call, because a script has to end soon.
const CALL_JOBS: usize = 500;
/// Most bytes of envelopes in one call.
const CALL_BYTES: usize = 1 << 20;

type Route<'a> = (&'a str, &'a str, u8, i64, String);

/// The arguments of the calls that push `jobs`, in order.
pub(super) fn calls(jobs: &[StampedJob]) -> impl Iterator<Item = Vec<String>> + '_ {
    let mut rest = jobs;
    std::iter::from_fn(move || {
        let (now, later) = rest.split_at(call_len(rest));
        rest = later;
        (!now.is_empty()).then(|| blocks(now))
    })
}

fn call_len(jobs: &[StampedJob]) -> usize {
    let mut size_bytes = 0;
    let fits = |job: &&StampedJob| {
        size_bytes += job.wire.len();
        size_bytes <= CALL_BYTES
    };
    jobs.iter().take(CALL_JOBS).take_while(fits).count().max(usize::from(!jobs.is_empty()))
}

fn blocks(jobs: &[StampedJob]) -> Vec<String> {
    blocks_of(jobs).into_iter().flatten().collect()
}

/// Blocks of jobs that go to the same place: tenant, lane, level, due, group, count, (id, record)*count.
pub(super) fn blocks_of(jobs: &[StampedJob]) -> Vec<Vec<String>> {
    let mut routes: BTreeMap<Route<'_>, Vec<&StampedJob>> = BTreeMap::new();
    for job in jobs {
        routes.entry(route(job)).or_default().push(job);
    }
    routes.into_iter().map(|(route, members)| block(route, &members)).collect()
}

fn block((tenant, lane, level, due_ms, group): Route<'_>, members: &[&StampedJob]) -> Vec<String> {
    let mut arguments = Vec::with_capacity(6 + 2 * members.len());
    arguments.extend([tenant.to_owned(), lane.to_owned(), level.to_string(), due_ms.to_string(), group]);
    arguments.push(members.len().to_string());
    for job in members {
        arguments.extend([job.id.to_string(), record::fresh(job)]);
    }
    arguments
}

fn route(job: &StampedJob) -> Route<'_> {
    let group = job.group.map_or_else(String::new, |group| group.to_string());
    (job.tenant.as_str(), &job.lane, job.priority.level(), due_ms(job), group)
}

/// 0 for a job that is due at once.
pub(super) fn due_ms(job: &StampedJob) -> i64 {
    job.due.map_or(0, |due| due.timestamp_millis().max(0))
}
