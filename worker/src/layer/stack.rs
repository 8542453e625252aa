use std::sync::Arc;

use jobs::JobError;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt as _, service_fn};

use super::attempt;
use super::request::JobRequest;

/// What a layer wraps: the layers behind it, and the handler at the end.
pub type JobService = BoxCloneSyncService<JobRequest, (), JobError>;

type Wrap = Arc<dyn Fn(JobService) -> JobService + Send + Sync>;

/// The layers around every handler, outermost first.
#[derive(Clone, Default)]
pub(crate) struct Stack {
    layers: Vec<Wrap>,
}

impl Stack {
    /// Adds a layer inside those that are there.
    pub(crate) fn push<L>(&mut self, layer: L)
    where
        L: Layer<JobService> + Send + Sync + 'static,
        L::Service: Service<JobRequest, Response = ()> + Clone + Send + Sync + 'static,
        <L::Service as Service<JobRequest>>::Error: Into<JobError>,
        <L::Service as Service<JobRequest>>::Future: Send + 'static,
    {
        let wrap = move |inner| BoxCloneSyncService::new(layer.layer(inner).map_err(Into::into));
        self.layers.push(Arc::new(wrap));
    }

    /// All layers, with the handler in the middle.
    pub(crate) fn service(&self) -> JobService {
        let handler = BoxCloneSyncService::new(service_fn(attempt::handle));
        self.layers.iter().rev().fold(handler, |inner, wrap| wrap(inner))
    }
}
