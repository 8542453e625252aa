//! Every route: method, path, handler, access. Router, OpenAPI description and isolation tests are made from this
//! table.

use ::jobs::tenant::Permission;
use aide::axum::ApiRouter;

use super::{
    activity, api_keys, audit_log, auth, batches, chunks, dead_letters, document_deletions, documents,
    events, graph, health, home, invitations, job_cancel, job_family, job_reschedule, jobs, kbs, members,
    plans, queues, rag_settings, schedules, sign_up, tenant_list, tenant_settings, tenants, usage,
    webhook_deliveries, webhooks, workers,
};
use crate::request::{
    AddMembers, AnyMember, CreateDocuments, CreateKbs, DeleteDocuments, DeleteKbs, ManageJobs, ManageMembers,
    ManageTenant, ReadDocuments, RequiredPermission, SteerJobs, UpdateDocuments,
};
use crate::state::ApiState;

/// One route of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method, in lower case.
    pub method: &'static str,
    /// The path inside its scope, with `{kb}`-like parameters.
    pub path: &'static str,
    /// The prefix of the path.
    pub scope: Scope,
    /// The required access.
    pub access: Access,
    /// A summary in a few words.
    pub summary: &'static str,
    /// Names the operation in the description of the API, `group::operation`. Stable: clients are generated from it.
    pub operation: &'static str,
    /// Whether it is written to the audit log.
    pub audit: Audit,
}

impl Route {
    /// The paths under which the route is found.
    #[must_use]
    pub fn places(&self) -> Vec<String> {
        self.scope.prefixes().iter().map(|prefix| format!("{prefix}{}", self.path)).collect()
    }

    /// Whether `path` is one of its [places](Self::places).
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        self.scope.prefixes().iter().any(|prefix| path.strip_prefix(prefix) == Some(self.path))
    }

    /// Whether the header `X-KB-ID` says which knowledge base is meant, because the path does not.
    #[must_use]
    pub fn takes_kb_from_header(&self) -> bool {
        self.path.starts_with("/documents")
    }

    /// The id of the operation in the description of the API, and of the action in the audit log.
    #[must_use]
    pub fn operation_id(&self) -> String {
        self.operation.replace("::", "_")
    }
}

/// What the audit log says of the requests to a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audit {
    /// Nothing: it only reads.
    Reads,
    /// One entry, in the log of the tenant that the request is about, or in the operator's if it is about none.
    Logged,
    /// One entry in the operator's log, because the tenant's own goes with the tenant.
    LoggedForOperator,
    /// Nothing, although it changes something, for this reason.
    Exempt(&'static str),
}

impl Audit {
    /// Whether a request leaves an entry.
    #[must_use]
    pub const fn is_logged(self) -> bool {
        matches!(self, Self::Logged | Self::LoggedForOperator)
    }
}

/// The access that a route requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Requests without credentials too.
    Everybody,
    /// Callers with valid credentials, of whichever tenant.
    Credentials,
    /// The operator of the installation.
    Operator,
    /// Members of the tenant that have the permission; all of them when it is `None`.
    Members(Option<Permission>),
    /// Members of the tenant that have the permission, and the operator of the installation.
    MembersAndOperator(Permission),
}

const fn may<N: RequiredPermission>() -> Access {
    match N::PERMISSION {
        Some(permission) if N::OPERATOR_TOO => Access::MembersAndOperator(permission),
        permission => Access::Members(permission),
    }
}

/// The prefix of a route's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// At the root; needs no credentials.
    Open,
    /// At `/api/v1`.
    Api,
    /// At `/api/v1/tenants/{tenant}`, and also at `/api/v1`, where the `X-Tenant-ID` header or the
    /// credentials say which tenant is meant.
    Tenant,
}

impl Scope {
    const fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Open => &[""],
            Self::Api => &["/api/v1"],
            Self::Tenant => &["/api/v1/tenants/{tenant}", "/api/v1"],
        }
    }
}

/// The operation id is the handler's path, unless the handler has been moved since the id was published.
macro_rules! operation {
    ($handler:path) => {
        stringify!($handler)
    };
    ($handler:path, $operation:literal) => {
        $operation
    };
}

