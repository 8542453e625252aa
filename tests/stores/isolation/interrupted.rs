//! Calls that are given up half-way leave nothing behind that another tenant could read.

use std::time::Duration;

use super::tenants::{Seeded, seed, servers};

/// Gives up `attempts` calls of `impatient` after ever longer waits, while `patient` reads its own.
async fn interrupt(impatient: &Seeded, patient: &Seeded, attempts: u64) {
    let own = patient.stores.index().entities(&patient.kb, None, 10).await.unwrap();
    let own_kbs = patient.stores.catalog().kbs().await.unwrap();
    for attempt in 0..attempts {
        let wait = Duration::from_micros(attempt * 100);
        let (index, catalog) = (impatient.stores.index(), impatient.stores.catalog());
        let document = jobs::DocumentId::of_name("plan.md");
        let _ = tokio::time::timeout(wait, index.entities(&impatient.kb, None, 10)).await;
        let _ =
            tokio::time::timeout(wait, index.graph_replace(&impatient.kb, &document, "plan.md", &[])).await;
        let _ = tokio::time::timeout(wait, catalog.document_totals(&impatient.kb.id)).await;
        assert_eq!(patient.stores.index().entities(&patient.kb, None, 10).await.unwrap(), own);
        assert_eq!(patient.stores.catalog().kbs().await.unwrap(), own_kbs);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_never_reaches_the_next_one_who_asks() {
    let servers = servers().await;
    let (one, two) = (seed(&servers, "one").await, seed(&servers, "two").await);
    let (three, four) = (seed(&servers, "three").await, seed(&servers, "four").await);
    tokio::join!(interrupt(&one, &two, 150), interrupt(&three, &four, 150));
}

/// What was given up is done again, and then it is as if nothing had happened.
#[tokio::test]
async fn a_document_that_was_interrupted_is_whole_after_the_next_attempt() {
    let servers = servers().await;
    let mine = seed(&servers, "mine").await;
    let index = mine.stores.index();
    let before = index.entities(&mine.kb, None, 10).await.unwrap();
    let document = jobs::DocumentId::of_name("plan.md");
    for attempt in 0..60 {
        let replace = index.graph_replace(&mine.kb, &document, "plan.md", &[]);
        let _ = tokio::time::timeout(Duration::from_micros(attempt * 250), replace).await;
        let mentions = super::tenants::mentions(&document);
        index.graph_replace(&mine.kb, &document, "plan.md", &mentions).await.unwrap();
        assert_eq!(index.entities(&mine.kb, None, 10).await.unwrap(), before);
        assert_eq!(index.counts(&mine.kb).await.unwrap().relations, 1);
    }
}
