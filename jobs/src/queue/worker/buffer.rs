//! Jobs that are claimed and wait for apalis to ask.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use apalis_core::task::Task;

use super::job::FetchedJob;

#[derive(Debug, Default)]
pub(super) struct Buffer {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    tasks: VecDeque<Task<FetchedJob>>,
    wakers: Vec<Waker>,
    closed: bool,
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the tasks back when the buffer is closed.
    pub(super) fn add(&self, tasks: Vec<Task<FetchedJob>>) -> Result<(), Vec<Task<FetchedJob>>> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(tasks);
        }
        inner.tasks.extend(tasks);
        let wakers = std::mem::take(&mut inner.wakers);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// The next task; `None` when there will be no more.
    pub(super) fn poll(&self, waker: &Waker) -> Poll<Option<Task<FetchedJob>>> {
        let mut inner = self.lock();
        if let Some(task) = inner.tasks.pop_front() {
            return Poll::Ready(Some(task));
        }
        if inner.closed {
            return Poll::Ready(None);
        }
        if !inner.wakers.iter().any(|known| known.will_wake(waker)) {
            inner.wakers.push(waker.clone());
        }
        Poll::Pending
    }

    /// Ends every worker that polls, and hands out what none of them took.
    pub(super) fn close(&self) -> Vec<Task<FetchedJob>> {
        let mut inner = self.lock();
        inner.closed = true;
        let wakers = std::mem::take(&mut inner.wakers);
        let tasks = inner.tasks.drain(..).collect();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
        tasks
    }
}
