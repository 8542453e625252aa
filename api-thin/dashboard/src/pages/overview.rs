//! The first page: for an operator the whole installation, for everybody else their tenant.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::{DateTime, Utc};

use super::tenants::Row;
use crate::Dashboard;
use crate::api::{Problem, segment};
use crate::chart::Chart;
use crate::charts::{self, Share};
use crate::contract::{Activity, ActivityOfType, InQueue, ListedTenant, Readiness, SkillPage, TenantPage};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording::{self, duration, number};

/// How many tenants each list of the overview shows.
const SHOWN: usize = 8;
/// A job that waits so long for a worker is worth a look.
const LONG_WAIT_S: i64 = 300;

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    queue: InQueue,
    completed: u64,
    busiest: Vec<Row>,
    needs: Vec<Need>,
    workers: u64,
    /// How long the job waits that waits longest.
    oldest: Option<String>,
    /// Accepted jobs that the queue lost, if that is known.
    lost: Option<u64>,
    /// What does not answer; empty when all do.
    away: String,
    charts: Vec<Chart>,
    timeline: Chart,
    shares: Vec<Share>,
    types: Vec<ActivityOfType>,
}

/// Something that a person should look at.
struct Need {
    tone: &'static str,
    text: String,
    href: String,
}

pub(crate) async fn show(
    State(dashboard): State<Dashboard>,
    visitor: Visitor,
) -> Result<Response, PageError> {
    if !visitor.me.operator {
        return home(&visitor);
    }
    let (busy, failed, oldest) = (list("waiting"), list("failed"), list("oldest"));
    let (busy, failed, oldest, skills, activity) = tokio::try_join!(
        visitor.api.get::<TenantPage>(&busy),
        visitor.api.get::<TenantPage>(&failed),
        visitor.api.get::<TenantPage>(&oldest),
        visitor.api.get::<SkillPage>("/skills?limit=1000"),
        visitor.api.get::<Activity>("/activity"),
    )?;
    let ready = visitor.api.ready().await;
    let now = dashboard.now();
    let mut needs = needs(&failed.tenants, &oldest.tenants, &skills, now);
    needs.splice(..0, of_servers(&ready));
    let workers = skills.skills.iter().map(|skill| skill.workers).max().unwrap_or_default();
    let row = |listed| Row::of(listed, "/overview", now);
    Ok(page(&Overview {
        frame: Frame::new(&visitor, "Overview", "overview"),
        queue: busy.in_queue.unwrap_or_default(),
        completed: activity.completed(),
        busiest: busy.tenants.into_iter().map(row).collect(),
        needs,
        workers,
        oldest: oldest_wait(&oldest.tenants, now),
        lost: ready.as_ref().ok().and_then(|ready| ready.details.accepted_without_job),
        away: ready.err().map(|problem| problem.detail).unwrap_or_default(),
        charts: charts::of_hour(&activity),
        timeline: charts::of_tenants(&activity),
        shares: charts::shares(&activity),
        types: activity.types.unwrap_or_default(),
    }))
}

fn list(order: &str) -> String {
    format!("/tenants?sort={order}&limit={SHOWN}")
}

/// Where a member begins.
fn home(visitor: &Visitor) -> Result<Response, PageError> {
    let memberships = visitor.me.memberships.first().map(|membership| &membership.tenant_id);
    let tenant = visitor.me.tenant_id.as_ref().or(memberships).ok_or_else(PageError::not_found)?;
    Ok(Redirect::to(&format!("/t/{}", segment(tenant))).into_response())
}

fn oldest_wait(oldest: &[ListedTenant], now: DateTime<Utc>) -> Option<String> {
    let waits = oldest.iter().filter_map(|listed| listed.queue.as_ref()?.oldest_at);
    waits.min().map(|at| duration(now - at))
}

/// What is wrong with the servers, and with what they hold.
fn of_servers(ready: &Result<Readiness, Problem>) -> Option<Need> {
    let text = match ready {
        Err(problem) => problem.detail.clone(),
        Ok(Readiness { details }) => match details.accepted_without_job {
            None | Some(0) => return None,
            Some(lost) => {
                format!("The queue lost {} accepted jobs: workers enqueue them again", number(lost))
            }
        },
    };
    Some(Need { tone: "bad", text, href: "/overview".to_owned() })
}

/// What is wrong with workers and jobs, worst first.
fn needs(
    failed: &[ListedTenant],
    oldest: &[ListedTenant],
    skills: &SkillPage,
    now: DateTime<Utc>,
) -> Vec<Need> {
    let mut needs = Vec::new();
    for skill in skills.skills.iter().filter(|skill| skill.workers == 0 && skill.ready_tenants > 0) {
        let tenants = number(skill.ready_tenants);
        let text = format!("No worker runs {}: jobs of {tenants} tenants wait for one", skill.name);
        needs.push(Need { tone: "bad", text, href: "/workers".to_owned() });
    }
    for listed in failed {
        let (name, path) = (&listed.tenant.name, segment(&listed.tenant.id));
        let Some(queue) = &listed.queue else { continue };
        if queue.quarantined > 0 {
            let text = format!("{name}: {} in quarantine", number(queue.quarantined));
            needs.push(Need { tone: "bad", text, href: format!("/t/{path}/quarantine") });
        }
        if queue.dead_letters > 0 {
            let text = format!("{name}: {} failed for good", number(queue.dead_letters));
            needs.push(Need { tone: "bad", text, href: format!("/t/{path}/dead-letters") });
        }
    }
    for listed in oldest {
        let Some((queue, at)) = listed.queue.as_ref().and_then(|queue| Some((queue, queue.oldest_at?)))
        else {
            continue;
        };
        if (now - at).num_seconds() >= LONG_WAIT_S {
            let (said, _) = super::tenants::in_words(&listed.tenant.status, queue, now);
            let text =
                format!("{}: its oldest job waits for {} ({said})", listed.tenant.name, duration(now - at));
            needs.push(Need { tone: "warn", text, href: format!("/t/{}", segment(&listed.tenant.id)) });
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ReadinessDetails;

    #[test]
    fn lost_work_and_servers_that_are_away_need_a_person() {
        let ready =
            |accepted_without_job| Ok(Readiness { details: ReadinessDetails { accepted_without_job } });
        assert!(of_servers(&ready(Some(0))).is_none() && of_servers(&ready(None)).is_none());
        assert!(of_servers(&ready(Some(1_200))).unwrap().text.contains("1 200 accepted jobs"));
        let away = Problem {
            status: 503,
            title: String::new(),
            detail: "no answer from: queue".into(),
            code: "unavailable".into(),
        };
        assert_eq!(of_servers(&Err(away)).unwrap().text, "no answer from: queue");
    }
}
