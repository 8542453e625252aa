#![doc = include_str!("../README.md")]

mod action;
mod api;
mod assets;
mod chart;
mod charts;
mod contract;
mod frame;
mod live;
mod pages;
mod session;
mod sign_in;
mod wording;

use std::sync::Arc;

use axum::Router;
use axum::http::Extensions;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use tower_http::catch_panic::CatchPanicLayer;

pub use sign_in::OneTimeLink;

/// What all pages share.
#[derive(Clone)]
pub(crate) struct Dashboard(Arc<Parts>);

struct Parts {
    api: Router,
    carried: fn(&Extensions) -> Extensions,
    now: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    link: Option<Arc<OneTimeLink>>,
}

impl Dashboard {
    fn now(&self) -> DateTime<Utc> {
        (self.0.now)()
    }
}

/// The pages beside the API, on paths that it does not have. They ask `api`, and tell it what `carried` picks of the
/// request that they answer: its connection. `now` is the clock that times are said by. A `link` signs in the person
/// who opens it first.
pub fn beside(
    api: Router,
    carried: fn(&Extensions) -> Extensions,
    now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static,
    link: Option<Arc<OneTimeLink>>,
) -> Router {
    let dashboard = Dashboard(Arc::new(Parts { api: api.clone(), carried, now: Box::new(now), link }));
    api.merge(pages().with_state(dashboard))
}

fn pages() -> Router<Dashboard> {
    Router::new()
        .route("/overview", get(pages::overview::show))
        .route("/tenants", get(pages::tenants::list))
        .route("/workers", get(pages::workers::show))
        .route("/t/{tenant}", get(pages::tenant::show))
        .route("/t/{tenant}/jobs", get(pages::jobs::list))
        .route("/t/{tenant}/jobs/{job}", get(pages::jobs::show))
        .route("/t/{tenant}/batches", get(pages::batches::list))
        .route("/t/{tenant}/batches/{batch}", get(pages::batches::show))
        .route("/t/{tenant}/dead-letters", get(pages::dead_letters::list))
        .route("/t/{tenant}/quarantine", get(pages::dead_letters::quarantine))
        .route("/t/{tenant}/dead-letters/{job}", get(pages::dead_letters::show))
        .route("/t/{tenant}/kbs", get(pages::kbs::list))
        .route("/t/{tenant}/kbs/{kb}", get(pages::documents::list))
        .route("/t/{tenant}/kbs/{kb}/upload", post(pages::documents::upload))
        .route("/t/{tenant}/kbs/{kb}/documents/{document}", get(pages::document::show))
        .route("/t/{tenant}/kbs/{kb}/documents/{document}/chunks/{chunk}", get(pages::document::chunk))
        .route("/t/{tenant}/kbs/{kb}/graph", get(pages::graph::show))
        .route("/t/{tenant}/kbs/{kb}/schedules", get(pages::schedules::list).post(pages::schedules::put))
        .route("/audit", get(pages::audit::of_all))
        .route("/t/{tenant}/audit", get(pages::audit::of_tenant))
        .route("/t/{tenant}/usage", get(pages::usage::show))
        .route("/t/{tenant}/do/{action}", get(action::ask).post(action::act))
        .route("/do/{action}", get(action::ask_of_worker).post(action::act_on_worker))
        .layer(from_fn(live::follow))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-in/{code}", get(sign_in::open_link).post(sign_in::use_link))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/switch", post(sign_in::switch))
        .layer(from_fn(session::same_origin))
        .layer(from_fn(frame::page_headers))
        .layer(CatchPanicLayer::custom(frame::panicked))
        .route("/assets/{file}", get(assets::serve))
}
