//! Many random scripts. A seed always makes the same script.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use fair_queue::Queue;
use fair_queue::testing::LibraryPatch;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::runtime::Runtime;

use super::commands::Command;
use super::run::{self, Checked};
use super::scripts;
use crate::support::Harness;

/// Seeds in a normal run, and how many are tried at a time.
const SEEDS: u64 = 200;
const THREADS: usize = 4;
/// Most attempts to make a failing script shorter.
const SHORTENINGS: usize = 600;

/// The script of a seed.
pub(super) fn script(seed: u64) -> Vec<Command> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let scripts = prop::collection::vec(scripts::any(), 40..120);
    scripts.new_tree(&mut runner).expect("scripts have no filters").current()
}

pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn usual(h: &Harness) -> Queue {
    h.queue.clone()
}

pub(super) fn tried(script: &[Command]) -> Checked {
    runtime().block_on(run::run(script, usual))
}

/// Tries the script of a seed on changed scripts.
pub(crate) fn tried_with(seed: u64, patches: &[LibraryPatch]) -> Checked {
    let patched = async |h: &Harness| {
        Queue::connect_patched(h.config.clone(), patches).await.expect("the library can be loaded")
    };
    runtime().block_on(run::run(&script(seed), patched))
}

/// Removes commands that are not needed for the failure: halves first, single commands last.
fn shorten(mut script: Vec<Command>, mut error: String) -> (Vec<Command>, String) {
    let (mut size, mut attempts) = (script.len() / 2, 0);
    while size > 0 && attempts < SHORTENINGS {
        let (mut start, before) = (0, script.len());
        while start < script.len() && attempts < SHORTENINGS {
            let end = (start + size).min(script.len());
            let shorter = [&script[..start], &script[end..]].concat();
            attempts += 1;
            match tried(&shorter) {
                Ok(()) => start = end,
                Err(new) => (script, error) = (shorter, new),
            }
        }
        if size > 1 || script.len() == before {
            size /= 2;
        }
    }
    (script, error)
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn the_queue_does_what_its_model_does() {
    let (first, seeds) = (setting("TENANTRY_MODEL_FIRST_SEED", 0), setting("TENANTRY_MODEL_SEEDS", SEEDS));
    let (next, failure) = (AtomicU64::new(first), Mutex::new(None));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds || failure.lock().unwrap().is_some() {
                return;
            }
            if let Err(error) = tried(&script(seed)) {
                failure.lock().unwrap().get_or_insert((seed, error));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    if let Some((seed, error)) = failure.into_inner().unwrap() {
        let (script, error) = shorten(script(seed), error);
        let script: Vec<_> = script.iter().map(|command| format!("  {command:?}")).collect();
        let script = script.join("\n");
        panic!("seed {seed}: {error}\n{script}\nrepeat it with `make model FIRST={seed} SEEDS=1`");
    }
}
