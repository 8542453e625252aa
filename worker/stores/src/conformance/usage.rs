use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use jobs::plan::{Limits, Quota};

use super::api_keys::key as api_key;
use super::fixture::{Pair, Party, now, upload, workspace};
use super::schedules::schedule;
use crate::Opened;
use crate::model::{
    Acceptance, Accepted, ApiCalls, ApiKeyEdit, ApiKeyMade, Bookkeeping, Derived, DocumentCounts, Firing,
    Idempotency, NewApiKey, NewDocument, NewKb, NewSchedule, OverQuota, Usage,
};

/// A document of a given size with its job.
fn sized(name: &str, revision: u64, size_bytes: u64) -> NewDocument {
    NewDocument { size_bytes, ..upload(name, revision, now()) }
}

fn request(party: &Party, documents: Vec<NewDocument>, limits: &Limits) -> Acceptance {
    let jobs = documents.iter().map(|_| party.job()).collect();
    let documents = Some((party.kb.id.clone(), documents));
    Acceptance { documents, jobs, limits: limits.clone(), ..Acceptance::default() }
}

async fn accept(party: &Party, documents: Vec<NewDocument>, limits: &Limits) -> Accepted {
    party.stores.catalog().accept(&request(party, documents, limits), now()).await.unwrap()
}

async fn usage(party: &Party) -> Usage {
    party.stores.catalog().usage(now()).await.unwrap()
}

fn over(quota: Quota, current: u64, maximum: u64) -> Accepted {
    Accepted::OverQuota(OverQuota { quota, current, maximum })
}

pub(super) async fn counted(opened: &Opened) {
    let pair = Pair::new(opened).await;
    assert_eq!(usage(&pair.acme).await, Usage { kbs: 1, ..Usage::default() });
    let archive = pair.acme.kb_new("archive").await;
    let none = Limits::default();
    let two = vec![sized("a.md", 1, 10), sized("b.md", 1, 5_000_000_000)];
    assert_eq!(accept(&pair.acme, two, &none).await, Accepted::New);
    let mut elsewhere = request(&pair.acme, vec![sized("a.md", 1, 7)], &none);
    elsewhere.documents.as_mut().unwrap().0 = archive.id;
    assert_eq!(pair.acme.stores.catalog().accept(&elsewhere, now()).await.unwrap(), Accepted::New);
    let expected =
        Usage { documents: 3, storage_bytes: 5_000_000_017, kbs: 2, daily_jobs: 3, ..Usage::default() };
    assert_eq!(usage(&pair.acme).await, expected);
    assert_eq!(usage(&pair.twin).await, Usage { kbs: 1, ..Usage::default() }, "the twin has nothing of it");
}

/// Forty concurrent requests, ten of which fit, repeatedly: the quota is used up exactly.
pub(super) async fn racing(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let limits = |maximum| Limits { max_documents: Some(maximum), ..Limits::default() };
    for (round, maximum) in [(0, 10), (1, 13)] {
        let name = |n: u32| format!("{round}-{n}.md");
        let racers: Vec<_> =
            (0..40).map(|n| request(&pair.acme, vec![sized(&name(n), 1, 1)], &limits(maximum))).collect();
        let catalog = pair.acme.stores.catalog();
        let outcomes = join_all(racers.iter().map(|request| catalog.accept(request, pair.now))).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        let taken = outcomes.iter().filter(|outcome| **outcome == Accepted::New).count();
        assert_eq!(taken, if round == 0 { 10 } else { 3 });
        let full = over(Quota::MaxDocuments, maximum, maximum);
        assert!(outcomes.iter().all(|outcome| *outcome == Accepted::New || *outcome == full));
        let now = catalog.usage(pair.now).await.unwrap();
        assert_eq!((now.documents, now.storage_bytes, now.daily_jobs), (maximum, maximum, maximum));
    }
    assert_eq!(pair.acme.outbox(opened).await.len(), 13);
    assert_eq!(accept(&pair.twin, vec![sized("a.md", 1, 1)], &limits(1)).await, Accepted::New);
}

