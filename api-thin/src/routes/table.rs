use ::jobs::tenant::Permission;
use axum::Router;

use super::{
    api_keys, auth, cancel, dead_letters, documents, flow, graph, health, jobs, kbs, lanes, members, plans,
    rag_settings, reindex, schedules, settings, sign_up, tenants, usage,
};
use crate::extract::{
    Anyone, CreateDocuments, CreateKbs, DeleteDocuments, DeleteKbs, ManageJobs, ManageMembers, ManageTenant,
    Need, ReadDocuments, UpdateDocuments,
};
use crate::server::{ApiState, surround};

/// One route of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method, in lower case.
    pub method: &'static str,
    /// The path inside its scope, with `{kb}`-like parameters.
    pub path: &'static str,
    /// Where the path begins.
    pub scope: Scope,
    /// Who may ask.
    pub access: Access,
}

/// Who may ask for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Everybody,
    /// Anybody whose credentials are good.
    Credentials,
    /// Whoever runs the installation.
    Operator,
    /// Members of the tenant that have the permission; all of them when it is `None`.
    Members(Option<Permission>),
}

const fn may<N: Need>() -> Access {
    Access::Members(N::PERMISSION)
}

/// Where a route's path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// At the root; open to everybody.
    Open,
    /// At `/api/v1`.
    Api,
    /// At `/api/v1/tenants/{tenant}`, and also at `/api/v1`, where the `X-Tenant-ID` header or the
    /// credentials say which tenant is meant.
    Tenant,
}

macro_rules! routes {
    ($($scope:ident $function:ident { $($method:ident $path:literal => $handler:path, $access:expr;)+ })+) => {
        /// Every route there is.
        pub const ROUTES: &[Route] = &[
            $($(Route {
                method: stringify!($method), path: $path, scope: Scope::$scope, access: $access,
            },)+)+
        ];

        $(fn $function() -> Router<ApiState> {
            Router::new()$(.route($path, axum::routing::$method($handler)))+
        })+
    };
}

