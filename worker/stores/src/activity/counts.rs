//! What is counted, and under which names it lies in Redis.

use std::collections::{BTreeMap, HashMap};

use jobs::tenant::TenantId;

macro_rules! measures {
    ($($(#[doc = $doc:literal])+ $field:ident = $name:literal;)+) => {
        /// What happened in a minute: of a type of jobs, of a tenant, or of all.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counts { $($(#[doc = $doc])+ pub $field: u64,)+ }

        impl Counts {
            /// The measures that are not zero, by their names.
            pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($name, self.$field)),+].into_iter().filter(|(_, amount)| *amount > 0)
            }

            fn measure(&mut self, name: &str) -> Option<&mut u64> {
                match name { $($name => Some(&mut self.$field),)+ _ => None }
            }

            /// Adds what `other` has counted.
            pub fn add(&mut self, other: &Self) {
                $(self.$field = self.$field.saturating_add(other.$field);)+
            }
        }
    };
}

measures! {
    /// Attempts that began.
    started = "s";
    /// Jobs that are done.
    completed = "c";
    /// Attempts that failed and are repeated.
    retried = "r";
    /// Jobs that failed for good.
    failed = "f";
    /// Jobs that were cancelled while they ran.
    cancelled = "x";
    /// Attempts that ended without a result, such as at a shutdown, or because a store was away.
    returned = "u";
    /// First attempts whose wait is in `wait_ms`.
    waited = "n";
    /// How long those waited between their time and their start, together.
    wait_ms = "w";
    /// How long jobs ran in this minute.
    run_ms = "t";
}

impl Counts {
    /// Attempts that ended, however.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.completed + self.retried + self.failed + self.cancelled + self.returned
    }

    /// How long jobs waited on average; `None` when no first attempt began.
    #[must_use]
    pub const fn mean_wait_ms(&self) -> Option<u64> {
        self.wait_ms.checked_div(self.waited)
    }
}

/// What happened in one minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Minute {
    /// By type of jobs.
    pub kinds: BTreeMap<String, Counts>,
    /// By tenant: those that used most worker time.
    pub tenants: HashMap<TenantId, Counts>,
    /// Of all other tenants together.
    pub others: Counts,
}

impl Minute {
    /// The sum of all types.
    #[must_use]
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.kinds.values().for_each(|counts| total.add(counts));
        total
    }

    /// What one tenant did; `None` when it may be among the others.
    #[must_use]
    pub fn of(&self, tenant: &TenantId) -> Option<Counts> {
        let alone = self.others == Counts::default();
        self.tenants.get(tenant).copied().or_else(|| alone.then(Counts::default))
    }

    /// Reads the fields of a hash. What is not ours is left out.
    pub(super) fn read(fields: &[String]) -> Self {
        let mut minute = Self::default();
        for pair in fields.chunks_exact(2) {
            let Ok(amount) = pair[1].parse::<u64>() else { continue };
            let Some((of, measure)) = pair[0].rsplit_once(':') else { continue };
            let counts = match of.split_once(':') {
                Some(("k", kind)) => minute.kinds.entry(kind.to_owned()).or_default(),
                Some(("t", "")) => &mut minute.others,
                Some(("t", tenant)) => match tenant.parse() {
                    Ok(tenant) => minute.tenants.entry(tenant).or_default(),
                    Err(_) => continue,
                },
                _ => continue,
            };
            if let Some(measure) = counts.measure(measure) {
                *measure = amount;
            }
        }
        minute
    }

    /// The tenants that used most worker time, at most `most`; what the rest did is added to the others.
    pub(super) fn top(self, most: usize) -> (Vec<(TenantId, Counts)>, Counts) {
        let mut tenants: Vec<_> = self.tenants.into_iter().collect();
        tenants.sort_by(|(a, left), (b, right)| (right.run_ms, a).cmp(&(left.run_ms, b)));
        let mut others = self.others;
        tenants.drain(most.min(tenants.len())..).for_each(|(_, counts)| others.add(&counts));
        (tenants, others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(run_ms: u64) -> Counts {
        Counts { started: 1, run_ms, ..Counts::default() }
    }

    #[test]
    fn fields_are_read_as_they_were_named() {
        let fields = [
            "n",
            "3",
            "k:document.ingest:s",
            "4",
            "k:document.ingest:w",
            "100",
            "k:document.ingest:n",
            "2",
            "t:acme:t",
            "70",
            "t:No Tenant:t",
            "1",
            "t::t",
            "5",
            "k:x:?",
            "1",
            "t:acme:s",
            "many",
        ];
        let minute = Minute::read(&fields.map(str::to_owned));
        let ingest = Counts { started: 4, wait_ms: 100, waited: 2, ..Counts::default() };
        assert_eq!(minute.kinds["document.ingest"], ingest);
        assert_eq!((ingest.mean_wait_ms(), Counts::default().mean_wait_ms()), (Some(50), None));
        let (acme, other): (TenantId, TenantId) = ("acme".parse().unwrap(), "other".parse().unwrap());
        assert_eq!(minute.of(&acme).map(|counts| counts.run_ms), Some(70));
        assert_eq!(minute.of(&other), None, "it may be among the others");
        assert_eq!((minute.tenants.len(), minute.others.run_ms), (1, 5));
        assert_eq!(Minute::default().of(&acme), Some(Counts::default()));
    }

    #[test]
    fn the_tenants_with_most_worker_time_are_named() {
        let tenants = (0..5_u64).map(|at| (format!("tenant-{at}").parse().unwrap(), ran(at)));
        let minute = Minute { tenants: tenants.collect(), others: ran(100), ..Minute::default() };
        let (top, others) = minute.top(2);
        let names: Vec<_> = top.iter().map(|(tenant, _)| tenant.to_string()).collect();
        assert_eq!(names, ["tenant-4", "tenant-3"]);
        assert_eq!((others.run_ms, others.started), (103, 4));
    }
}
