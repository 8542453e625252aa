//! Every mutation is noticed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fair_queue::Queue;

use super::mutation::Mutation;
use super::{operations, shared};
use crate::model;

/// Seeds in which a mutation has to be noticed.
const SEEDS: u64 = 200;
const THREADS: usize = 4;
/// What the model does not call: moving tenants between shards, what people and gauges look at, and the search for what
/// was lost, which have their own tests.
const ELSEWHERE: [&str; 8] = ["skill", "adopt", "overview", "census", "holder", "05_lost", "lost", "mend"];

/// The seed that detects the mutation, with its error.
fn noticed(mutation: &Mutation) -> Option<(u64, String)> {
    let patches = mutation.patches();
    (0..SEEDS).find_map(|seed| {
        let tried = catch_unwind(AssertUnwindSafe(|| model::tried_with(seed, &patches)));
        match tried {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some((seed, error)),
            Err(_) => Some((seed, "a panic".to_owned())),
        }
    })
}

#[test]
fn every_mutation_is_noticed() {
    let mutations: Vec<_> = shared::MUTATIONS.iter().chain(operations::MUTATIONS).collect();
    let (next, survivors) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(mutation) = mutations.get(next.fetch_add(1, Ordering::Relaxed)) {
            match noticed(mutation) {
                Some((seed, error)) => {
                    let error: String = error.chars().take(150).collect();
                    println!("{}: seed {seed}: {error}", mutation.why);
                }
                None => survivors.lock().unwrap().push(mutation.why),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    let survivors = survivors.into_inner().unwrap();
    assert!(survivors.is_empty(), "nobody noticed:\n{}", survivors.join("\n"));
}

/// A mutation that does not fit the scripts any more says nothing about the model.
#[test]
fn every_mutation_can_be_made() {
    let mutations = shared::MUTATIONS.iter().chain(operations::MUTATIONS);
    let misfits: Vec<_> =
        mutations.filter_map(|mutation| Queue::library_misfit(&mutation.patches())).collect();
    assert!(misfits.is_empty(), "{}", misfits.join("\n"));
}

#[test]
fn every_file_has_a_mutation() {
    let mutations: Vec<_> = shared::MUTATIONS.iter().chain(operations::MUTATIONS).collect();
    let files: Vec<_> =
        mutations.iter().flat_map(|mutation| mutation.patches()).map(|patch| patch.file).collect();
    for file in Queue::library_files() {
        assert!(files.contains(&file) != ELSEWHERE.contains(&file), "{file}.lua");
    }
}

#[test]
fn scripts_without_a_mutation_are_right() {
    assert_eq!(model::tried_with(0, &[]), Ok(()));
}