routes! {
    Open open_routes {
        get "/healthz" => health::healthz, Access::Everybody;
        get "/readyz" => health::readyz, Access::Everybody;
    }
    Api api_routes {
        get "/plans" => plans::list, Access::Credentials;
        get "/tenants" => tenants::list, Access::Operator;
        post "/tenants" => tenants::create, Access::Operator;
        get "/tenants/{tenant}" => tenants::show, may::<Anyone>();
        patch "/tenants/{tenant}" => settings::change, may::<ManageTenant>();
        delete "/tenants/{tenant}" => tenants::delete, Access::Operator;
        get "/lanes" => lanes::list, Access::Operator;
        post "/auth/login" => auth::log_in, Access::Everybody;
        post "/auth/refresh" => auth::refresh, Access::Everybody;
        post "/auth/logout" => auth::log_out, Access::Credentials;
        get "/auth/me" => auth::me, Access::Credentials;
        post "/signup" => sign_up::sign_up, Access::Everybody;
    }
    Tenant tenant_routes {
        post "/suspend" => settings::suspend, Access::Operator;
        post "/resume" => settings::resume, Access::Operator;
        get "/limits" => settings::limits, may::<Anyone>();
        get "/usage" => usage::show, may::<Anyone>();
        get "/settings" => rag_settings::show, may::<Anyone>();
        patch "/settings" => rag_settings::change, may::<ManageTenant>();
        get "/jobs" => jobs::list, may::<Anyone>();
        post "/jobs/cancel" => cancel::matching, may::<ManageJobs>();
        post "/jobs/cancel-all" => cancel::everything, may::<ManageTenant>();
        post "/jobs/pause" => flow::pause, may::<ManageJobs>();
        post "/jobs/resume" => flow::resume, may::<ManageJobs>();
        post "/jobs/drain" => flow::drain, may::<ManageJobs>();
        get "/jobs/{job}" => jobs::show, may::<Anyone>();
        delete "/jobs/{job}" => cancel::one, may::<ManageJobs>();
        post "/queues/{queue}/pause" => flow::pause_queue, may::<ManageJobs>();
        post "/queues/{queue}/resume" => flow::resume_queue, may::<ManageJobs>();
        post "/queues/{queue}/drain" => flow::drain_queue, may::<ManageJobs>();
        get "/dead-letters" => dead_letters::list, may::<Anyone>();
        get "/quarantine" => dead_letters::list_quarantine, may::<Anyone>();
        post "/dead-letters/retry" => dead_letters::retry_matching, may::<ManageJobs>();
        post "/dead-letters/purge" => dead_letters::purge_matching, may::<ManageJobs>();
        get "/dead-letters/{job}" => dead_letters::show, may::<ManageJobs>();
        post "/dead-letters/{job}/retry" => dead_letters::retry, may::<ManageJobs>();
        delete "/dead-letters/{job}" => dead_letters::purge, may::<ManageJobs>();
        get "/members" => members::list, may::<ManageMembers>();
        post "/members" => members::add, may::<ManageMembers>();
        get "/members/{subject}" => members::show, may::<ManageMembers>();
        patch "/members/{subject}" => members::change, may::<ManageMembers>();
        delete "/members/{subject}" => members::remove, may::<ManageMembers>();
        get "/api-keys" => api_keys::list, may::<ManageTenant>();
        post "/api-keys" => api_keys::create, may::<ManageTenant>();
        get "/api-keys/{key}" => api_keys::show, may::<ManageTenant>();
        patch "/api-keys/{key}" => api_keys::rename, may::<ManageTenant>();
        delete "/api-keys/{key}" => api_keys::revoke, may::<ManageTenant>();
        post "/api-keys/{key}/rotate" => api_keys::rotate, may::<ManageTenant>();
        get "/kbs" => kbs::list, may::<ReadDocuments>();
        post "/kbs" => kbs::create, may::<CreateKbs>();
        get "/kbs/{kb}" => kbs::show, may::<ReadDocuments>();
        patch "/kbs/{kb}" => kbs::rename, may::<CreateKbs>();
        delete "/kbs/{kb}" => kbs::delete, may::<DeleteKbs>();
        get "/kbs/{kb}/documents" => documents::list, may::<ReadDocuments>();
        post "/kbs/{kb}/documents" => documents::upload_files, may::<CreateDocuments>();
        post "/kbs/{kb}/documents/text" => documents::upload_text, may::<CreateDocuments>();
        post "/kbs/{kb}/documents/batch" => documents::upload_batch, may::<CreateDocuments>();
        get "/kbs/{kb}/documents/{document}" => documents::show, may::<ReadDocuments>();
        delete "/kbs/{kb}/documents/{document}" => documents::delete, may::<DeleteDocuments>();
        get "/kbs/{kb}/graph" => graph::show, may::<ReadDocuments>();
        post "/kbs/{kb}/reindex" => reindex::start, may::<UpdateDocuments>();
        get "/kbs/{kb}/schedules" => schedules::list, may::<ReadDocuments>();
        put "/kbs/{kb}/schedules/{schedule}" => schedules::put, may::<ManageJobs>();
        get "/kbs/{kb}/schedules/{schedule}" => schedules::show, may::<ReadDocuments>();
        delete "/kbs/{kb}/schedules/{schedule}" => schedules::delete, may::<ManageJobs>();
    }
}

/// The whole API, ready to serve.
pub fn router(app: ApiState) -> Router {
    let api = api_routes().nest("/tenants/{tenant}", tenant_routes()).merge(tenant_routes());
    let routes = Router::new().nest("/api/v1", api).merge(open_routes());
    surround(routes, &app).with_state(app)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_shows_every_route() {
        let readme = include_str!("../../README.md");
        for route in ROUTES {
            let prefix = match route.scope {
                Scope::Open => "",
                Scope::Api => "/api/v1",
                Scope::Tenant => "/api/v1/tenants/{tenant}",
            };
            let heading = format!("`{} {prefix}{}`", route.method.to_uppercase(), route.path);
            assert!(readme.contains(&heading), "api-thin/README.md does not show {heading}");
        }
    }
}
