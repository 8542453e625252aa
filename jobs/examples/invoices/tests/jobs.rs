//! Tests of this program's jobs, without servers and without waiting: copy this file.

use std::time::Duration;

use invoices::program::equip;
use invoices::{Mailer, SendInvoice, Timing};
use jobs::queue::{JobState, PartitionShare};
use worker::TestBench;

struct Setup {
    bench: TestBench,
    mailer: Mailer,
    timing: Timing,
}

async fn setup() -> Setup {
    let (mailer, timing) = (Mailer::default(), Timing::default());
    let bench = TestBench::start(|worker| equip(worker, &mailer, &timing)).await;
    Setup { bench, mailer, timing }
}

#[tokio::test]
async fn an_invoice_that_was_turned_away_is_sent_later() {
    let Setup { bench, mailer, timing } = setup().await;
    let acme = bench.tenant("acme").await;
    let first = bench.enqueue(&acme, &SendInvoice { invoice_id: 1 }).await;
    let second = bench.enqueue(&acme, &SendInvoice { invoice_id: 2 }).await;

    let report = bench.run_until_empty().await;
    assert_eq!(report.completed(), [second]);
    assert_eq!(report.retried()[0].0, first);
    assert!(report.retried()[0].1.contains("the mail server is busy"));

    bench.advance(Duration::from_secs(2));
    assert_eq!(bench.run_until_empty().await.completed(), [first]);
    assert_eq!(*mailer.sent().borrow(), ["acme/2", "acme/1"]);
    let totals = timing.totals();
    assert_eq!((totals[0].kind, totals[0].attempts, totals[0].failed), ("invoice.send", 3, 1));
}

#[tokio::test]
async fn a_customer_who_is_paused_gets_no_mail() {
    let Setup { bench, mailer, .. } = setup().await;
    let acme = bench.tenant("acme").await;
    let paused = PartitionShare { paused: Some(true), ..PartitionShare::default() };
    bench.queue().partition_set(acme.tenant_id(), &paused);
    let invoice = bench.enqueue(&acme, &SendInvoice { invoice_id: 1 }).await;
    assert!(bench.run_to_the_end().await.runs.is_empty());
    assert_eq!(bench.queue().lookup(acme.tenant_id(), invoice).unwrap().state, JobState::Available);
    assert!(mailer.sent().borrow().is_empty());
}
