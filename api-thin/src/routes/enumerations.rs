//! Texts of which there are only a few. The description of the API lists them, so that a generated client has them as
//! types; each list is taken from the type that has the names, where there is one.

use std::borrow::Cow;

use jobs::queue::{Flow, JobState as State};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use stores::model::{DeliveryState, DisabledReason};

macro_rules! enumerations {
    ($(#[doc = $says:literal] $name:ident => $names:expr;)+) => {$(
        #[doc = $says]
        pub(super) enum $name {}

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let names: Vec<&str> = $names.into();
                json_schema!({ "description": $says.trim_ascii(), "type": "string", "enum": names })
            }
        }
    )+};
}

enumerations! {
    /// Where a job is, in the words of the Open Job Spec.
    JobState => State::ALL.map(State::as_str);
    /// The states of a job that will not run by itself.
    KeptJobState => [State::Discarded, State::Quarantined].map(State::as_str);
    /// Where a job is that a document waits for; `unknown` when the queue does not answer, or does not have it.
    AwaitedJobState => [State::ALL.map(State::as_str).as_slice(), &["unknown"]].concat();
    /// While interactive jobs of a tenant wait, bulk gets one turn in five.
    Lane => jobs::Lane::ALL.map(jobs::Lane::as_str);
    /// Which of a tenant's waiting jobs of a lane goes first.
    Priority => jobs::Priority::ALL.map(jobs::Priority::as_str);
    /// `paused`: nothing starts; `draining`: what is there runs, new jobs are refused.
    FlowState => Flow::ALL.map(Flow::as_str);
    /// Whether a tenant's jobs may start.
    TenantQueueState => ["idle", "ready", "capped", "limited", "paused", "suspended"];
    /// An order of tenants, with a `-` in front for the other direction, or one of the queue, most first.
    TenantOrder => [
        "id", "-id", "name", "-name", "plan", "-plan", "created_at", "-created_at",
        "waiting", "active", "oldest", "failed", "worker_time",
    ];
    /// What the operator may make of a tenant.
    ChosenTenantStatus => ["active", "suspended"];
    /// How far a delivery is.
    WebhookDeliveryState => DeliveryState::ALL.map(DeliveryState::as_str);
    /// Why an endpoint is told of nothing.
    WebhookDisabledReason => DisabledReason::ALL.map(DisabledReason::as_str);
    /// How the access token is sent.
    TokenType => ["Bearer"];
    /// The process is alive.
    HealthStatus => ["ok"];
    /// The process can do its work.
    ReadyStatus => ["ready"];
}
