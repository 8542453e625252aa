//! Random commands on a real queue, and on a model of it in plain Rust, under a clock that only the test
//! moves.

mod commands;
mod ends;
mod keys;
mod run;
mod state;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Cases in a normal run; `PROPTEST_CASES` asks for more.
const CASES: u32 = 64;

#[test]
fn the_queue_does_what_its_model_does() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scripts = prop::collection::vec(commands::any(), 20..80);
    let tested = TestRunner::new(config)
        .run(&scripts, |script| runtime.block_on(run::run(&script)).map_err(TestCaseError::fail));
    if let Err(error) = tested {
        panic!("{error}");
    }
}
