use std::time::Duration;

use jobs::JobId;
use jobs::tenant::KbId;

use super::fixture::{Pair, Party, upload, wait_until};
use crate::model::{
    Accepted, DocumentCounts, DocumentStage, Event, EventId, EventKind, Progress, ProgressReport, Stage,
    StageReport,
};
use crate::{Follow, Listener, ListenerLimits, Missed, Opened, Topic};

const LIMITS: ListenerLimits = ListenerLimits { total: 1_000, per_tenant: 4 };

fn follow(topic: Topic, after: Option<EventId>) -> Follow {
    Follow { topic, only_kb: None, after, limits: LIMITS }
}

/// A listener; `None` for stores without Redis.
async fn listener(party: &Party, follow: Follow) -> Option<Listener> {
    match party.stores.live().follow(follow).await {
        Ok(listener) => Some(listener),
        Err(Missed::Store(_)) => None,
        Err(full) => panic!("{full}"),
    }
}

fn job_event(party: &Party, job: JobId, state: &str, now: chrono::DateTime<chrono::Utc>) -> Event {
    let kb_id = Some(party.kb.id.clone());
    Event { kb_id, job_id: Some(job), state: Some(state.into()), ..Event::new(EventKind::Job, now) }
}

async fn next(listener: &mut Listener) -> (EventId, Event) {
    let told = tokio::time::timeout(Duration::from_secs(20), listener.next()).await;
    let told = told.expect("an event arrives").expect("the listener is not slow");
    (told.id, told.event.clone())
}

pub(super) async fn reports(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, kb, now) = (pair.acme.stores.catalog(), &pair.acme.kb.id, pair.now);
    let document = upload("a.md", 1, now);
    let (id, job) = (document.id.clone(), document.job_id);
    assert_eq!(pair.acme.register(vec![document], now).await, Accepted::New);
    let live = pair.acme.stores.live();
    let stage = async || {
        let document = catalog.document(kb, &id).await.unwrap().unwrap();
        live.document_stage(kb, &document).await.unwrap()
    };
    let at = |name, done, total| Some(DocumentStage { name, done, total });
    assert_eq!(stage().await, at(Stage::Waiting, 0, 1));
    let report = |job, stage, part, (done, total)| {
        let progress = Progress { done, total, message: "on it".into(), at: now };
        let stage = StageReport { document: id.clone(), revision: 1, batch: None, stage, part };
        let (kb, kind) = (Some(kb.clone()), "document.ingest".to_owned());
        live.report(ProgressReport { job, kind, kb, progress, stage: Some(stage) });
    };
    report(job, Stage::Reading, 0, (1, 3));
    wait_until("it is read", async || stage().await == at(Stage::Reading, 1, 3)).await;
    let progress = live.job_progress(job).await.unwrap().unwrap();
    assert_eq!((progress.done, progress.total, progress.message.as_str()), (1, 3, "on it"));
    assert_eq!(pair.twin.stores.live().job_progress(job).await.unwrap(), None);

    assert!(catalog.document_processing(kb, &id, 1, (job, 20), now).await.unwrap());
    assert_eq!(stage().await, at(Stage::Extracting, 0, 20));
    // Two jobs work on parts of it; a part that is reported again counts once.
    let [one, other] = [(); 2].map(|()| JobId::generate(now));
    report(one, Stage::Extracting, 0, (5, 8));
    report(other, Stage::Extracting, 8, (4, 8));
    wait_until("both are counted", async || stage().await == at(Stage::Extracting, 9, 20)).await;
    report(one, Stage::Extracting, 0, (8, 8));
    wait_until("it is further", async || stage().await == at(Stage::Extracting, 12, 20)).await;
    report(job, Stage::Building, 0, (0, 1));
    wait_until("it is built", async || stage().await == at(Stage::Building, 0, 1)).await;
    assert!(catalog.document_processed(kb, &id, 1, DocumentCounts::default(), now).await.unwrap());
    assert_eq!(stage().await, None);
}

