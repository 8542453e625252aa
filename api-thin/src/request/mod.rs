//! From the parts of a request to checked values: the caller, the tenant, headers, query and body. No handler reads a
//! header or a body by itself.

mod authorize;
mod body;
mod caller;
mod headers;
mod multipart;
mod query;
mod strict;
mod tenant_name;

pub(crate) use authorize::member_permissions;
pub(crate) use body::merge_patch;
pub use body::{Distinct, Json, MergePatch, OptionalJson, UploadJson};
pub use caller::{
    AddMembers, AnyMember, AnyReach, AuthenticatedCaller, Caller, CreateDocuments, CreateKbs,
    DeleteDocuments, DeleteKbs, KbCaller, ManageJobs, ManageMembers, ManageTenant, MetricsReader, OneKb,
    OperatorCaller, Person, Reach, ReadDocuments, RequiredPermission, SignUpCaller, Standing, SteerJobs,
    TenantCaller, TenantLister, TenantOperator, UpdateDocuments, WholeTenant,
};
pub use headers::{AskedLane, IfMatch, LastEvent, NamedBatch, WantsEvents};
pub use multipart::Files;
pub use query::Query;
pub(crate) use strict::{Misfit, read};
pub use tenant_name::{Conflict, one_name};
