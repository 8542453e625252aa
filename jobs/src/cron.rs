//! When a schedule fires: five-field cron expressions, read in a time zone.

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::{GapInfo, Tz};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// A schedule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    /// Not five fields, or a field out of range.
    #[error("not a cron expression of five fields (minute hour day month weekday): {0}")]
    Expression(String),
    /// No such zone in the IANA database.
    #[error("not an IANA time zone such as Europe/Berlin or UTC: {0}")]
    TimeZone(String),
    /// A date that does not come, such as 30 February.
    #[error("the expression never comes true")]
    Never,
}

/// The first moment after `after` that matches `cron` in `time_zone`.
///
/// Daylight saving follows Vixie cron. Times are fixed unless the minute or the hour says `*`: lists and ranges are
/// fixed
/// too. Of fixed times, those that are skipped in spring fire once, at the end of the gap, and those that come twice in
/// autumn fire the first time only. With a `*`, what is skipped does not fire and what comes twice fires twice.
///
/// # Errors
/// When the expression or the zone cannot be read, or the expression never comes true.
pub fn next_fire(cron: &str, time_zone: &str, after: DateTime<Utc>) -> Result<DateTime<Utc>, InvalidCron> {
    let zone: Tz = time_zone.parse().map_err(|_| InvalidCron::TimeZone(time_zone.to_owned()))?;
    let cron = parse(cron)?;
    if cron.pattern.minutes.from_wildcard || cron.pattern.hours.from_wildcard {
        let next = cron.find_next_occurrence(&after.with_timezone(&zone), false);
        return next.map(|at| at.with_timezone(&Utc)).map_err(|_| InvalidCron::Never);
    }
    // Read as UTC, where the wall clock neither skips nor repeats.
    let mut local = after.with_timezone(&zone).naive_local().and_utc();
    loop {
        local = cron.find_next_occurrence(&local, false).map_err(|_| InvalidCron::Never)?;
        // The second time that a repeated hour comes, its fixed times have fired.
        if let Some(at) = moment_of(local.naive_utc(), zone).filter(|at| *at > after) {
            return Ok(at);
        }
    }
}

/// When the clocks of `zone` show `local` first, or would if they had not skipped it.
fn moment_of(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let at = match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at),
        LocalResult::None => GapInfo::new(&local, &zone).and_then(|gap| gap.end),
    };
    at.map(|at| at.with_timezone(&Utc))
}

