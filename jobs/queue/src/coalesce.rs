//! The write coalescer: single pushes made while a call to Redis is in flight are sent together in the next call. A
//! push with no call in flight is sent at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use tokio::sync::oneshot;

use crate::answers::PushOutcome;
use crate::encode;
use crate::error::QueueError;
use crate::job::NewJob;
use crate::push::{Limits, Pushed};
use crate::queue::Queue;

/// Most calls under way at a time. More than one, so that Redis has work while we read its answers.
const CALLS: usize = 4;
/// A further call is worth it when so many wait.
const CROWD: usize = 32;

type Answer = Result<PushOutcome, QueueError>;

/// The lines in front of the shards.
#[derive(Debug)]
pub(super) struct PushLines(Vec<Mutex<Line>>);

#[derive(Debug, Default)]
struct Line {
    /// Number of tasks that send this line's pushes, each one call at a time.
    serving: usize,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    job: NewJob,
    answer: oneshot::Sender<Answer>,
}

impl Line {
    /// Adds a push. Returns whether the caller must start a task that sends: none is sending, or the waiting pushes are
    /// enough for one more call.
    fn add(&mut self, waiting: Waiting) -> bool {
        self.waiting.push(waiting);
        let more = self.serving == 0 || (self.serving < CALLS && self.waiting.len() >= CROWD);
        self.serving += usize::from(more);
        more
    }
}

impl PushLines {
    pub(super) fn new(shards: u16) -> Self {
        Self((0..shards).map(|_| Mutex::default()).collect())
    }

    fn lock(&self, shard: u16) -> MutexGuard<'_, Line> {
        self.0[usize::from(shard)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as many pushes as fit in one call. `None` when none wait; the sending task has then ended its turn.
    fn next(&self, shard: u16) -> Option<Vec<Waiting>> {
        let mut line = self.lock(shard);
        // A part, so that the next call is under way before this one is answered.
        let most = CROWD.max(line.waiting.len() / 2);
        let (mut count, mut room) = (0, encode::Room::default());
        while count < most && line.waiting.get(count).is_some_and(|waiting| room.take(&waiting.job)) {
            count += 1;
        }
        if count == 0 {
            line.serving -= 1;
        }
        let later = line.waiting.split_off(count);
        let now = std::mem::replace(&mut line.waiting, later);
        (!now.is_empty()).then_some(now)
    }
}

impl Queue {
    /// Pushes one job together with those that other tasks push now. The call is made even if the caller is dropped
    /// meanwhile, just as a call already sent to Redis cannot be taken back.
    pub(super) async fn push_in_line(&self, job: &NewJob) -> Answer {
        let shard = self.home(&job.partition);
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { job: job.clone(), answer };
        if self.push_lines().lock(shard).add(waiting) {
            tokio::spawn(Serving { queue: self.clone(), shard, ended: false }.run());
        }
        answered.await.unwrap_or(Err(QueueError::Answer("the runtime that made the call ended")))
    }
}

/// Sends one line's waiting pushes until there are none.
struct Serving {
    queue: Queue,
    shard: u16,
    ended: bool,
}

impl Serving {
    async fn run(mut self) {
        loop {
            // Tasks that are ready to push join this call first, which makes the batch larger.
            tokio::task::yield_now().await;
            match self.queue.push_lines().next(self.shard) {
                Some(batch) => self.send(batch).await,
                None => break,
            }
        }
        self.ended = true;
    }

    async fn send(&self, batch: Vec<Waiting>) {
        let (jobs, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|one| (one.job, one.answer)).unzip();
        let outcomes = if let [job] = jobs.as_slice() {
            vec![Some(self.alone(job).await)]
        } else {
            outcomes(self.queue.enqueue(self.shard, encode::blocks_of(&jobs), Limits::Hold).await, &jobs)
        };
        let ends = jobs.iter().zip(answers).zip(outcomes).map(|((job, answer), outcome)| async move {
            let outcome = match outcome {
                Some(outcome) => outcome,
                None => self.alone(job).await,
            };
            answer.send(outcome).ok();
        });
        join_all(ends).await;
    }

    async fn alone(&self, job: &NewJob) -> Answer {
        let pushed = self
            .queue
            .enqueue(self.shard, encode::blocks_of(std::slice::from_ref(job)), Limits::Hold)
            .await?;
        pushed.outcome(1)
    }
}

impl Drop for Serving {
    /// A sending task that is dropped with its runtime frees the line, so that the next push starts to send.
    fn drop(&mut self) {
        if !self.ended {
            self.queue.push_lines().lock(self.shard).serving -= 1;
        }
    }
}

/// What became of each of `jobs`; `None` when only a call of its own can tell.
fn outcomes(pushed: Result<Pushed, QueueError>, jobs: &[NewJob]) -> Vec<Option<Answer>> {
    let same = |error: &QueueError| match error {
        QueueError::Redis(redis) if error.is_passing() => Some(Err(QueueError::Redis(redis.clone()))),
        QueueError::Deadline(deadline) => Some(Err(QueueError::Deadline(*deadline))),
        _ => None,
    };
    let Pushed { mut left_out, refused, .. } = match pushed {
        Ok(pushed) => pushed,
        Err(error) => return jobs.iter().map(|_| same(&error)).collect(),
    };
    // Of two jobs with one id it is the later that was left out.
    let mut outcomes: Vec<_> = jobs.iter().rev().map(|job| outcome(job, &mut left_out, &refused)).collect();
    outcomes.reverse();
    outcomes
}

fn outcome(job: &NewJob, left_out: &mut Vec<String>, refused: &[String]) -> Option<Answer> {
    // Alone the job may be within the limits that all together were not.
    if refused.iter().any(|text| text == job.partition.as_str()) {
        return None;
    }
    let duplicate = !left_out.is_empty() && {
        let id = job.id.to_string();
        left_out.iter().position(|known| *known == id).map(|at| left_out.swap_remove(at)).is_some()
    };
    let (accepted, duplicates) = (usize::from(!duplicate), usize::from(duplicate));
    Some(Ok(PushOutcome { accepted, duplicates, conflicts: Vec::new() }))
}
