//! Which job types workers run, and which none does.

use askama::Template;
use axum::response::Response;

use crate::contract::{Lane, LanePage};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording;

#[derive(Template)]
#[template(path = "workers.html")]
struct Workers {
    frame: Frame,
    rows: Vec<Lane>,
    /// Types with work that no worker runs.
    without_worker: usize,
}

pub(crate) async fn show(visitor: Visitor) -> Result<Response, PageError> {
    let found: LanePage = visitor.api.get("/lanes?limit=1000").await?;
    let frame = Frame::new(&visitor, "Workers", "workers");
    let without_worker = found.lanes.iter().filter(|lane| lacks_worker(lane)).count();
    Ok(page(&Workers { frame, rows: found.lanes, without_worker }))
}

/// Whether jobs of the type wait for a worker that runs them.
fn lacks_worker(lane: &Lane) -> bool {
    lane.workers == 0 && lane.ready_tenants > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_without_work_needs_no_worker() {
        let lane =
            |workers, ready_tenants| Lane { name: "a@1".into(), queue: "q".into(), workers, ready_tenants };
        assert!(lacks_worker(&lane(0, 3)));
        assert!(!lacks_worker(&lane(0, 0)) && !lacks_worker(&lane(2, 3)));
    }
}