/// Many knowledge bases at once, two of which fit besides the first.
pub(super) async fn racing_for_kbs(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let limits = Limits { kbs: Some(3), ..Limits::default() };
    let racers: Vec<_> = (0..12)
        .map(|n| {
            let id = format!("kb-{n}").parse().unwrap();
            let kb = NewKb::new(id, "One of many", workspace(now()));
            Acceptance { kb: Some(kb), limits: limits.clone(), ..Acceptance::default() }
        })
        .collect();
    let catalog = pair.acme.stores.catalog();
    let outcomes = join_all(racers.iter().map(|request| catalog.accept(request, pair.now))).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Accepted::New).count(), 2);
    let full = over(Quota::Kbs, 3, 3);
    assert!(outcomes.iter().all(|outcome| *outcome == Accepted::New || *outcome == full), "{outcomes:?}");
    assert_eq!(usage(&pair.acme).await.kbs, 3);
    assert_eq!(usage(&pair.twin).await.kbs, 1);
}

/// Many concurrent requests for single items: as many succeed as the quota allows, existing ones included.
pub(super) async fn racing_for_small_things(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, now) = (pair.acme.stores.catalog(), pair.now);
    let catalog = &catalog;
    let limits = Limits {
        max_schedules: Some(3),
        max_api_keys: Some(3),
        idempotency_keys: Some(3),
        ..Limits::default()
    };
    let name = |n: usize| format!("one-of-many-{n}");
    let full = |quota| OverQuota { quota, current: 3, maximum: 3 };

    let later = now + TimeDelta::days(1);
    let put = async |new: NewSchedule| catalog.schedule_put(&new, &limits).await.unwrap();
    let outcomes = join_all((0..9).map(|n| put(schedule(&pair.acme, &name(n), later)))).await;
    assert_eq!(outcomes.iter().filter(|over| over.is_none()).count(), 3);
    assert_eq!(
        outcomes.into_iter().flatten().max_by_key(|over| over.current),
        Some(full(Quota::MaxSchedules))
    );
    let known = catalog.schedules(&pair.acme.kb.id).await.unwrap().remove(0).name;
    assert_eq!(put(schedule(&pair.acme, &known, later)).await, None, "one in place of another");
    assert!(catalog.schedule_delete(&pair.acme.kb.id, &known).await.unwrap());
    assert_eq!(put(schedule(&pair.acme, "after", later)).await, None);

    let made = async |new: NewApiKey| catalog.api_key_insert(&new, &limits, now).await.unwrap();
    let outcomes = join_all((0..9).map(|n| made(api_key(&format!("racing0{n}"), &name(n))))).await;
    let done = outcomes.iter().filter(|made| matches!(made, ApiKeyMade::Done(_))).count();
    let over = ApiKeyMade::OverQuota(full(Quota::MaxApiKeys));
    assert_eq!((done, outcomes.iter().filter(|made| **made == over).count()), (3, 6));
    let first = catalog.api_keys(None, 1).await.unwrap().items.remove(0);
    catalog.api_key_change(&first.id, &ApiKeyEdit::Revoked(now), None).await.unwrap();
    assert!(matches!(made(api_key("racing99", "after")).await, ApiKeyMade::Done(_)));

    let asked = |n: usize, at: DateTime<Utc>| {
        let idempotency = Idempotency {
            key: name(n),
            fingerprint: "f".to_owned(),
            status: 202,
            body: serde_json::Value::Null,
        };
        let asked =
            Acceptance { idempotency: Some(idempotency), limits: limits.clone(), ..Acceptance::default() };
        async move { catalog.accept(&asked, at).await.unwrap() }
    };
    let outcomes = join_all((0..9).map(|n| asked(n, now))).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Accepted::New).count(), 3);
    let over = Accepted::OverQuota(full(Quota::IdempotencyKeys));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == over).count(), 6);
    let taken = outcomes.iter().position(|outcome| *outcome == Accepted::New).unwrap();
    assert!(matches!(asked(taken, now).await, Accepted::Replayed(_)), "the same request again takes no more");
    let next_day = now + TimeDelta::hours(24);
    assert_eq!(asked(100, next_day).await, Accepted::New, "those of yesterday have gone");

    let usage = catalog.usage(now).await.unwrap();
    assert_eq!((usage.schedules, usage.api_keys), (3, 3));
    assert_eq!(catalog.usage(next_day).await.unwrap().idempotency_keys, 1);
    let twin = pair.twin.stores.catalog().usage(now).await.unwrap();
    assert_eq!((twin.schedules, twin.api_keys, twin.idempotency_keys), (0, 0, 0));
}

