//! What the stores hold: plain data, the same for every implementation.

mod accept;
mod api_key;
mod audit;
mod batch;
mod document;
mod identity;
mod job;
mod live;
mod member;
mod rag_settings;
mod schedule;
mod tenant;
mod throttle;
mod unfinished_job;
mod usage;
mod webhook;
mod workspace;

pub use accept::{Acceptance, Accepted, Idempotency, KnownDocument, Replay, UploadQuestion, UploadView};
pub use api_key::{ApiKeyChange, ApiKeyEdit, ApiKeyMade, ApiKeyRecord, ApiKeyRow, KeyEnd, NewApiKey};
pub(crate) use api_key::{allowed, scope_text};
pub use audit::{AuditCheck, AuditEntry, AuditFilter, AuditFlaw, AuditHead, LoggedAction};
pub use batch::{Batch, BatchCounts, BatchFailure, BatchPace};
pub use document::{
    Document, DocumentCounts, DocumentFault, DocumentSelection, DocumentStatus, FailedChunk, Losses,
    NewDocument, Served,
};
pub use identity::{
    InvalidUserName, KeyPlaced, MemberPlaced, Membership, MembershipImport, MembershipImported, Renewal,
    Session, User, UserChange, UserName,
};
pub use job::{Cancellations, JobMark, JobRecord, Redrives};
pub use live::{
    DocumentStage, Event, EventId, EventKind, InvalidEventId, Progress, ProgressReport, Stage, StageReport,
};
pub use member::{
    Invitation, InvitationAccepted, InvitationSecret, Invited, Invitee, Member, MemberAdded, MemberChange,
    Standing,
};
pub use rag_settings::{InvalidRagSetting, Models, RagSettings};
pub use schedule::{DueSchedule, Firing, NewSchedule, Schedule, Skipped};
pub use tenant::{
    InvalidTenantCursor, Kb, KbStatistics, NewKb, NewTenant, Tenant, TenantChange, TenantCursor,
    TenantFilter, TenantKey, TenantOrder, TenantPlan, TenantSettings, TenantSort, TenantStatistics,
};
pub use throttle::ThrottleRule;
pub(crate) use throttle::ThrottleState;
pub use unfinished_job::{QueuedDelivery, UnfinishedJob, UnfinishedKey};
pub use usage::{ApiCalls, Bookkeeping, Derived, Growth, OverQuota, Usage};
pub(crate) use usage::{Counter, graph_refused, last_refused, storage_refused};
pub use webhook::{
    AfterAttempt, Attempt, Delivery, DeliveryState, DeliveryToDo, DisabledReason, DueWebhook, NewWebhook,
    PendingDelivery, Webhook, WebhookChange, WebhookEdit, WebhookMade,
};
pub use workspace::WorkspaceId;

pub use crate::blobs::StoredOriginal;
pub use crate::documents::{ChunkFault, ExtractedEntity, ExtractedRelation, Extraction, ParsedDocument};
pub use crate::index::{
    Chunk, Entity, GraphCounts, GraphDelta, IndexChange, IndexContent, Mention, MentionKind, MentionSource,
    Relation,
};
pub use crate::page::{InvalidRelationCursor, Page, RelationCursor};
