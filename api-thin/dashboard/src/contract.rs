//! The answers of the API, as far as pages show them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

pub(crate) type Time = DateTime<Utc>;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Me {
    pub(crate) actor: Value,
    pub(crate) operator: bool,
    pub(crate) tenant_id: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) permissions: Vec<String>,
    pub(crate) memberships: Vec<Membership>,
}

impl Me {
    fn may(&self, permission: &str) -> bool {
        self.permissions.iter().any(|known| known == permission)
    }

    /// May pause, resume, drain, cancel and retry.
    pub(crate) fn steers_jobs(&self) -> bool {
        self.operator || self.manages_jobs()
    }

    /// May read what a job says, throw jobs away, and keep schedules. The operator's key may not.
    pub(crate) fn manages_jobs(&self) -> bool {
        self.may("job:manage")
    }

    /// May change the tenant.
    pub(crate) fn manages_tenant(&self) -> bool {
        self.operator || self.may("tenant:manage")
    }

    /// Whether documents are shown: the operator's key does not read a tenant's data, nor does a `VIEWER_READONLY`.
    pub(crate) fn reads_documents(&self) -> bool {
        self.may("document:read")
    }

    pub(crate) fn writes_documents(&self) -> bool {
        self.may("document:create")
    }

    /// The name to show.
    pub(crate) fn name(&self) -> String {
        match self.actor.as_str() {
            Some("operator") => "Operator".to_owned(),
            Some(key) if key.starts_with("api_key:") => {
                format!("API key {}…", key.chars().skip(8).take(6).collect::<String>())
            }
            Some(actor) => actor.rsplit_once("local:").map_or(actor, |(_, name)| name).to_owned(),
            None => self.actor.to_string(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Membership {
    pub(crate) tenant_id: String,
    pub(crate) tenant_name: String,
    pub(crate) role: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) plan: String,
    pub(crate) status: String,
    pub(crate) created_at: Time,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TenantPage {
    pub(crate) tenants: Vec<ListedTenant>,
    pub(crate) in_queue: Option<InQueue>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ListedTenant {
    #[serde(flatten)]
    pub(crate) tenant: Tenant,
    pub(crate) queue: Option<TenantQueue>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct TenantQueue {
    pub(crate) state: String,
    pub(crate) since: Option<Time>,
    pub(crate) draining: bool,
    pub(crate) active: u64,
    pub(crate) cap: Option<u64>,
    pub(crate) weight: u64,
    pub(crate) limited_until: Option<Time>,
    pub(crate) waiting: u64,
    pub(crate) oldest_at: Option<Time>,
    pub(crate) dead_letters: u64,
    pub(crate) quarantined: u64,
    pub(crate) worker_ms: u64,
    pub(crate) worker_share: f64,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct InQueue {
    pub(crate) tenants: u64,
    pub(crate) active: u64,
    pub(crate) available: u64,
    pub(crate) scheduled: u64,
    pub(crate) retryable: u64,
    pub(crate) parked: u64,
    pub(crate) dead_letters: u64,
    pub(crate) quarantined: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Activity {
    pub(crate) minutes: Vec<ActivityMinute>,
    pub(crate) types: Option<Vec<ActivityOfType>>,
    pub(crate) tenants: Option<Vec<ActivityOfTenant>>,
    pub(crate) other_tenants: Option<ActivityOfOthers>,
}

impl Activity {
    /// The tenants by name, and the worker time of all others.
    pub(crate) fn tenants(&self) -> (&[ActivityOfTenant], &[u64]) {
        let others = self.other_tenants.as_ref().map_or(&[][..], |others| &others.run_ms);
        (self.tenants.as_deref().unwrap_or_default(), others)
    }

    /// Jobs that were completed in the hour.
    pub(crate) fn completed(&self) -> u64 {
        self.minutes.iter().map(|minute| minute.completed).sum()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct ActivityMinute {
    pub(crate) at: Time,
    pub(crate) is_counted: bool,
    pub(crate) completed: u64,
    pub(crate) retried: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) mean_wait_ms: Option<u64>,
    pub(crate) run_ms: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ActivityOfType {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) started: u64,
    pub(crate) completed: u64,
    pub(crate) retried: u64,
    pub(crate) failed: u64,
    pub(crate) mean_wait_ms: Option<u64>,
    pub(crate) run_ms: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ActivityOfTenant {
    pub(crate) tenant: String,
    pub(crate) weight: u64,
    pub(crate) run_ms: Vec<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ActivityOfOthers {
    pub(crate) run_ms: Vec<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TenantLimits {
    pub(crate) limits: BTreeMap<String, Value>,
    pub(crate) usage: QueueUse,
}

impl TenantLimits {
    pub(crate) fn number(&self, limit: &str) -> Option<u64> {
        self.limits.get(limit).and_then(Value::as_u64)
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct QueueUse {
    pub(crate) active: u64,
    pub(crate) backlog_jobs: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Usage {
    pub(crate) plan: String,
    pub(crate) derived_bytes: u64,
    pub(crate) quotas: BTreeMap<String, Quota>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Quota {
    pub(crate) current: u64,
    pub(crate) maximum: Option<u64>,
    pub(crate) unit: String,
    pub(crate) resets_at: Option<Time>,
}

/// That queue and catalog answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Readiness {
    pub(crate) details: ReadinessDetails,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ReadinessDetails {
    /// Accepted jobs that the queue lost; `None` when it is not known.
    pub(crate) accepted_without_job: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct Counts {
    pub(crate) scheduled: u64,
    pub(crate) available: u64,
    pub(crate) active: u64,
    pub(crate) retryable: u64,
    pub(crate) parked: u64,
    pub(crate) discarded: u64,
    pub(crate) quarantined: u64,
}

impl Counts {
    pub(crate) fn waiting(&self) -> u64 {
        self.scheduled + self.available + self.retryable + self.parked
    }

    /// Each state with its number, in the order in which a job passes them.
    pub(crate) fn by_state(&self) -> [(&'static str, u64); 7] {
        [
            ("scheduled", self.scheduled),
            ("available", self.available),
            ("active", self.active),
            ("retryable", self.retryable),
            ("parked", self.parked),
            ("discarded", self.discarded),
            ("quarantined", self.quarantined),
        ]
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct Totals {
    pub(crate) completed: u64,
    pub(crate) cancelled: u64,
    pub(crate) discarded: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct JobPage {
    pub(crate) counts: Option<Counts>,
    pub(crate) totals: Option<Totals>,
    #[serde(default)]
    pub(crate) waiting_for_a_worker: BTreeMap<String, u64>,
    pub(crate) jobs: Vec<JobRow>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct JobRow {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) queue: String,
    pub(crate) state: String,
    pub(crate) attempt: u32,
    pub(crate) lane: String,
    pub(crate) priority: String,
    pub(crate) created_at: Time,
    pub(crate) kb_id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Fault {
    pub(crate) code: String,
    pub(crate) detail: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) queue: Option<String>,
    pub(crate) lane: Option<String>,
    pub(crate) kb_id: Option<String>,
    pub(crate) batch_id: Option<String>,
    pub(crate) parent: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) state: String,
    pub(crate) attempt: u32,
    pub(crate) waits: u32,
    pub(crate) created_at: Option<Time>,
    pub(crate) scheduled_at: Option<Time>,
    pub(crate) started_at: Option<Time>,
    pub(crate) finished_at: Option<Time>,
    pub(crate) error: Option<Fault>,
    pub(crate) note: Option<Fault>,
    pub(crate) redriven: Option<Redriven>,
    pub(crate) waits_for: Vec<Wait>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Children {
    pub(crate) jobs: Vec<Child>,
    pub(crate) complete: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Child {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) created_at: Time,
    pub(crate) finished_at: Option<Time>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Redriven {
    pub(crate) times: u64,
    pub(crate) last_at: Time,
    pub(crate) last_by: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Wait {
    pub(crate) code: String,
    pub(crate) text: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct KeptPage {
    pub(crate) jobs: Vec<KeptRow>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct KeptRow {
    pub(crate) id: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) since: Time,
    pub(crate) error: Fault,
    pub(crate) kb_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) since: Option<Time>,
    pub(crate) attempts: u32,
    pub(crate) deaths: u32,
    pub(crate) interruptions: u32,
    pub(crate) error: Option<Fault>,
    pub(crate) kb_id: Option<String>,
    pub(crate) job: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct KbPage {
    pub(crate) kbs: Vec<Kb>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Kb {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) documents: BTreeMap<String, u64>,
}

impl Kb {
    pub(crate) fn documents(&self, status: &str) -> u64 {
        self.documents.get(status).copied().unwrap_or_default()
    }

    pub(crate) fn total(&self) -> u64 {
        self.documents.values().sum()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct DocumentPage {
    pub(crate) documents: Vec<Document>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) revision: u64,
    pub(crate) served_revision: Option<u64>,
    pub(crate) status: String,
    pub(crate) error: Option<Fault>,
    pub(crate) media_type: String,
    pub(crate) size_bytes: u64,
    pub(crate) counts: DocumentCounts,
    pub(crate) chunks_failed: u64,
    /// Not in lists.
    pub(crate) failed_chunks: Vec<FailedChunk>,
    pub(crate) records_dropped: u64,
    pub(crate) job_id: String,
    pub(crate) batch_id: Option<String>,
    /// Not in lists, and `None` when it has ended.
    pub(crate) stage: Option<DocumentStage>,
    /// The same.
    pub(crate) waits_for: Option<AwaitedJob>,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

/// A chunk that gave nothing.
#[derive(Debug, Deserialize)]
pub(crate) struct FailedChunk {
    pub(crate) chunk: u64,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) retryable: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AwaitedJob {
    pub(crate) job_id: String,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) state: String,
    pub(crate) attempts: u64,
    pub(crate) due_at: Option<Time>,
    pub(crate) error: Option<Fault>,
    pub(crate) reasons: Vec<Wait>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DocumentStage {
    pub(crate) name: String,
    pub(crate) done: u64,
    pub(crate) total: u64,
}

impl DocumentStage {
    /// The step in words, and which of the three it is.
    pub(crate) fn step(&self) -> &'static str {
        match self.name.as_str() {
            "waiting" => "waits for a worker",
            "reading" => "step 1 of 3: reading",
            "extracting" => "step 2 of 3: extracting",
            "building" => "step 3 of 3: building the graph",
            _ => "under way",
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChunkPage {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Chunk {
    pub(crate) id: String,
    /// From 0.
    pub(crate) index: u32,
    pub(crate) tokens: u32,
    pub(crate) text: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ChunkWithMentions {
    #[serde(flatten)]
    pub(crate) chunk: Chunk,
    pub(crate) entities: Vec<MentionedEntity>,
    pub(crate) relations: Vec<MentionedRelation>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MentionedEntity {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) description: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MentionedRelation {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) keywords: Vec<String>,
    pub(crate) description: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct DocumentCounts {
    #[serde(default)]
    pub(crate) chunks: u64,
    #[serde(default)]
    pub(crate) entities: u64,
    #[serde(default)]
    pub(crate) relations: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GraphPage {
    pub(crate) counts: DocumentCounts,
    pub(crate) entities: Vec<Entity>,
    pub(crate) relations: Vec<Relation>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Entity {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Descriptions joined by `<SEP>`.
    pub(crate) description: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct EntityWithSources {
    #[serde(flatten)]
    pub(crate) entity: Entity,
    pub(crate) sources: Vec<MentionSource>,
    pub(crate) next: Option<String>,
}

/// A chunk that mentions an entity.
#[derive(Debug, Deserialize)]
pub(crate) struct MentionSource {
    pub(crate) chunk_index: u32,
    pub(crate) document_id: String,
    pub(crate) document_name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Relation {
    pub(crate) source: String,
    pub(crate) target: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SchedulePage {
    pub(crate) schedules: Vec<Schedule>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Schedule {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) cron: String,
    pub(crate) time_zone: String,
    pub(crate) next_fire_at: Time,
    pub(crate) last_fire_at: Option<Time>,
    pub(crate) paused: bool,
    pub(crate) created_by: String,
    pub(crate) blocked: Option<Blocked>,
    pub(crate) last_skipped: Option<Skipped>,
}

/// What keeps a schedule from firing.
#[derive(Debug, Deserialize)]
pub(crate) struct Blocked {
    pub(crate) detail: String,
}

/// A time at which a schedule did not fire.
#[derive(Debug, Deserialize)]
pub(crate) struct Skipped {
    pub(crate) at: Time,
    pub(crate) detail: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SkillPage {
    pub(crate) skills: Vec<Skill>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Skill {
    #[serde(rename = "skill")]
    pub(crate) name: String,
    pub(crate) queue: String,
    pub(crate) workers: u64,
    pub(crate) ready_tenants: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct WorkerPage {
    pub(crate) workers: Vec<Worker>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Worker {
    pub(crate) id: String,
    pub(crate) host: Option<String>,
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) started_at: Time,
    pub(crate) slots: BTreeMap<String, WorkerSlots>,
    pub(crate) not_fetching: Option<NotFetching>,
    /// Whether it does what it was told last.
    pub(crate) applied: bool,
}

impl Worker {
    /// The name that a person knows it by.
    pub(crate) fn name(&self) -> String {
        self.host
            .as_ref()
            .map_or_else(|| format!("process {}", self.pid), |host| format!("{host}, {}", self.pid))
    }

    /// Jobs that it holds, in all of its slots.
    pub(crate) fn in_flight(&self) -> u64 {
        self.slots.values().map(|slots| slots.in_flight).sum()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct WorkerSlots {
    pub(crate) slots: u64,
    pub(crate) in_flight: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NotFetching {
    pub(crate) since: Time,
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AuditPage {
    pub(crate) entries: Vec<AuditEntry>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AuditEntry {
    /// `None`: all tenants.
    pub(crate) tenant: Option<String>,
    pub(crate) at: Time,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) target: BTreeMap<String, String>,
    pub(crate) reason: Option<String>,
    pub(crate) request_id: String,
    /// `None`: the client left before there was an answer.
    pub(crate) status: Option<u16>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BatchPage {
    pub(crate) batches: Vec<Batch>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Batch {
    pub(crate) id: String,
    pub(crate) kb_ids: Vec<String>,
    pub(crate) state: String,
    pub(crate) counts: BatchCounts,
    pub(crate) progress: BatchProgress,
    pub(crate) created_at: Option<Time>,
}

impl Batch {
    /// How its state is coloured.
    pub(crate) fn tone(&self) -> &'static str {
        match self.state.as_str() {
            "active" => "busy",
            "done" if self.counts.failed > 0 => "bad",
            "done" => "good",
            _ => "calm",
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct BatchCounts {
    pending: u64,
    processing: u64,
    processed: u64,
    pub(crate) failed: u64,
    replaced: u64,
    deleted: u64,
}

impl BatchCounts {
    /// Each status with its name.
    pub(crate) fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("pending", self.pending),
            ("processing", self.processing),
            ("processed", self.processed),
            ("failed", self.failed),
            ("replaced", self.replaced),
            ("deleted", self.deleted),
        ]
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct BatchProgress {
    pub(crate) done: u64,
    pub(crate) total: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BatchReport {
    #[serde(flatten)]
    pub(crate) batch: Batch,
    pub(crate) estimate: Option<BatchEstimate>,
    pub(crate) failures: Vec<BatchFailure>,
    pub(crate) more_failures: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BatchEstimate {
    pub(crate) seconds: Option<i64>,
    pub(crate) bound_by: Vec<Wait>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BatchFailure {
    pub(crate) kb_id: String,
    pub(crate) name: String,
    pub(crate) code: String,
    pub(crate) detail: String,
}
