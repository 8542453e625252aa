//! Which job types and queues there are: the product's own, and those of every lane that the queue has seen. A type
//! that users of the library add is known as soon as a worker declares it or a job of it is enqueued.

use std::collections::BTreeSet;

use jobs::JobKind;
use jobs::queue::LaneStatus;

use crate::problem::Problem;
use crate::server::ApiState;

/// What a name is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameOf {
    /// A job type.
    Type,
    /// An Open Job Spec queue.
    Queue,
}

impl NameOf {
    fn of_product(self, kind: JobKind) -> &'static str {
        match self {
            Self::Type => kind.as_str(),
            Self::Queue => kind.policy().queue,
        }
    }

    fn of_lane(self, lane: LaneStatus) -> String {
        match self {
            Self::Type => lane.lane.rsplit_once('@').map_or(lane.lane.clone(), |(kind, _)| kind.to_owned()),
            Self::Queue => lane.queue,
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Type => "job type",
            Self::Queue => "queue",
        }
    }

    /// The refusal of a name that nothing has; `None` when all of `names` are known.
    ///
    /// # Errors
    /// When the queue does not answer. It is asked only about names that are not the product's.
    pub(crate) async fn unknown<'a>(
        self,
        app: &ApiState,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<String>, Problem> {
        let mut known: BTreeSet<String> =
            JobKind::ALL.iter().map(|kind| self.of_product(*kind).to_owned()).collect();
        let strange: Vec<&str> = names.into_iter().filter(|name| !known.contains(*name)).collect();
        if strange.is_empty() {
            return Ok(None);
        }
        known.extend(app.queue().lanes().await?.into_iter().map(|lane| self.of_lane(lane)));
        if strange.iter().all(|name| known.contains(*name)) {
            return Ok(None);
        }
        let listed: Vec<_> = known.into_iter().filter(|name| !name.is_empty()).collect();
        Ok(Some(format!("there is no such {}: expected one of {}", self.noun(), listed.join(", "))))
    }
}
