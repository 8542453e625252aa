//! Whether exactly the jobs that were pushed ran, each once.

use std::collections::HashSet;
use std::hash::Hash;

use anyhow::{Result, ensure};

pub(crate) fn check<T: Copy + Eq + Hash>(pushed: &[T], ran: &[T]) -> Result<()> {
    let (wanted, seen): (HashSet<T>, HashSet<T>) =
        (pushed.iter().copied().collect(), ran.iter().copied().collect());
    ensure!(wanted.len() == pushed.len(), "{} ids were pushed twice", pushed.len() - wanted.len());
    ensure!(ran.len() == pushed.len(), "INEXACT DELIVERY: {} jobs pushed, {} ran", pushed.len(), ran.len());
    ensure!(
        wanted == seen,
        "INEXACT DELIVERY: {} jobs that were pushed did not run",
        wanted.difference(&seen).count()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_or_repeated_job_is_noticed() {
        assert!(check(&[1, 2, 3], &[3, 1, 2]).is_ok());
        for ran in [&[1, 2][..], &[1, 2, 2], &[1, 2, 3, 3], &[1, 2, 4]] {
            assert!(check(&[1, 2, 3], ran).is_err(), "{ran:?}");
        }
    }
}