pub(super) async fn events(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let now = pair.now;
    let [job, other] = [(); 2].map(|()| JobId::generate(now));
    let Some(mut all) = listener(&pair.acme, follow(Topic::Tenant, None)).await else { return };
    let mut of_job = listener(&pair.acme, follow(Topic::Job(job), None)).await.unwrap();
    let mut twins = listener(&pair.twin, follow(Topic::Tenant, None)).await.unwrap();
    let archive: KbId = "archive".parse().unwrap();
    let limited = Follow { only_kb: Some(archive.clone()), ..follow(Topic::Tenant, None) };
    let mut limited = listener(&pair.acme, limited).await.unwrap();
    assert!(!all.has_gap);
    let fifth = listener(&pair.acme, follow(Topic::Tenant, None)).await.unwrap();
    let sixth = pair.acme.stores.live().follow(follow(Topic::Tenant, None)).await;
    assert!(matches!(sixth, Err(Missed::TenantFull(4))), "as many as there may be");
    drop(fifth);

    let live = pair.acme.stores.live();
    let active = job_event(&pair.acme, job, "active", now);
    live.tell(job_event(&pair.acme, other, "active", now));
    live.tell(active.clone());
    pair.twin.stores.live().tell(job_event(&pair.twin, job, "completed", now));
    let in_archive = Event { kb_id: Some(archive), ..job_event(&pair.acme, other, "completed", now) };
    live.tell(in_archive.clone());
    let (_, first) = next(&mut all).await;
    assert_eq!(first.job_id, Some(other));
    let (seen, second) = next(&mut all).await;
    assert_eq!(second, active);
    assert_eq!(next(&mut of_job).await, (seen, active));
    assert_eq!(next(&mut twins).await.1.state.as_deref(), Some("completed"), "none of the other tenant");
    assert_eq!(next(&mut limited).await.1, in_archive, "none of another knowledge base");

    // A listener that comes back gets what it missed, in order and once.
    drop(all);
    live.tell(job_event(&pair.acme, job, "completed", now));
    let mut back = listener(&pair.acme, follow(Topic::Tenant, Some(seen))).await.unwrap();
    assert!(!back.has_gap);
    assert_eq!(next(&mut back).await.1, in_archive);
    let (last, ended) = next(&mut back).await;
    assert_eq!((ended.job_id, ended.state.as_deref()), (Some(job), Some("completed")));
    assert!(last > seen);

    // An event that is kept no longer is a gap, and so is one that never was.
    for unknown in ["1-1", "99999999999999-0"] {
        drop(back);
        back = listener(&pair.acme, follow(Topic::Tenant, Some(unknown.parse().unwrap()))).await.unwrap();
        assert!(back.has_gap, "{unknown}");
    }
    drop((back, of_job));

    // A change of a document is told by the catalog.
    let mut of_kb = listener(&pair.acme, follow(Topic::Kb(pair.acme.kb.id.clone()), None)).await.unwrap();
    let document = upload("a.md", 1, now);
    let id = document.id.clone();
    assert_eq!(pair.acme.register(vec![document], now).await, Accepted::New);
    let catalog = pair.acme.stores.catalog();
    let counts = crate::model::DocumentCounts::default();
    assert!(catalog.document_processed(&pair.acme.kb.id, &id, 1, counts, now).await.unwrap());
    let (_, told) = next(&mut of_kb).await;
    assert_eq!((told.document_id, told.status.as_deref()), (Some(id), Some("processed")));
}

/// One that takes nothing is ended, and the other gets everything.
pub(super) async fn a_slow_listener(opened: &Opened) {
    const EVENTS: u64 = 600;
    const AT_ONCE: usize = 100;
    let pair = Pair::new(opened).await;
    let job = JobId::generate(pair.now);
    let Some(mut slow) = listener(&pair.acme, follow(Topic::Job(job), None)).await else { return };
    let mut fast = listener(&pair.acme, follow(Topic::Job(job), None)).await.unwrap();
    let live = pair.acme.stores.live();
    // As many at once as a listener may leave waiting, so that the fast one keeps up.
    for first in (0..EVENTS).step_by(AT_ONCE) {
        let events = first..first + AT_ONCE as u64;
        for done in events.clone() {
            let event = job_event(&pair.acme, job, "active", pair.now);
            live.tell(Event { done: Some(done), ..event });
        }
        for done in events {
            assert_eq!(next(&mut fast).await.1.done, Some(done));
        }
    }
    let (mut taken, mut last) = (0, slow.start);
    while let Ok(told) = slow.next().await {
        assert_eq!(told.event.done, Some(taken), "in order, without a gap");
        (taken, last) = (taken + 1, told.id);
    }
    assert!(taken < EVENTS, "it was ended");
    let mut back = listener(&pair.acme, follow(Topic::Job(job), Some(last))).await.unwrap();
    for done in taken..EVENTS {
        assert_eq!(next(&mut back).await.1.done, Some(done), "it goes on where it was ended");
    }
}