/// A route that is not a `get` says whether it is logged. One that does not say does not compile.
macro_rules! audit {
    (get) => {
        Audit::Reads
    };
    ($method:ident, $audit:expr) => {
        $audit
    };
}

macro_rules! routes {
    ($($scope:ident $function:ident {
        $(
            #[doc = $summary:literal]
            $method:ident $path:literal => $handler:path, $access:expr $(, as $operation:literal)? $(, $audit:expr)?;
        )+
    })+) => {
        /// Every route there is.
        pub const ROUTES: &[Route] = &[
            $($(Route {
                method: stringify!($method),
                path: $path,
                scope: Scope::$scope,
                access: $access,
                summary: $summary.trim_ascii_start(),
                operation: operation!($handler $(, $operation)?),
                audit: audit!($method $(, $audit)?),
            },)+)+
        ];

        $(fn $function() -> ApiRouter<ApiState> {
            ApiRouter::new()$(.api_route($path, aide::axum::routing::$method($handler)))+
        })+
    };
}

use Audit::{Exempt, Logged, LoggedForOperator};

/// A person's own session and password are about no tenant; the log of requests has them.
const OWN_SESSION: &str = "a person's own session, which is about no tenant";
/// A person joins by consenting, with no authority in the tenant before.
const CONSENT: &str = "the caller has no authority before it; members and tenants show it";
/// What members do all day would drown what steers and administers.
const OWN_WORK: &str = "a member's own work, which documents and jobs show";

