//! Which charts there are of the last hour, and how the tenants shared it.

use chrono::{DateTime, Utc};

use crate::chart::{Chart, Series, Shape};
use crate::contract::{Activity, ActivityMinute, ActivityOfTenant};
use crate::wording::percent;

/// Tenants that have a colour of their own.
const COLOURS: [&str; 6] = ["t0", "t1", "t2", "t3", "t4", "t5"];
/// Minutes over which shares are compared.
const RECENT: usize = 10;

fn times(activity: &Activity) -> Vec<DateTime<Utc>> {
    activity.minutes.iter().map(|minute| minute.at).collect()
}

fn measured(activity: &Activity, measure: fn(&ActivityMinute) -> u64) -> Vec<Option<f64>> {
    let known = |minute: &ActivityMinute| minute.is_counted.then(|| float(measure(minute)));
    activity.minutes.iter().map(known).collect()
}

#[expect(clippy::cast_precision_loss, reason = "for a picture")]
fn float(count: u64) -> f64 {
    count as f64
}

/// Jobs that ended well, jobs that did not, and how long they waited.
pub(crate) fn of_hour(activity: &Activity) -> Vec<Chart> {
    let times = times(activity);
    let counted = |name, class, measure| Series::new(name, class, measured(activity, measure));
    let wait = |minute: &ActivityMinute| minute.mean_wait_ms.map(|ms| float(ms) / 1000.0);
    let waits = activity.minutes.iter().map(wait).collect();
    vec![
        Chart::new(
            ("ended", "Throughput", "jobs that ended, a minute"),
            &times,
            Shape::Stack,
            &[
                counted("completed", "good", |minute| minute.completed),
                counted("cancelled", "calm", |minute| minute.cancelled),
                counted("failed", "bad", |minute| minute.failed),
            ],
        ),
        Chart::new(
            ("waits", "Waits", "seconds before the first start, on average"),
            &times,
            Shape::Lines,
            &[Series::new("mean wait", "busy", waits)],
        ),
        Chart::new(
            ("failures", "Failures", "attempts, a minute"),
            &times,
            Shape::Stack,
            &[
                counted("failed for good", "bad", |minute| minute.failed),
                counted("to be repeated", "warn", |minute| minute.retried),
            ],
        ),
    ]
}

/// Who took the workers' time, minute by minute.
pub(crate) fn of_tenants(activity: &Activity) -> Chart {
    let seconds = |run_ms: &[u64]| run_ms.iter().map(|ms| Some(float(*ms) / 1000.0)).collect::<Vec<_>>();
    let (tenants, others) = activity.tenants();
    let mut series: Vec<_> = tenants
        .iter()
        .zip(COLOURS)
        .map(|(tenant, class)| Series::new(tenant.tenant.clone(), class, seconds(&tenant.run_ms)))
        .collect();
    let mut rest = others.to_vec();
    for tenant in tenants.iter().skip(COLOURS.len()) {
        rest.iter_mut().zip(&tenant.run_ms).for_each(|(sum, ms)| *sum += ms);
    }
    if rest.iter().any(|ms| *ms > 0) {
        series.push(Series::new("all others", "calm", seconds(&rest)));
    }
    let names = ("time", "Worker time by tenant", "worker seconds a minute");
    Chart::new(names, &times(activity), Shape::Stack, &series)
}

/// The worker time of one tenant.
pub(crate) fn of_one(activity: &Activity) -> Chart {
    let run = |minute: &ActivityMinute| minute.is_counted.then(|| float(minute.run_ms) / 1000.0);
    let series = [Series::new("worker time", "busy", activity.minutes.iter().map(run).collect())];
    Chart::new(("time", "Worker time", "worker seconds a minute"), &times(activity), Shape::Stack, &series)
}

/// What a tenant had of the workers' time, beside what its weight gives it.
pub(crate) struct Share {
    pub(crate) tenant: String,
    pub(crate) weight: u64,
    /// Whole seconds.
    pub(crate) seconds: u64,
    /// Of the time of those that are compared, in percent.
    pub(crate) had: String,
    pub(crate) due: String,
    /// 0 to 100, for a bar.
    pub(crate) had_percent: f64,
    pub(crate) due_percent: f64,
}

/// The tenants that used worker time in the last minutes, most first.
pub(crate) fn shares(activity: &Activity) -> Vec<Share> {
    let recent = |tenant: &ActivityOfTenant| {
        let run_ms = &tenant.run_ms;
        run_ms[run_ms.len().saturating_sub(RECENT)..].iter().sum::<u64>()
    };
    let (tenants, _) = activity.tenants();
    let mut used: Vec<_> =
        tenants.iter().map(|tenant| (tenant, recent(tenant))).filter(|(_, ms)| *ms > 0).collect();
    used.sort_by_key(|(_, ms)| std::cmp::Reverse(*ms));
    used.truncate(10);
    let (time, weight) =
        used.iter().fold((0, 0), |(time, weight), (tenant, ms)| (time + ms, weight + tenant.weight));
    let share = |(tenant, ms): (&ActivityOfTenant, u64)| {
        let (had, due) = (float(ms) / float(time), float(tenant.weight) / float(weight));
        Share {
            tenant: tenant.tenant.clone(),
            weight: tenant.weight,
            seconds: ms.div_ceil(1000),
            had: percent(had),
            due: percent(due),
            had_percent: had * 100.0,
            due_percent: due * 100.0,
        }
    };
    used.into_iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str, weight: u64, run_ms: u64) -> ActivityOfTenant {
        ActivityOfTenant { tenant: name.to_owned(), weight, run_ms: vec![run_ms; 60] }
    }

    #[test]
    fn shares_are_compared_with_weights() {
        let tenants = vec![tenant("a", 3, 3_000), tenant("b", 1, 1_000), tenant("idle", 9, 0)];
        let activity = Activity { tenants: Some(tenants), ..Activity::default() };
        let shares = shares(&activity);
        let said: Vec<_> = shares.iter().map(|share| (&*share.tenant, &*share.had, &*share.due)).collect();
        assert_eq!(said, [("a", "75 %", "75 %"), ("b", "25 %", "25 %")]);
        assert_eq!(shares[0].seconds, 30);
    }
}
