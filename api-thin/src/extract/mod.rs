//! From the parts of a request to checked values. No handler reads a header or a body by itself.

mod admission;
mod body;
mod caller;
mod disposition;
mod distinct;
mod files;
mod idempotency;
mod if_match;
mod incoming;
mod named;
mod need;
mod operator;
mod query;
mod request_trace;
mod somebody;
mod strict;
mod tenant_maker;
mod tenant_state;
mod whole_tenant;

pub use body::{Json, MergePatch, OptionalJson, UploadJson};
pub use caller::{Caller, KbCaller};
pub use distinct::Distinct;
pub use files::Files;
pub use idempotency::IdempotencyKey;
pub use if_match::IfMatch;
pub use need::{
    Anyone, CreateDocuments, CreateKbs, DeleteDocuments, DeleteKbs, ManageJobs, ManageMembers, ManageTenant,
    Need, ReadDocuments, UpdateDocuments,
};
pub use operator::OperatorCaller;
pub use query::Query;
pub use somebody::{Person, Somebody};
pub(crate) use strict::{Misfit, read, shown};
pub use tenant_maker::{SignUpCaller, TenantMaker};
pub use whole_tenant::{QueueOwner, TenantCaller, TenantOperator};