/// Jobs of schedules count like jobs of requests.
pub(super) async fn jobs_of_schedules(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (catalog, next) = (pair.acme.stores.catalog(), pair.now + TimeDelta::days(1));
    let limits = Limits { daily_jobs: Some(1), ..Limits::default() };
    for name in ["one", "two"] {
        catalog.schedule_put(&schedule(&pair.acme, name, pair.now), &limits).await.unwrap();
    }
    let due = opened.schedules.schedules_due(pair.now, 10_000).await.unwrap();
    let due: Vec<_> = due.into_iter().filter(|due| due.tenant_id == *pair.acme.id()).collect();
    let fire =
        async |due| opened.schedules.schedule_fire(due, (&pair.acme.job(), &limits), next, pair.now).await;
    assert_eq!(fire(&due[0]).await.unwrap(), Firing::Fired);
    let over = OverQuota { quota: Quota::DailyJobs, current: 1, maximum: 1 };
    assert_eq!(fire(&due[1]).await.unwrap(), Firing::OverQuota(over));
    assert_eq!(fire(&due[1]).await.unwrap(), Firing::NotDue, "it waits for its next time");
    assert_eq!(pair.acme.outbox(opened).await.len(), 1);
    assert_eq!(catalog.usage(pair.now).await.unwrap().daily_jobs, 1);
    let schedules = catalog.schedules(&pair.acme.kb.id).await.unwrap();
    assert!(schedules.iter().all(|schedule| schedule.next_fire_at == next));
}

pub(super) async fn replaced(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let limits = Limits { max_documents: Some(1), storage_bytes: Some(100), ..Limits::default() };
    let step = async |name: &'static str, revision, size| {
        accept(&pair.acme, vec![sized(name, revision, size)], &limits).await
    };
    assert_eq!(step("a.md", 1, 101).await, over(Quota::StorageBytes, 0, 100));
    assert_eq!(step("a.md", 1, 60).await, Accepted::New);
    // A replacement counts only with its difference.
    assert_eq!(step("a.md", 2, 100).await, Accepted::New);
    assert_eq!(step("a.md", 3, 101).await, over(Quota::StorageBytes, 100, 100));
    assert_eq!(step("b.md", 1, 0).await, over(Quota::MaxDocuments, 1, 1));
    // If another request uploaded the revision meanwhile, the answer is a conflict and not an exceeded quota.
    assert_eq!(step("a.md", 2, 100).await, Accepted::RevisionMoved);
    assert_eq!(step("a.md", 3, 1).await, Accepted::New);
    let now = usage(&pair.acme).await;
    assert_eq!((now.documents, now.storage_bytes, now.daily_jobs), (1, 1, 3));
}

pub(super) async fn refused_as_a_whole(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let limits = Limits { max_documents: Some(2), ..Limits::default() };
    assert_eq!(accept(&pair.acme, vec![sized("a.md", 1, 1)], &limits).await, Accepted::New);
    let before = (usage(&pair.acme).await, pair.acme.outbox(opened).await);
    let batch = vec![sized("a.md", 2, 1), sized("b.md", 1, 1), sized("c.md", 1, 1)];
    assert_eq!(accept(&pair.acme, batch, &limits).await, over(Quota::MaxDocuments, 1, 2));
    assert_eq!((usage(&pair.acme).await, pair.acme.outbox(opened).await), before);
    let fits = vec![sized("a.md", 2, 1), sized("b.md", 1, 1)];
    assert_eq!(accept(&pair.acme, fits, &limits).await, Accepted::New);
}

