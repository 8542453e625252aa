//! A group's continuation starts when its last member has ended, exactly once.

use std::time::Duration;

use fair_queue::{Finish, JobId, QueueError, Verdict};

use super::claimed::ids;
use super::site::Site;
use crate::support::{EnqueueOptions, Ping};

fn continuation(finish: &Finish) -> JobId {
    finish.group.as_ref().expect("it opens a group").continuation.id
}

/// Finishes a parent that opens a group; the continuation's id.
async fn opened(site: &Site, members: usize) -> JobId {
    let parent = site.ping("acme");
    site.push(std::slice::from_ref(&parent)).await;
    let claimed = site.fetch_one().await;
    let finish = site.fan_out(&parent, members);
    let continuation = continuation(&finish);
    assert!(site.finish(&claimed, finish).await);
    continuation
}

pub(super) async fn every_final_end_counts_and_no_other_does(site: Site) {
    let continuation = opened(&site, 4).await;
    let claimed = site.fetch(10).await;
    assert_eq!(claimed.len(), 4);
    let reason = String::new;
    assert!(site.finish(&claimed[0], Verdict::Completed).await);
    assert!(site.finish(&claimed[1], Verdict::Discarded { code: "bad", reason: reason() }).await);
    assert!(site.finish(&claimed[2], Verdict::Quarantined { code: "forged", reason: reason() }).await);
    let mut last = claimed[3].clone();
    for not_an_end in [
        Verdict::Released,
        Verdict::Retry { after: Duration::ZERO, error: reason() },
        Verdict::Parked { reason: reason() },
    ] {
        assert!(site.finish(&last, not_an_end).await);
        site.clock.advance(Duration::from_secs(2));
        let again = site.fetch(10).await;
        assert_eq!(ids(&again), [last.id], "one member is left");
        last = again[0].clone();
    }
    assert!(site.finish(&last, Verdict::Dropped { reason: reason() }).await);
    let claimed = site.fetch(10).await;
    assert_eq!(ids(&claimed), [continuation]);
    site.complete(&claimed).await;
    assert!(site.fetch(10).await.is_empty());
}

pub(super) async fn a_group_without_members_continues_at_once(site: Site) {
    let continuation = opened(&site, 0).await;
    assert_eq!(ids(&site.fetch(10).await), [continuation]);
}

pub(super) async fn a_late_finish_leaves_nothing_behind(site: Site) {
    let parent = site.ping("acme");
    site.push(std::slice::from_ref(&parent)).await;
    let late = site.fetch_one().await;
    site.let_die().await;
    assert!(!site.finish(&late, site.fan_out(&parent, 3)).await);
    assert_eq!(ids(&site.fetch(10).await), [parent.id]);
}

pub(super) async fn a_member_that_waits_already_is_waited_for(site: Site) {
    let parent = site.ping("acme");
    let finish = site.fan_out(&parent, 3);
    // An earlier run enqueued two of the members; one of them is a dead letter by now.
    site.push(&finish.children[..1]).await;
    let claimed = site.fetch_one().await;
    assert!(site.finish(&claimed, Verdict::Discarded { code: "bad", reason: String::new() }).await);
    site.push(&finish.children[1..2]).await;
    let early = site.fetch_one().await;
    site.push(std::slice::from_ref(&parent)).await;
    let claimed = site.fetch_one().await;
    let continuation = continuation(&finish);
    assert!(site.finish(&claimed, finish).await);
    let third = site.fetch(10).await;
    assert_eq!(third.len(), 1);
    site.complete(&third).await;
    assert!(site.fetch(10).await.is_empty(), "the one that ran early is still running");
    site.complete(&[early]).await;
    assert_eq!(ids(&site.fetch(10).await), [continuation]);
}

pub(super) async fn groups_nest(site: Site) {
    let parent = site.ping("acme");
    site.push(std::slice::from_ref(&parent)).await;
    let claimed = site.fetch_one().await;
    let outer = site.fan_out(&parent, 1);
    let (member, outer_group) = (outer.children[0].clone(), outer.group.as_ref().unwrap().id);
    let outer_continuation = continuation(&outer);
    assert!(site.finish(&claimed, outer).await);

    // The member opens a group whose continuation belongs to the outer group, which therefore waits for it as well.
    let claimed = site.fetch_one().await;
    let mut inner = site.fan_out(&member, 2);
    let options = EnqueueOptions { group: Some(outer_group), ..EnqueueOptions::default() };
    inner.group.as_mut().unwrap().continuation = site.job("acme", &Ping { n: 7 }, options);
    let inner_continuation = continuation(&inner);
    assert!(site.finish(&claimed, inner).await);
    for expected in [2, 1, 1] {
        let claimed = site.fetch(10).await;
        assert_eq!(claimed.len(), expected);
        match ids(&claimed)[..] {
            [only] if only == inner_continuation => assert_eq!(site.stats("acme").await.completed_total, 4),
            [only] => assert_eq!(only, outer_continuation),
            _ => {}
        }
        site.complete(&claimed).await;
    }
    assert_eq!(site.stats("acme").await.open(), 0);
}

pub(super) async fn a_finish_cannot_reach_into_another_tenant(site: Site) {
    let parent = site.ping("acme");
    site.push(std::slice::from_ref(&parent)).await;
    let claimed = site.fetch_one().await;
    let mut finish = Finish::of(Verdict::Completed);
    finish.children = vec![site.ping("globex")];
    let refused = site.try_finish(&claimed, finish.clone()).await;
    assert!(matches!(refused, Err(QueueError::ForeignChild)), "{refused:?}");
    let mut finish = site.fan_out(&parent, 0);
    finish.group.as_mut().unwrap().continuation = site.ping("globex");
    let refused = site.try_finish(&claimed, finish).await;
    assert!(matches!(refused, Err(QueueError::ForeignChild)), "{refused:?}");
    let mut finish = Finish::of(Verdict::Completed);
    finish.children = vec![site.ping("acme"); Finish::MAX_CHILDREN + 1];
    let refused = site.try_finish(&claimed, finish).await;
    let too_many = Finish::MAX_CHILDREN + 1;
    let found = matches!(refused, Err(QueueError::TooManyChildren { count }) if count == too_many);
    assert!(found, "{refused:?}");
    assert_eq!((site.stats("globex").await.open(), site.stats("acme").await.active), (0, 1));
}
