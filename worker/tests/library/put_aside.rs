//! Jobs that kill their workers: the queue quarantines them, and their on-discard hook runs.

use jobs::queue::{JobState, Kept};

use crate::support::{Task, bench, forged};

#[tokio::test]
async fn a_job_that_killed_three_workers_is_put_aside_and_its_handler_tidies_up_once() {
    let (bench, diary) = bench().await;
    let (acme, globex) = (bench.tenant("acme").await, bench.tenant("globex").await);
    let poison = bench.enqueue(&acme, &Task::Succeed).await;
    for _ in 0..2 {
        assert_eq!(bench.crash().await, []);
        bench.advance(std::time::Duration::from_secs(1));
    }
    assert_eq!(diary.read(), Vec::<String>::new(), "not before it is certain");
    assert_eq!(bench.crash().await, [poison]);
    assert_eq!(diary.read(), ["acme Succeed discarded: worker_died"]);

    let kept = bench.queue().kept(acme.tenant_id(), Kept::Quarantined, 10);
    assert_eq!((kept[0].id, kept[0].reason.code.as_str()), (poison, "worker_died"));
    let status = bench.queue().lookup(acme.tenant_id(), poison).unwrap();
    assert_eq!((status.state, status.deaths, status.attempts), (JobState::Quarantined, 3, 0));
    let next = bench.enqueue(&globex, &Task::Succeed).await;
    assert_eq!(bench.run_to_the_end().await.completed(), [next], "it does not run again");
}

/// An attacker with write access to Redis must not reach a handler by letting a forged job be quarantined.
#[tokio::test]
async fn a_forged_job_is_put_aside_without_telling_any_handler() {
    let (bench, diary) = bench().await;
    let acme = bench.tenant("acme").await;
    let forged = forged(&bench, &acme);
    bench.queue().push(std::slice::from_ref(&forged)).unwrap();
    for _ in 0..2 {
        bench.crash().await;
        bench.advance(std::time::Duration::from_secs(1));
    }
    assert_eq!(bench.crash().await, [forged.id()]);
    assert_eq!(diary.read(), Vec::<String>::new());
}
