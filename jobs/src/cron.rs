//! When a schedule fires: five-field cron expressions, read in a time zone.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
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

/// The first moment after `after` at which `cron`, read in `time_zone`, comes true.
///
/// Daylight saving follows Vixie cron: a fixed time that is skipped in spring fires at once after the gap,
/// one that comes twice in autumn fires once.
///
/// # Errors
/// When the expression or the zone cannot be read, or the expression never comes true.
pub fn next_fire(cron: &str, time_zone: &str, after: DateTime<Utc>) -> Result<DateTime<Utc>, InvalidCron> {
    let zone: Tz = time_zone.parse().map_err(|_| InvalidCron::TimeZone(time_zone.to_owned()))?;
    let next = parse(cron)?.find_next_occurrence(&after.with_timezone(&zone), false);
    next.map(|at| at.with_timezone(&Utc)).map_err(|_| InvalidCron::Never)
}

fn parse(cron: &str) -> Result<Cron, InvalidCron> {
    // A schedule makes documents be read again: nobody wants that every second.
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(cron).map_err(|error| InvalidCron::Expression(error.to_string()))
}

#[cfg(test)]
mod tests {
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
}