pub(super) async fn jobs_of_a_day(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let catalog = pair.acme.stores.catalog();
    let request = |jobs: usize| {
        let limits = Limits { daily_jobs: Some(5), ..Limits::default() };
        let jobs = (0..jobs).map(|_| pair.acme.job()).collect();
        Acceptance { jobs, limits, ..Acceptance::default() }
    };
    let noon = (pair.now - TimeDelta::days(2)).date_naive().and_hms_opt(12, 0, 0).unwrap().and_utc();
    let racers: Vec<_> = (0..12).map(|_| request(2)).collect();
    let outcomes = join_all(racers.iter().map(|request| catalog.accept(request, noon))).await;
    let taken = outcomes.into_iter().filter(|outcome| *outcome.as_ref().unwrap() == Accepted::New).count();
    assert_eq!(taken, 2);
    assert_eq!(catalog.accept(&request(6), noon).await.unwrap(), over(Quota::DailyJobs, 4, 5));
    assert_eq!(catalog.accept(&request(1), noon).await.unwrap(), Accepted::New);
    assert_eq!(catalog.accept(&request(1), noon).await.unwrap(), over(Quota::DailyJobs, 5, 5));
    assert_eq!(pair.acme.outbox(opened).await.len(), 5);

    // Another day starts at zero, at midnight and not before.
    let night = noon + TimeDelta::hours(12);
    let before = night - TimeDelta::microseconds(1);
    assert_eq!(catalog.accept(&request(1), before).await.unwrap(), over(Quota::DailyJobs, 5, 5));
    assert_eq!(catalog.accept(&request(6), night).await.unwrap(), over(Quota::DailyJobs, 0, 5));
    assert_eq!(catalog.accept(&request(5), night).await.unwrap(), Accepted::New);
    assert_eq!(catalog.usage(night).await.unwrap().daily_jobs, 5);
    assert_eq!(pair.twin.stores.catalog().usage(noon).await.unwrap().daily_jobs, 0);
}

pub(super) async fn api_calls(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let (acme, twin) = (pair.acme.stores.catalog(), pair.twin.stores.catalog());
    let january = "2027-01-31T23:59:59.9Z".parse().unwrap();
    let earlier = "2027-01-30T12:00:00Z".parse().unwrap();
    let february = "2027-02-01T00:00:00Z".parse().unwrap();
    let add = async |calls, at| {
        let left = Bookkeeping { at, calls, keys_used: Vec::new(), delivered: Vec::new() };
        acme.bookkeep(&left).await.unwrap()
    };
    assert_eq!(acme.api_calls(january).await.unwrap(), ApiCalls::default());
    assert_eq!(add(0, january).await, None);
    let adds = join_all((1..=20).map(|more| add(more, january))).await;
    let months: Vec<_> = adds.into_iter().map(|calls| calls.unwrap().month).collect();
    assert_eq!(months.into_iter().max(), Some(210));
    let of = |day, month| ApiCalls { day, month };
    assert_eq!(acme.api_calls(january).await.unwrap(), of(210, 210));
    assert_eq!(add(5, earlier).await, Some(of(5, 215)), "another day of the month");
    assert_eq!(add(1, february).await, Some(of(1, 1)));
    assert_eq!(
        acme.usage(january).await.unwrap().api_calls,
        of(0, 215),
        "days are forgotten with the next one"
    );
    assert_eq!(twin.api_calls(january).await.unwrap(), of(0, 0));
}

