//! What the queue's functions answer, read.

use redis::Value;

use super::client::moment;
use super::error::QueueError;
use super::status::{JobState, JobStatus, QueueStats, Reason};
use crate::id::JobId;
use crate::job::Priority;

/// An array that mixes texts and numbers, as texts. What is not UTF-8 is no id of ours, and must not hide those that
/// are.
pub(super) fn texts(values: &[Value]) -> Result<Vec<String>, QueueError> {
    values.iter().map(text).collect()
}

fn text(value: &Value) -> Result<String, QueueError> {
    match value {
        Value::BulkString(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Ok(text.clone()),
        Value::Int(number) => Ok(number.to_string()),
        _ => Err(QueueError::Answer("expected text or a number")),
    }
}

pub(super) fn status(id: JobId, answer: &[Value]) -> Result<Option<JobStatus>, QueueError> {
    let answer = texts(answer)?;
    let [state, at, why, declared, header @ ..] = answer.as_slice() else {
        return Ok(None);
    };
    let state = JobState::from_name(state).ok_or(QueueError::Answer("an unknown state"))?;
    let at = if at.is_empty() { None } else { Some(moment(at)?) };
    let number = |index: usize| header.get(index).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    Ok(Some(JobStatus {
        id,
        state,
        lane: header.first().cloned().unwrap_or_default(),
        lane_declared: declared == "1",
        priority: Priority::from_level(number(1)),
        attempts: number(2),
        deaths: number(3),
        interruptions: number(4),
        at,
        reason: reason(why),
    }))
}

/// `code`, a line end or a space, and the text.
pub(super) fn reason(why: &str) -> Option<Reason> {
    let (code, text) = why.split_once(['\n', ' ']).unwrap_or((why, ""));
    (!code.is_empty()).then(|| Reason { code: code.to_owned(), text: text.to_owned() })
}

pub(super) fn stats(counts: Vec<u64>, undeclared: &[String]) -> Result<QueueStats, QueueError> {
    let counts: [u64; 11] = counts.try_into().map_err(|_| QueueError::Answer("expected eleven counts"))?;
    let [available, active, scheduled, retryable, parked, discarded, quarantined, totals @ ..] = counts;
    let [completed_total, cancelled_total, discarded_total, quarantined_total] = totals;
    let undeclared =
        undeclared.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].parse().unwrap_or(0))).collect();
    Ok(QueueStats {
        available,
        active,
        scheduled,
        retryable,
        parked,
        discarded,
        quarantined,
        completed_total,
        cancelled_total,
        discarded_total,
        quarantined_total,
        undeclared,
    })
}
