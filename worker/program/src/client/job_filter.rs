//! Which jobs a command is about: flags that become a query, a body, or a check of what was listed.

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use jobs::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

/// Flags that choose jobs. Each may have several values, separated by commas; a job matches one of each.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which jobs")]
pub(super) struct JobFilter {
    /// Only of these types, such as `document.ingest`.
    #[arg(long = "type", value_name = "TYPES", value_delimiter = ',')]
    kinds: Vec<String>,
    /// Only in these queues.
    #[arg(long = "queue", value_name = "QUEUES", value_delimiter = ',')]
    queues: Vec<String>,
    /// Only of these priorities: high, normal, low, background.
    #[arg(long = "priority", value_name = "PRIORITIES", value_delimiter = ',')]
    priorities: Vec<String>,
    /// Only of this lane: interactive or bulk.
    #[arg(long, value_name = "LANE", value_parser = ["interactive", "bulk"])]
    lane: Option<String>,
    /// Only those that work on documents of this batch.
    #[arg(long, value_name = "BATCH")]
    batch: Option<String>,
    /// Only those made before: `2027-01-15T08:00:00Z`, or an age such as 90s, 15m, 2h, 7d.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    created_before: Option<DateTime<Utc>>,
    /// Only those made at this moment or later.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    created_after: Option<DateTime<Utc>>,
}

/// A moment, or how long ago it was.
pub(super) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let at = length(text).and_then(|ago| SystemClock.now().checked_sub_signed(ago));
    at.ok_or_else(|| "expected a moment such as 2027-01-15T08:00:00Z, or an age such as 15m".to_owned())
}

/// A length of time such as 90s, 15m, 2h, 7d.
pub(super) fn length(text: &str) -> Option<TimeDelta> {
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let number = number.parse::<i64>().ok().filter(|number| (0..=100_000_000).contains(number))?;
    Some(TimeDelta::seconds(number * seconds))
}

impl JobFilter {
    /// Whether it matches every job.
    pub(super) fn is_empty(&self) -> bool {
        let lists = [&self.kinds, &self.queues, &self.priorities];
        let times = [self.created_before, self.created_after];
        let names = [&self.lane, &self.batch];
        lists.iter().all(|list| list.is_empty()) && names == [&None, &None] && times == [None, None]
    }

    /// As a list of open jobs takes it.
    pub(super) fn query(&self) -> [(&'static str, String); 7] {
        let at = |at: Option<DateTime<Utc>>| at.map(|at| at.to_rfc3339()).unwrap_or_default();
        [
            ("type", self.kinds.join(",")),
            ("queue", self.queues.join(",")),
            ("priority", self.priorities.join(",")),
            ("lane", self.lane.clone().unwrap_or_default()),
            ("batch_id", self.batch().to_owned()),
            ("created_before", at(self.created_before)),
            ("created_after", at(self.created_after)),
        ]
    }

    /// The batch, or nothing. Other lists than that of open jobs take it too; what they do not take is checked by
    /// [`JobFilter::matches`].
    pub(super) fn batch(&self) -> &str {
        self.batch.as_deref().unwrap_or_default()
    }

    /// As a bulk action takes it.
    pub(super) fn body(&self, kb: Option<&str>) -> Value {
        let Self { kinds, queues, priorities, lane, batch, created_before, created_after } = self;
        let mut body = json!({ "types": kinds, "queues": queues, "priorities": priorities });
        for (name, at) in [("created_before", created_before), ("created_after", created_after)] {
            if let Some(at) = at {
                body[name] = json!(at);
            }
        }
        for (name, id) in [("lane", lane.as_deref()), ("kb_id", kb), ("batch_id", batch.as_deref())] {
            if let Some(id) = id {
                body[name] = json!(id);
            }
        }
        body
    }

    /// Whether a listed job matches.
    pub(super) fn matches(&self, job: &Value) -> bool {
        let is_one = |names: &[String], field: &str| {
            names.is_empty() || job[field].as_str().is_some_and(|of| names.iter().any(|name| name == of))
        };
        let made = job["created_at"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
        is_one(&self.kinds, "type")
            && is_one(&self.queues, "queue")
            && is_one(&self.priorities, "priority")
            && self.lane.as_deref().is_none_or(|lane| job["lane"] == lane)
            && self.batch.as_deref().is_none_or(|batch| job["batch_id"] == batch)
            && self.created_before.is_none_or(|limit| made.is_some_and(|at| at < limit))
            && self.created_after.is_none_or(|limit| made.is_some_and(|at| at >= limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_ages_are_read() {
        assert_eq!(moment("2027-01-15T08:00:00Z").unwrap().to_rfc3339(), "2027-01-15T08:00:00+00:00");
        let two_hours_ago = moment("2h").unwrap();
        let ago = SystemClock.now() - two_hours_ago;
        assert!((7200..7300).contains(&ago.num_seconds()), "{ago}");
        for text in ["", "h", "2w", "-1h", "2é", "yesterday", "99999999999d"] {
            assert!(moment(text).unwrap_err().contains("such as 15m"), "{text}");
        }
    }

    #[test]
    fn a_filter_is_the_same_in_a_body_and_on_a_list() {
        let before = moment("2027-01-15T08:00:00Z").ok();
        let filter = JobFilter {
            kinds: vec!["a".into()],
            priorities: vec!["low".into(), "high".into()],
            lane: Some("bulk".into()),
            batch: Some("0190".into()),
            created_before: before,
            ..JobFilter::default()
        };
        let expected = json!({
            "types": ["a"], "queues": [], "priorities": ["low", "high"], "created_before": "2027-01-15T08:00:00Z",
            "lane": "bulk", "kb_id": "papers", "batch_id": "0190",
        });
        assert_eq!(filter.body(Some("papers")), expected);
        let asked = filter.query();
        let asked: Vec<_> = asked.iter().filter(|(_, value)| !value.is_empty()).collect();
        assert_eq!(asked.len(), 5, "{asked:?}");
        let job = |kind: &str, at: &str| json!({ "type": kind, "created_at": at, "priority": "low", "lane": "bulk", "batch_id": "0190" });
        assert!(filter.matches(&job("a", "2027-01-15T07:59:59Z")));
        assert!(!filter.matches(&job("b", "2027-01-15T07:59:59Z")));
        assert!(!filter.matches(&job("a", "2027-01-15T08:00:00Z")));
        for (field, other) in [("priority", "normal"), ("lane", "interactive"), ("batch_id", "0191")] {
            let mut job = job("a", "2027-01-15T07:59:59Z");
            job[field] = json!(other);
            assert!(!filter.matches(&job), "{field}");
        }
        assert!(JobFilter::default().matches(&json!({})) && JobFilter::default().is_empty());
    }
}
