use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::Job;
use crate::tenant::Permission;
use crate::webhook::{EventId, WebhookId};

/// Sends one event to one endpoint of the tenant.
///
/// An endpoint that is gone or disabled, and an event that was delivered, is success. The job is that of the endpoint
/// ([`crate::tenant::Actor::Webhook`]), so it outlives the person who made the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliverWebhook {
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The event.
    pub event_id: EventId,
}

impl DeliverWebhook {
    /// How long it waits after each failed attempt: the schedule that Standard Webhooks recommends. The queue adds some
    /// jitter.
    pub const RETRIES: [Duration; 9] = [
        Duration::from_secs(5),
        Duration::from_secs(5 * 60),
        Duration::from_secs(30 * 60),
        Duration::from_secs(2 * 3_600),
        Duration::from_secs(5 * 3_600),
        Duration::from_secs(10 * 3_600),
        Duration::from_secs(14 * 3_600),
        Duration::from_secs(20 * 3_600),
        Duration::from_secs(24 * 3_600),
    ];

    /// How long to wait after failed attempt number `attempt` (1 for the first); `None` when that was the last one.
    #[must_use]
    pub fn wait(attempt: u32) -> Option<Duration> {
        let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        Self::RETRIES.get(at).copied()
    }
}

impl Job for DeliverWebhook {
    const TYPE: &'static str = "webhook.deliver";
    const QUEUE: &'static str = "webhooks";
    const PERMISSION: Permission = Permission::JobManage;
    const NEEDS_KB: bool = false;
    const MAX_ATTEMPTS: u32 = 10;
    // More than a request may take, which the handler bounds itself so that it can write down why.
    const TIMEOUT: Duration = Duration::from_secs(30);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attempt_but_the_last_is_followed_by_a_wait() {
        assert_eq!(DeliverWebhook::RETRIES.len() + 1, DeliverWebhook::MAX_ATTEMPTS as usize);
        assert_eq!(DeliverWebhook::wait(1), Some(Duration::from_secs(5)));
        assert_eq!(DeliverWebhook::wait(9), Some(Duration::from_secs(86_400)));
        assert_eq!(DeliverWebhook::wait(10), None);
    }
}