/// Derived data counts like originals.
pub(super) async fn derived(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let limits = Limits { storage_bytes: Some(100), ..Limits::default() };
    let document = sized("a.md", 1, 10);
    let id = document.id.clone();
    assert_eq!(accept(&pair.acme, vec![document], &limits).await, Accepted::New);
    let catalog = pair.acme.stores.catalog();
    let kb = &pair.acme.kb.id;
    let put = async |revision, derived| {
        catalog.document_derived_put(kb, &id, revision, derived, &limits).await.unwrap()
    };
    let stored = async || {
        let usage = usage(&pair.acme).await;
        (usage.storage_bytes, usage.derived_bytes)
    };
    assert_eq!(put(1, Derived::Text(30)).await, Ok(true));
    assert_eq!(stored().await, (40, 30));
    let full = OverQuota { quota: Quota::StorageBytes, current: 40, maximum: 100 };
    assert_eq!(put(1, Derived::Graph(61)).await, Err(full));
    assert_eq!(stored().await, (40, 30), "nothing of it is counted");
    for _ in 0..2 {
        assert_eq!(put(1, Derived::Graph(60)).await, Ok(true), "the same again adds nothing");
        assert_eq!(stored().await, (100, 90));
    }
    assert_eq!(put(2, Derived::Text(0)).await, Ok(false), "another revision");
    assert_eq!(
        accept(&pair.acme, vec![sized("b.md", 1, 1)], &limits).await,
        over(Quota::StorageBytes, 100, 100)
    );
    assert_eq!(put(1, Derived::Text(20)).await, Ok(true));
    assert_eq!(accept(&pair.acme, vec![sized("b.md", 1, 10)], &limits).await, Accepted::New);
    // A later revision replaces the stored data, which stays counted until then.
    assert_eq!(accept(&pair.acme, vec![sized("a.md", 2, 10)], &limits).await, Accepted::New);
    assert_eq!(stored().await, (100, 80));
    assert_eq!(usage(&pair.twin).await.storage_bytes, 0);
}

/// While a replacement is made, both versions count; what it is compared with is what there will be when it is served.
pub(super) async fn both_versions(opened: &Opened) {
    let pair = Pair::new(opened).await;
    let limits = Limits { storage_bytes: Some(100), ..Limits::default() };
    let document = sized("a.md", 1, 10);
    let id = document.id.clone();
    assert_eq!(accept(&pair.acme, vec![document], &limits).await, Accepted::New);
    let (catalog, kb) = (pair.acme.stores.catalog(), &pair.acme.kb.id);
    let put = async |revision, derived| {
        catalog.document_derived_put(kb, &id, revision, derived, &limits).await.unwrap()
    };
    let served = async |revision| {
        assert!(
            catalog.document_processed(kb, &id, revision, DocumentCounts::default(), now()).await.unwrap()
        );
    };
    let stored = async || {
        let usage = usage(&pair.acme).await;
        (usage.storage_bytes, usage.derived_bytes)
    };
    assert_eq!((put(1, Derived::Text(50)).await, put(1, Derived::Graph(40)).await), (Ok(true), Ok(true)));
    served(1).await;
    served(1).await;
    assert_eq!(stored().await, (100, 90), "the quota is used up");

    assert_eq!(accept(&pair.acme, vec![sized("a.md", 2, 9)], &limits).await, Accepted::New);
    assert_eq!(stored().await, (109, 90), "both originals");
    assert_eq!(put(2, Derived::Text(60)).await, Ok(true));
    assert_eq!(stored().await, (169, 150), "both texts");
    let full = OverQuota { quota: Quota::StorageBytes, current: 169, maximum: 100 };
    assert_eq!(put(2, Derived::Graph(32)).await, Err(full));
    assert_eq!(put(2, Derived::Graph(31)).await, Ok(true));
    // The revision after it takes the place of one that was never served, which one more original shows.
    assert_eq!(accept(&pair.acme, vec![sized("a.md", 3, 8)], &limits).await, Accepted::New);
    assert_eq!(stored().await, (10 + 8 + 90 + 91, 90 + 91));
    served(3).await;
    assert_eq!(stored().await, (8 + 91, 91), "the old version is gone");
    assert_eq!(usage(&pair.twin).await.storage_bytes, 0);
}
