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
}

pub(crate) async fn show(visitor: Visitor) -> Result<Response, PageError> {
    let found: LanePage = visitor.api.get("/lanes?limit=1000").await?;
    let frame = Frame::new(&visitor, "Workers", "workers");
    Ok(page(&Workers { frame, rows: found.lanes }))
}
