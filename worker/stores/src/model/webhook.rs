use chrono::{DateTime, Utc};
use jobs::JobId;
use jobs::envelope::StampedJob;
use jobs::tenant::TenantId;
use jobs::webhook::{Event, EventId, EventType, WebhookId};

use super::OverQuota;

/// An endpoint to be stored.
#[derive(Debug)]
pub struct NewWebhook {
    /// Its id.
    pub id: WebhookId,
    /// Where it is.
    pub url: String,
    /// What people call it.
    pub description: String,
    /// What it is told of.
    pub events: Vec<EventType>,
    /// The secret that its deliveries are signed with, sealed.
    pub sealed_secret: String,
    /// A job of the endpoint, stamped by the person who makes it: each delivery verifies it again and stamps a job
    /// with the same authority.
    pub template: StampedJob,
    /// The creator, as the text of a [`jobs::tenant::Actor`].
    pub created_by: String,
}

/// An endpoint, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where it is.
    pub url: String,
    /// What people call it.
    pub description: String,
    /// What it is told of.
    pub events: Vec<EventType>,
    /// The creator, as the text of a [`jobs::tenant::Actor`].
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Incremented with each change.
    pub revision: u64,
    /// Until when deliveries are signed with the secret before the last rotation as well.
    pub previous_until: Option<DateTime<Utc>>,
    /// Since when it is disabled, and why.
    pub disabled: Option<(DateTime<Utc>, DisabledReason)>,
    /// Since when no attempt has succeeded; `None` when the last one did, or there was none.
    pub failing_since: Option<DateTime<Utc>>,
}

/// Why an endpoint is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// An administrator disabled it.
    Asked,
    /// It answered 410: it wants no more.
    Gone,
    /// No attempt succeeded for days.
    Failing,
    /// The installation does not have the key any more that its secret and its jobs depend on: rotate the secret.
    KeyGone,
}

impl DisabledReason {
    /// Every reason there is.
    pub const ALL: [Self; 4] = [Self::Asked, Self::Gone, Self::Failing, Self::KeyGone];

    /// Its name in tables and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Gone => "gone",
            Self::Failing => "failing",
            Self::KeyGone => "key_gone",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// The outcome of storing an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookMade {
    /// It was stored.
    Done(Webhook),
    /// The tenant may have no more; nothing was stored.
    OverQuota(OverQuota),
}

/// A change of an endpoint.
#[derive(Debug)]
pub enum WebhookEdit {
    /// Changes what is given.
    Details {
        /// Another URL.
        url: Option<String>,
        /// Another description.
        description: Option<String>,
        /// Other events.
        events: Option<Vec<EventType>>,
        /// Enables or disables it. What was not delivered when it is disabled is not delivered any more.
        enabled: Option<bool>,
    },
    /// Rotates the secret.
    Secret {
        /// The secret, sealed.
        sealed: String,
        /// Until when deliveries are signed with the present one as well; `None` for no longer.
        previous_until: Option<DateTime<Utc>>,
        /// The endpoint's job, stamped anew: with the secret, the keys that both depend on are the present ones.
        template: StampedJob,
    },
}

/// The outcome of a change of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookChange {
    /// Changed: the endpoint as it is now.
    Done(Webhook),
    /// There is no such endpoint.
    Unknown,
    /// Conflict: another caller changed it first.
    Stale,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is written down, and the queue does not have it yet.
    Pending,
    /// The queue has it: it is tried, and tried again.
    Queued,
    /// The endpoint took it.
    Delivered,
    /// It was given up.
    Failed,
    /// Its job was cancelled.
    Cancelled,
}

impl DeliveryState {
    /// Every state there is.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Queued, Self::Delivered, Self::Failed, Self::Cancelled];

    /// Its name in tables and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing more happens by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Failed | Self::Cancelled)
    }
}

/// One event for one endpoint, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// How far it is.
    pub state: DeliveryState,
    /// The job that delivers it, or did last.
    pub run_id: Option<JobId>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was tried last.
    pub last_at: Option<DateTime<Utc>>,
    /// The status of the last answer, if there was one.
    pub last_status: Option<u16>,
    /// Why the last attempt failed, or why there will be none: a stable code.
    pub last_error: Option<String>,
    /// The earliest time of the next attempt.
    pub next_at: Option<DateTime<Utc>>,
    /// When it was delivered or given up.
    pub ended_at: Option<DateTime<Utc>>,
}

/// One attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: u64,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it failed: a stable code, and a text for people.
    pub error: Option<(String, String)>,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterAttempt {
    /// The endpoint took it.
    Delivered,
    /// It is tried again, not before this time.
    Retry(DateTime<Utc>),
    /// That was the last attempt.
    GivenUp,
    /// The endpoint wants no more events: it is disabled.
    Gone,
}

/// What a delivery job needs to know.
#[derive(Debug, Clone)]
pub struct DeliveryToDo {
    /// Where it goes.
    pub url: String,
    /// Whether the endpoint is disabled.
    pub disabled: bool,
    /// The secrets to sign with, sealed: the present one, and the one before while it is used.
    pub sealed_secrets: Vec<String>,
    /// The event and how far it is.
    pub delivery: Delivery,
}

/// An endpoint for which something is pending. Not scoped to a tenant by its type, and grants no access: the relay has
/// to verify the template like any envelope.
#[derive(Debug, Clone)]
pub struct DueWebhook {
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Its id.
    pub id: WebhookId,
    /// A stamped job of the endpoint.
    pub template: String,
    /// How many of its deliveries may go to the queue now, besides those that a person asked for.
    pub room: u32,
}

/// A delivery that is pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingDelivery {
    /// The event.
    pub event_id: EventId,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// How often it was started before.
    pub runs: u64,
}