fn parse(cron: &str) -> Result<Cron, InvalidCron> {
    // A schedule can re-ingest documents, which must not happen every second.
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(cron).map_err(|error| InvalidCron::Expression(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::{TimeDelta, Timelike as _};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn next(cron: &str, zone: &str, after: &str) -> Result<String, InvalidCron> {
        next_fire(cron, zone, after.parse().unwrap()).map(|at| at.to_rfc3339())
    }

    #[test]
    fn the_zone_decides_what_three_o_clock_is() {
        let after = "2026-01-15T12:00:00Z";
        assert_eq!(next("0 3 * * *", "UTC", after).unwrap(), "2026-01-16T03:00:00+00:00");
        assert_eq!(next("0 3 * * *", "Europe/Berlin", after).unwrap(), "2026-01-16T02:00:00+00:00");
        assert_eq!(next("0 3 * * *", "America/New_York", after).unwrap(), "2026-01-16T08:00:00+00:00");
    }

    #[test]
    fn a_fire_time_is_after_not_at() {
        assert_eq!(next("0 3 * * *", "UTC", "2026-01-15T03:00:00Z").unwrap(), "2026-01-16T03:00:00+00:00");
    }

    #[test]
    fn daylight_saving_neither_swallows_nor_doubles() {
        let spring = next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z").unwrap();
        assert!(spring.starts_with("2026-03-29T01:"), "{spring}");
        let autumn = next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z").unwrap();
        let after = next("30 2 * * *", "Europe/Berlin", &autumn).unwrap();
        assert!(after.starts_with("2026-10-26T"), "{autumn} then {after}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let after = "2026-01-15T12:00:00Z";
        for bad in ["", "* * * *", "* * * * * *", "61 * * * *", "every day"] {
            assert!(matches!(next(bad, "UTC", after), Err(InvalidCron::Expression(_))), "{bad}");
        }
        assert!(matches!(next("* * * * *", "Mars/Olympus", after), Err(InvalidCron::TimeZone(_))));
        assert_eq!(next("0 0 30 2 *", "UTC", after), Err(InvalidCron::Never));
    }

    #[test]
    fn lists_and_ranges_are_fixed_times_and_only_a_star_is_not() {
        let before_spring = "2027-03-27T12:00:00Z";
        for fixed in ["30 2 28 3 *", "30 2,14 28 3 *", "0,30 2 28 3 *", "0-59/15 1-3 28 3 *", "5 2-2 28 3 *"]
        {
            let first = next(fixed, "Europe/Berlin", before_spring).unwrap();
            let expected = if fixed.contains("1-3") { "2027-03-28T00:00:00" } else { "2027-03-28T01:00:00" };
            assert_eq!(first, format!("{expected}+00:00"), "{fixed}");
        }
        // Both are skipped and come once, together with 03:00.
        assert_eq!(
            next("0 2,3 * * *", "Europe/Berlin", "2027-03-28T01:00:00Z").unwrap(),
            "2027-03-29T00:00:00+00:00"
        );
        assert_eq!(
            next("*/30 2 28 3 *", "Europe/Berlin", before_spring).unwrap(),
            "2028-03-28T00:00:00+00:00"
        );
        let autumn = "2027-10-31T00:15:00Z";
        assert_eq!(next("15 1,2,3 * * *", "Europe/Berlin", autumn).unwrap(), "2027-10-31T02:15:00+00:00");
        assert_eq!(next("15 * * * *", "Europe/Berlin", autumn).unwrap(), "2027-10-31T01:15:00+00:00");
    }

    /// Minute and hour as sets, read without croner.
    #[derive(Debug, Clone)]
    struct Times {
        minutes: Field,
        hours: Field,
    }

    #[derive(Debug, Clone)]
    enum Field {
        Star(u32),
        List(Vec<u32>),
        Range(u32, u32),
    }

    impl Field {
        fn matches(&self, value: u32) -> bool {
            match self {
                Self::Star(step) => value.is_multiple_of(*step),
                Self::List(values) => values.contains(&value),
                Self::Range(first, last) => (*first..=*last).contains(&value),
            }
        }

        fn text(&self) -> String {
            match self {
                Self::Star(1) => "*".to_owned(),
                Self::Star(step) => format!("*/{step}"),
                Self::List(values) => values.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
                Self::Range(first, last) => format!("{first}-{last}"),
            }
        }
    }

    impl Times {
        fn is_fixed(&self) -> bool {
            !matches!((&self.minutes, &self.hours), (Field::Star(_), _) | (_, Field::Star(_)))
        }

        fn matches(&self, local: NaiveDateTime) -> bool {
            self.minutes.matches(local.minute()) && self.hours.matches(local.hour())
        }

        /// Watches the wall clock minute by minute.
        fn fires(&self, zone: Tz, from: DateTime<Utc>, minutes: i64) -> Vec<DateTime<Utc>> {
            let mut seen = HashSet::new();
            let mut shown = (from - TimeDelta::minutes(1)).with_timezone(&zone).naive_local();
            let mut fires = Vec::new();
            for at in (0..minutes).map(|minute| from + TimeDelta::minutes(minute)) {
                let local = at.with_timezone(&zone).naive_local();
                let skipped = || {
                    let gap = (local - shown).num_minutes();
                    (1..gap).any(|minute| self.matches(shown + TimeDelta::minutes(minute)))
                };
                let first_time = seen.insert(local);
                let fixed = (first_time && self.matches(local)) || skipped();
                if if self.is_fixed() { fixed } else { self.matches(local) } {
                    fires.push(at);
                }
                shown = local;
            }
            fires
        }
    }

    /// Noon UTC of the day before the clocks of a zone change.
    const CHANGES: [(&str, &str); 12] = [
        ("Europe/Berlin", "2027-03-27"),
        ("Europe/Berlin", "2027-10-30"),
        ("America/New_York", "2026-03-07"),
        ("America/New_York", "2026-10-31"),
        ("Australia/Lord_Howe", "2026-04-04"), // half an hour
        ("Australia/Lord_Howe", "2026-10-03"),
        ("America/Santiago", "2026-04-03"), // at midnight
        ("America/Santiago", "2026-09-05"),
        ("Africa/Casablanca", "2026-02-14"),
        ("America/St_Johns", "2026-03-07"),
        ("Pacific/Apia", "2011-12-29"), // a whole day is skipped
        ("UTC", "2026-03-28"),
    ];

    fn field(limit: u32) -> impl Strategy<Value = Field> {
        prop_oneof![
            (1..8_u32).prop_map(Field::Star),
            vec(0..limit, 1..5).prop_map(Field::List),
            (0..limit, 0..limit).prop_map(|(a, b)| Field::Range(a.min(b), a.max(b))),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn schedules_fire_as_a_watched_clock_says(
            change in 0..CHANGES.len(), minutes in field(60),
            hours in prop_oneof![field(24), field(5)],
        ) {
            let (name, day) = CHANGES[change];
            let zone: Tz = name.parse().unwrap();
            let from: DateTime<Utc> = format!("{day}T12:00:00Z").parse().unwrap();
            let times = Times { minutes, hours };
            let cron = format!("{} {} * * *", times.minutes.text(), times.hours.text());
            let mut at = from - TimeDelta::milliseconds(1);
            for expected in times.fires(zone, from, 48 * 60) {
                at = next_fire(&cron, name, at).unwrap();
                prop_assert_eq!(at, expected, "{} in {}", cron, name);
            }
        }
    }
}
