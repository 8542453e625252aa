//! Events: what happens to a job, a document, a batch, in a knowledge base or in the tenant, as a stream that a browser
//! can follow and resume, or as one answer for those who ask now and then.

use ::jobs::DocumentId;
use ::jobs::tenant::KbId;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stores::model::{Event, EventId};
use stores::{Follow, Listener, ListenerLimits, Missed, TenantStores, Told, Topic};

use super::batches::{self, BatchReach};
use super::documents::document_view;
use super::jobs::{self, check_reach, job_view};
use super::parameters::parameter;
use crate::event_stream::{Check, Snapshot, Stream};
use crate::problem::{Code, Problem};
use crate::request::{
    AnyMember, AnyReach, Caller, KbCaller, LastEvent, OneKb, Query, Reach, ReadDocuments, RequiredPermission,
    Standing, WantsEvents,
};
use crate::state::ApiState;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Since {
    /// The id of the event that was seen last, for those who cannot send `Last-Event-ID`.
    after: Option<String>,
}

/// What a request for events says besides its path.
pub(super) type Asked = (LastEvent, WantsEvents, Query<Since>);

/// `GET …/jobs/{job}/events`
pub(super) async fn of_job(
    State(app): State<ApiState>,
    who: Caller<AnyMember>,
    standing: Standing<AnyMember>,
    Path(shown): Path<jobs::Shown>,
    last: LastEvent,
    wants: WantsEvents,
    since: Query<Since>,
) -> Result<Events, Problem> {
    let id = shown.id()?;
    check_reach(&app, &who, id).await?;
    // Also a job that does not exist is answered as such before a stream begins.
    job_view(&app, &who, id).await?;
    let place = Place { topic: Topic::Job(id), only_kb: who.only_kb.clone(), stores: who.stores.clone() };
    let who = std::sync::Arc::new(who);
    let snapshot: Snapshot = Box::new({
        let app = app.clone();
        move |_| {
            let (app, who) = (app.clone(), who.clone());
            async move { shown_as(job_view(&app, &who, id).await?) }.boxed()
        }
    });
    place.answer(&app, (last, wants, since), (Some(snapshot), standing)).await
}

/// `GET …/kbs/{kb}/documents/{document}/events`
pub(super) async fn of_document(
    State(app): State<ApiState>,
    who: KbCaller<ReadDocuments>,
    standing: Standing<ReadDocuments, OneKb>,
    Path(shown): Path<ShownDocument>,
    last: LastEvent,
    wants: WantsEvents,
    since: Query<Since>,
) -> Result<Events, Problem> {
    let id: DocumentId = shown.document.parse().map_err(|_| Problem::not_found())?;
    let (stores, kb) = (who.stores.clone(), who.kb.id.clone());
    document_view(&stores, &kb, &id).await?;
    let topic = Topic::Document(kb.clone(), id.clone());
    let place = Place { topic, only_kb: who.only_kb.clone(), stores: stores.clone() };
    let snapshot: Snapshot = Box::new(move |_| {
        let (stores, kb, id) = (stores.clone(), kb.clone(), id.clone());
        async move { shown_as(document_view(&stores, &kb, &id).await?) }.boxed()
    });
    place.answer(&app, (last, wants, since), (Some(snapshot), standing)).await
}

/// `GET …/batches/{batch}/events`
pub(super) async fn of_batch(
    State(app): State<ApiState>,
    who: Caller<ReadDocuments>,
    standing: Standing<ReadDocuments>,
    Path(shown): Path<batches::Shown>,
    last: LastEvent,
    wants: WantsEvents,
    since: Query<Since>,
) -> Result<Events, Problem> {
    let reach = BatchReach::of(&who, shown.id()?);
    reach.report(&app).await?;
    let (topic, stores) = (Topic::Batch(reach.id), reach.stores.clone());
    let place = Place { topic, only_kb: who.only_kb.clone(), stores };
    let snapshot: Snapshot = Box::new({
        let app = app.clone();
        move |seen| {
            let (app, reach) = (app.clone(), reach.clone());
            async move { batch_report(&app, reach, seen).await }.boxed()
        }
    });
    place.answer(&app, (last, wants, since), (Some(snapshot), standing)).await
}

/// `GET …/kbs/{kb}/events`
pub(super) async fn of_kb(
    State(app): State<ApiState>,
    who: KbCaller<ReadDocuments>,
    standing: Standing<ReadDocuments, OneKb>,
    last: LastEvent,
    wants: WantsEvents,
    since: Query<Since>,
) -> Result<Events, Problem> {
    let topic = Topic::Kb(who.kb.id.clone());
    let place = Place { topic, only_kb: who.only_kb.clone(), stores: who.stores.clone() };
    place.answer(&app, (last, wants, since), (None, standing)).await
}