routes! {
    Open open_routes {
        /// What this is, and where to go on
        get "/" => home::show, Access::Everybody;
        /// The process is alive
        get "/healthz" => health::healthz, Access::Everybody;
        /// The queue and the catalog answer
        get "/readyz" => health::readyz, Access::Everybody;
        /// Metrics for Prometheus, for the operator and for the holder of `TENANTRY_METRICS_TOKEN`
        get "/metrics" => health::metrics, Access::Operator;
        /// This description of the API: OpenAPI 3.1
        get "/openapi.json" => home::openapi, Access::Everybody, as "docs::openapi";
        /// The same as a page to read and to try
        get "/docs" => home::docs, Access::Everybody, as "docs::page";
    }
    Api api_routes {
        /// The plans, and what a tenant of each may use
        get "/plans" => plans::list, Access::Credentials;
        /// The tenants of the installation, page by page, sorted and searched
        get "/tenants" => tenant_list::list, Access::Operator, as "tenants::list";
        /// Make a tenant: the answer holds its first API key
        post "/tenants" => tenants::create, Access::Operator, Logged;
        /// A tenant
        get "/tenants/{tenant}" => tenants::show, may::<AnyMember>();
        /// Change a tenant: name, slug, description, metadata, or, for the operator, its plan, limits and status
        patch "/tenants/{tenant}" => tenant_settings::change, may::<ManageTenant>(), as "settings::change", Logged;
        /// Change what is said of a tenant: name, description, metadata
        put "/tenants/{tenant}" => tenant_settings::put, may::<ManageTenant>(), as "settings::put", Logged;
        /// Close a tenant and empty every store of it
        delete "/tenants/{tenant}" => tenants::delete, Access::Operator, LoggedForOperator;
        /// Which types and versions of jobs there are, and whether workers run them
        get "/skills" => queues::skills, Access::Operator, as "skills::list";
        /// The worker processes that live, and whether they claim jobs
        get "/workers" => workers::list, Access::Operator;
        /// A worker process
        get "/workers/{worker}" => workers::show, Access::Operator;
        /// Tell a worker to claim no more jobs: what it has goes on
        post "/workers/{worker}/stop-fetching" => workers::stop_fetching, Access::Operator, Logged;
        /// Tell a worker to claim jobs again
        post "/workers/{worker}/resume-fetching" => workers::resume_fetching, Access::Operator, Logged;
        /// Log in: a username and a password for tokens
        post "/auth/login" => auth::log_in, Access::Everybody, Exempt(OWN_SESSION);
        /// Fresh tokens for a refresh token, which is used up
        post "/auth/refresh" => auth::refresh, Access::Everybody, Exempt(OWN_SESSION);
        /// End the session of the token
        post "/auth/logout" => auth::log_out, Access::Credentials, Exempt(OWN_SESSION);
        /// Another password for the caller; their other sessions end
        post "/auth/password" => auth::change_password, Access::Credentials, Exempt(OWN_SESSION);
        /// Accept an invitation to a tenant: as the person of a token, or with an account, which is made if need be
        post "/auth/accept-invitation" => invitations::accept, Access::Everybody, Exempt(CONSENT);
        /// Who the credentials are for
        get "/auth/me" => auth::me, Access::Credentials;
        /// Sign up: a tenant, and its first administrator
        post "/signup" => sign_up::sign_up, Access::Everybody, Exempt(CONSENT);
    }
    Tenant tenant_routes {
        /// Suspend a tenant: its jobs are parked
        post "/suspend" => tenant_settings::suspend, Access::Operator, as "settings::suspend", Logged;
        /// Resume a suspended tenant: its jobs come back
        post "/resume" => tenant_settings::resume, Access::Operator, as "settings::resume", Logged;
        /// What the tenant may use, and where that comes from
        get "/limits" => tenant_settings::limits, may::<AnyMember>(), as "settings::limits";
        /// How much of each quota is used, and when it begins anew
        get "/usage" => usage::show, may::<AnyMember>();
        /// What workers did in the last hour, minute by minute; of all tenants, for an operator who names no tenant
        get "/activity" => activity::show, may::<AnyMember>();
        /// How documents are read and questions answered
        get "/settings" => rag_settings::show, may::<AnyMember>();
        /// Change how documents are read and questions answered
        patch "/settings" => rag_settings::change, may::<ManageTenant>(), Logged;
        /// What was done to steer or administer the tenant, newest first, page by page
        get "/audit" => audit_log::list, may::<ManageTenant>(), as "audit::list";
        /// Whether the audit log is as it was written; the operator's own, for an operator who names no tenant
        get "/audit/check" => audit_log::check, may::<ManageTenant>(), as "audit::check";
        /// How many jobs are in which state, and those that will still run, page by page
        get "/jobs" => jobs::list, may::<AnyMember>();
        /// Cancel the jobs that match a filter
        post "/jobs/cancel" => job_cancel::matching, may::<SteerJobs>(), as "cancel::matching", Logged;
        /// Cancel every job of the tenant
        post "/jobs/cancel-all" => job_cancel::everything, may::<ManageTenant>(), as "cancel::everything", Logged;
        /// Pause the tenant's jobs: new ones are taken and wait
        post "/jobs/pause" => queues::pause_all, may::<SteerJobs>(), as "flow::pause", Logged;
        /// Resume the tenant's jobs after a pause or a drain
        post "/jobs/resume" => queues::resume_all, may::<SteerJobs>(), as "flow::resume", Logged;
        /// Drain the tenant's jobs: what is there runs, new ones are refused
        post "/jobs/drain" => queues::drain_all, may::<SteerJobs>(), as "flow::drain", Logged;
        /// A job: where it is and what it waits for
        get "/jobs/{job}" => jobs::show, may::<AnyMember>();
        /// The jobs that a job enqueued
        get "/jobs/{job}/children" => job_family::children, may::<AnyMember>(), as "jobs::children";
        /// Cancel a job
        delete "/jobs/{job}" => job_cancel::one, may::<SteerJobs>(), as "cancel::one", Logged;
        /// Give a job that waits for a time another one
        post "/jobs/{job}/reschedule" => job_reschedule::one, may::<SteerJobs>(), as "reschedule::one", Logged;
        /// Pause one queue of the tenant; of all tenants, for an operator who names no tenant
        post "/queues/{queue}/pause" => queues::pause, may::<SteerJobs>(), as "flow::pause_queue", Logged;
        /// Resume one queue
        post "/queues/{queue}/resume" => queues::resume, may::<SteerJobs>(), as "flow::resume_queue", Logged;
        /// Drain one queue
        post "/queues/{queue}/drain" => queues::drain, may::<SteerJobs>(), as "flow::drain_queue", Logged;
        /// Jobs whose attempts are used up, newest first, page by page
        get "/dead-letters" => dead_letters::list, may::<AnyMember>();
        /// Jobs that may not run, newest first, page by page
        get "/quarantine" => dead_letters::list_quarantine, may::<AnyMember>();
        /// Start the dead letters again that match a filter
        post "/dead-letters/retry" => dead_letters::retry_matching, may::<SteerJobs>(), Logged;
        /// Throw away the dead letters that match a filter
        post "/dead-letters/purge" => dead_letters::purge_matching, may::<ManageJobs>(), Logged;
        /// A dead letter or a quarantined job, with what it was to do
        get "/dead-letters/{job}" => dead_letters::show, may::<ManageJobs>();
        /// Start a dead letter again, with all its attempts
        post "/dead-letters/{job}/retry" => dead_letters::retry, may::<SteerJobs>(), Logged;
        /// Throw a dead letter away
        delete "/dead-letters/{job}" => dead_letters::purge, may::<ManageJobs>(), Logged;
        /// What happens to a job: a stream to follow, or what happened since an event
        get "/jobs/{job}/events" => events::of_job, may::<AnyMember>();
        /// What happens in the tenant: a stream to follow, or what happened since an event
        get "/events" => events::of_tenant, may::<ReadDocuments>();
        /// Batches: what requests and folders brought in, newest first, page by page
        get "/batches" => batches::list, may::<ReadDocuments>();
        /// A batch: how far it is, when it may be done, and what failed
        get "/batches/{batch}" => batches::show, may::<ReadDocuments>();
        /// Cancel a batch: its documents that are on their way fail, and nothing more comes into it
        post "/batches/{batch}/cancel" => batches::cancel, may::<ManageJobs>(), Logged;
        /// What happens to a batch: a stream to follow, or what happened since an event
        get "/batches/{batch}/events" => events::of_batch, may::<ReadDocuments>();
        /// The members of the tenant, page by page
        get "/members" => members::list, may::<ManageMembers>();
        /// Invite a member: only this answer holds the secret with which they accept. The operator adds one at once
        post "/members" => invitations::invite, may::<AddMembers>(), Logged;
        /// A member
        get "/members/{identity}" => members::show, may::<ManageMembers>();
        /// Give a member another role, or, for the operator, make a person a member without an invitation
        put "/members/{identity}" => members::put, may::<AddMembers>(), Logged;
        /// Give a member another role
        patch "/members/{identity}" => members::change, may::<ManageMembers>(), Logged;
        /// Remove a member: what they queued does not happen
        delete "/members/{identity}" => members::remove, may::<ManageMembers>(), Logged;
        /// The open invitations of the tenant, page by page
        get "/invitations" => invitations::list, may::<ManageMembers>();
        /// An open invitation, without its secret
        get "/invitations/{invitation}" => invitations::show, may::<ManageMembers>();
        /// Withdraw an invitation
        delete "/invitations/{invitation}" => invitations::withdraw, may::<ManageMembers>(), Logged;
        /// The API keys of the tenant, page by page
        get "/api-keys" => api_keys::list, may::<ManageTenant>();
        /// Make an API key: only this answer holds its secret
        post "/api-keys" => api_keys::create, may::<ManageTenant>(), Logged;
        /// An API key, without its secret
        get "/api-keys/{key}" => api_keys::show, may::<ManageTenant>();
        /// Give an API key another name or another end
        patch "/api-keys/{key}" => api_keys::edit, may::<ManageTenant>(), Logged;
        /// Revoke an API key
        delete "/api-keys/{key}" => api_keys::revoke, may::<ManageTenant>(), Logged;
        /// Give an API key another secret: only this answer holds it
        post "/api-keys/{key}/rotate" => api_keys::rotate, may::<ManageTenant>(), Logged;
        /// The endpoints for webhooks of the tenant, page by page
        get "/webhooks" => webhooks::list, may::<ManageTenant>();
        /// Make an endpoint for webhooks: only this answer holds its secret
        post "/webhooks" => webhooks::create, may::<ManageTenant>(), Logged;
        /// An endpoint for webhooks, without its secret
        get "/webhooks/{webhook}" => webhooks::show, may::<ManageTenant>();
        /// Give an endpoint another URL, other events or another description, or disable it
        patch "/webhooks/{webhook}" => webhooks::edit, may::<ManageTenant>(), Logged;
        /// Remove an endpoint with its deliveries
        delete "/webhooks/{webhook}" => webhooks::remove, may::<ManageTenant>(), Logged;
        /// Give an endpoint another secret: only this answer holds it
        post "/webhooks/{webhook}/rotate" => webhooks::rotate, may::<ManageTenant>(), Logged;
        /// Send an event that tests an endpoint
        post "/webhooks/{webhook}/test" => webhooks::test, may::<ManageTenant>(), Logged;
        /// What became of the events of an endpoint, newest first, page by page
        get "/webhooks/{webhook}/deliveries" => webhook_deliveries::list, may::<ManageTenant>();
        /// A delivery, with each of its attempts
        get "/webhooks/{webhook}/deliveries/{event}" => webhook_deliveries::show, may::<ManageTenant>();
        /// Deliver an event once more
        post "/webhooks/{webhook}/deliveries/{event}/redeliver" => webhook_deliveries::redeliver,
            may::<ManageTenant>(), Logged;
        /// The knowledge bases that the credentials reach
        get "/kbs" => kbs::list, may::<ReadDocuments>();
        /// Make a knowledge base
        post "/kbs" => kbs::create, may::<CreateKbs>(), Logged;
        /// A knowledge base
        get "/kbs/{kb}" => kbs::show, may::<ReadDocuments>();
        /// Give a knowledge base another name or description
        patch "/kbs/{kb}" => kbs::rename, may::<CreateKbs>(), Logged;
        /// The same, for clients that put
        put "/kbs/{kb}" => kbs::rename, may::<CreateKbs>(), as "kbs::put", Logged;
        /// Close a knowledge base and empty every store of it
        delete "/kbs/{kb}" => kbs::delete, may::<DeleteKbs>(), Logged;
        /// The documents of a knowledge base, page by page
        get "/kbs/{kb}/documents" => documents::list, may::<ReadDocuments>();
        /// Upload documents as files: all or none are accepted
        post "/kbs/{kb}/documents" => documents::upload_files, may::<CreateDocuments>(), Exempt(OWN_WORK);
        /// Upload a document as text
        post "/kbs/{kb}/documents/text" => documents::upload_text, may::<CreateDocuments>(), Exempt(OWN_WORK);
        /// Upload documents as texts: all or none are accepted
        post "/kbs/{kb}/documents/batch" => documents::upload_batch, may::<CreateDocuments>(), Exempt(OWN_WORK);
        /// Remove many documents from every store: these, or those in a status
        post "/kbs/{kb}/documents/delete" => document_deletions::delete_selected, may::<DeleteDocuments>(),
            as "documents::delete_selected", Logged;
        /// Remove every document of a knowledge base from every store
        post "/kbs/{kb}/empty" => document_deletions::empty, may::<DeleteDocuments>(), as "kbs::empty", Logged;
        /// A document: how far it is on its way into the graph
        get "/kbs/{kb}/documents/{document}" => documents::show, may::<ReadDocuments>();
        /// What happens to a document: a stream to follow, or what happened since an event
        get "/kbs/{kb}/documents/{document}/events" => events::of_document, may::<ReadDocuments>();
        /// What happens in a knowledge base: a stream to follow, or what happened since an event
        get "/kbs/{kb}/events" => events::of_kb, may::<ReadDocuments>();
        /// Extract the chunks of a partial document once more that gave nothing
        post "/kbs/{kb}/documents/{document}/retry" => documents::retry, may::<CreateDocuments>(), Logged;
        /// Remove a document from every store
        delete "/kbs/{kb}/documents/{document}" => documents::delete, may::<DeleteDocuments>(), Exempt(OWN_WORK);
        /// The documents of the knowledge base that `X-KB-ID` names, page by page
        get "/documents" => documents::list, may::<ReadDocuments>(), as "documents::list_in_named_kb";
        /// Upload documents as files to the knowledge base that `X-KB-ID` names
        post "/documents" => documents::upload_files, may::<CreateDocuments>(),
            as "documents::upload_files_to_named_kb", Exempt(OWN_WORK);
        /// Upload a document as text to the knowledge base that `X-KB-ID` names
        post "/documents/text" => documents::upload_text, may::<CreateDocuments>(),
            as "documents::upload_text_to_named_kb", Exempt(OWN_WORK);
        /// Upload documents as texts to the knowledge base that `X-KB-ID` names
        post "/documents/batch" => documents::upload_batch, may::<CreateDocuments>(),
            as "documents::upload_batch_to_named_kb", Exempt(OWN_WORK);
        /// A document of the knowledge base that `X-KB-ID` names
        get "/documents/{document}" => documents::show, may::<ReadDocuments>(),
            as "documents::show_in_named_kb";
        /// Remove a document of the knowledge base that `X-KB-ID` names from every store
        delete "/documents/{document}" => documents::delete, may::<DeleteDocuments>(),
            as "documents::delete_in_named_kb", Exempt(OWN_WORK);
        /// The chunks of a document, page by page
        get "/kbs/{kb}/documents/{document}/chunks" => chunks::list, may::<ReadDocuments>();
        /// A chunk, and the entities and relations that were extracted from it
        get "/kbs/{kb}/documents/{document}/chunks/{chunk}" => chunks::show, may::<ReadDocuments>();
        /// The entities and relations of a knowledge base, page by page
        get "/kbs/{kb}/graph" => graph::show, may::<ReadDocuments>();
        /// An entity, and the chunks and documents that mention it, page by page
        get "/kbs/{kb}/graph/entities/{name}" => graph::entity, may::<ReadDocuments>();
        /// Read every document of a knowledge base again
        post "/kbs/{kb}/reindex" => kbs::reindex, may::<UpdateDocuments>(), as "reindex::start", Logged;
        /// The schedules of a knowledge base
        get "/kbs/{kb}/schedules" => schedules::list, may::<ReadDocuments>();
        /// Make or replace a schedule
        put "/kbs/{kb}/schedules/{schedule}" => schedules::put, may::<ManageJobs>(), Logged;
        /// A schedule
        get "/kbs/{kb}/schedules/{schedule}" => schedules::show, may::<ReadDocuments>();
        /// Pause a schedule: it does not fire until it is resumed
        post "/kbs/{kb}/schedules/{schedule}/pause" => schedules::pause, may::<ManageJobs>(), Logged;
        /// Resume a paused schedule
        post "/kbs/{kb}/schedules/{schedule}/resume" => schedules::resume, may::<ManageJobs>(), Logged;
        /// Take a schedule over: from now on it fires as the caller
        post "/kbs/{kb}/schedules/{schedule}/take-over" => schedules::take_over, may::<ManageJobs>(), Logged;
        /// Fire a schedule now; its next time stays
        post "/kbs/{kb}/schedules/{schedule}/run" => schedules::run, may::<ManageJobs>(), Logged;
        /// Remove a schedule
        delete "/kbs/{kb}/schedules/{schedule}" => schedules::delete, may::<ManageJobs>(), Logged;
    }
}

/// Every route in its places, with what its handler's types say of it.
pub(crate) fn documented_routes() -> ApiRouter<ApiState> {
    let api = api_routes().nest("/tenants/{tenant}", tenant_routes()).merge(tenant_routes());
    ApiRouter::new().nest("/api/v1", api).merge(open_routes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_shows_every_route() {
        let readme = include_str!("../../README.md");
        for route in ROUTES {
            let heading = format!("`{} {}`", route.method.to_uppercase(), route.places()[0]);
            assert!(readme.contains(&heading), "api-thin/README.md does not show {heading}");
        }
    }
}