/// `GET …/events`
pub(super) async fn of_tenant(
    State(app): State<ApiState>,
    who: Caller<ReadDocuments>,
    standing: Standing<ReadDocuments, AnyReach>,
    last: LastEvent,
    wants: WantsEvents,
    since: Query<Since>,
) -> Result<Events, Problem> {
    let place = Place { topic: Topic::Tenant, only_kb: who.only_kb.clone(), stores: who.stores.clone() };
    place.answer(&app, (last, wants, since), (None, standing)).await
}

#[derive(Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct ShownDocument {
    #[schemars(with = "DocumentId")]
    document: String,
}

fn shown_as(view: impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(view).map_err(|error| Problem::internal(&error))
}

/// The report of a batch as of an event: listeners who saw the same event share one read of it.
async fn batch_report(app: &ApiState, reach: BatchReach, seen: Option<EventId>) -> Result<Value, Problem> {
    let read = async {
        let report = reach.report(app).await?;
        shown_as(report)
    };
    let Some(seen) = seen else { return read.await };
    let key = (reach.tenant.clone(), reach.id, reach.only_kb.clone(), seen);
    let shared = app.batch_reports().try_get_with(key, read).await;
    // Each listener that shared the failure has one of its own.
    shared.map_err(|problem| Problem::new(problem.code(), "the batch cannot be read now"))
}

/// What a listener follows.
struct Place {
    topic: Topic,
    only_kb: Option<KbId>,
    stores: TenantStores,
}

impl Place {
    /// Begins to listen, and answers with a stream or with what there is.
    async fn answer<P: RequiredPermission, R: Reach>(
        self,
        app: &ApiState,
        (last, wants, Query(since)): Asked,
        (snapshot, standing): (Option<Snapshot>, Standing<P, R>),
    ) -> Result<Events, Problem> {
        let after: Option<EventId> = parameter("after", since.after.as_deref())?;
        let limits = app.request_limits();
        let limits = ListenerLimits { total: limits.listeners, per_tenant: limits.tenant_listeners };
        let changes_as_whole = matches!(self.topic, Topic::Batch(_));
        let follow = Follow { topic: self.topic, only_kb: self.only_kb, after: last.0.or(after), limits };
        let resumes = follow.after.is_some();
        let listener = self.stores.live().follow(follow).await.map_err(refused)?;
        if !wants.0 {
            return Ok(Events::Page(EventPage::of(listener)));
        }
        let standing = std::sync::Arc::new(standing);
        let checked = app.clone();
        let check: Check = Box::new(move || {
            let (app, standing) = (checked.clone(), standing.clone());
            async move { standing.check(&app).await }.boxed()
        });
        let stream = Stream { listener, snapshot, check, closing: app.closing(), changes_as_whole, resumes };
        Ok(Events::Stream(stream.into_response()))
    }
}

fn refused(missed: Missed) -> Problem {
    let detail = format!("{missed}: end some that you no longer need, or try again later");
    match missed {
        Missed::TenantFull(_) => Problem::new(Code::ListenersLimitReached, detail).retry_after_s(5),
        Missed::Full(_) => Problem::new(Code::Busy, detail).retry_after_s(5),
        Missed::Store(error) => error.into(),
    }
}

/// Events, in the form that was asked for.
pub(crate) enum Events {
    /// As a stream that does not end by itself.
    Stream(Response),
    /// Those that there are.
    Page(EventPage),
}

impl IntoResponse for Events {
    fn into_response(self) -> Response {
        match self {
            Self::Stream(response) => response,
            Self::Page(page) => Json(page).into_response(),
        }
    }
}

/// Events after the one that was seen last.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EventPage {
    /// In their order. None for a request that does not say what it has seen.
    events: Vec<NumberedEvent>,
    /// What to send as `after` next.
    last_id: String,
    /// Whether events are missing: read again what you follow.
    reset: bool,
}

/// An event with its id.
#[derive(Debug, Serialize, JsonSchema)]
struct NumberedEvent {
    id: String,
    #[serde(flatten)]
    event: Event,
}

impl EventPage {
    fn of(listener: Listener) -> Self {
        let (last_id, reset) = (listener.start.to_string(), listener.has_gap);
        let numbered = |told: &Told| NumberedEvent { id: told.id.to_string(), event: told.event.clone() };
        let events = listener.backlog().iter().map(|told| numbered(told)).collect();
        Self { events, last_id, reset }
    }
}
