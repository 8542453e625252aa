use axum::Router;

use super::{
    api_keys, auth, cancel, dead_letters, documents, flow, graph, health, jobs, kbs, lanes, members, plans,
    rag_settings, reindex, schedules, settings, sign_up, tenants, usage,
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
    ($($scope:ident $function:ident { $($method:ident $path:literal => $handler:path;)+ })+) => {
        /// Every route there is.
        pub const ROUTES: &[Route] = &[
            $($(Route { method: stringify!($method), path: $path, scope: Scope::$scope },)+)+
        ];

        $(fn $function() -> Router<ApiState> {
            Router::new()$(.route($path, axum::routing::$method($handler)))+
        })+
    };
}

routes! {
    Open open_routes {
        get "/healthz" => health::healthz;
        get "/readyz" => health::readyz;
    }
    Api api_routes {
        get "/plans" => plans::list;
        get "/tenants" => tenants::list;
        post "/tenants" => tenants::create;
        get "/tenants/{tenant}" => tenants::show;
        patch "/tenants/{tenant}" => settings::change;
        delete "/tenants/{tenant}" => tenants::delete;
        get "/lanes" => lanes::list;
        post "/auth/login" => auth::log_in;
        post "/auth/refresh" => auth::refresh;
        post "/auth/logout" => auth::log_out;
        get "/auth/me" => auth::me;
        post "/signup" => sign_up::sign_up;
    }
    Tenant tenant_routes {
        post "/suspend" => settings::suspend;
        post "/resume" => settings::resume;
        get "/limits" => settings::limits;
        get "/usage" => usage::show;
        get "/settings" => rag_settings::show;
        patch "/settings" => rag_settings::change;
        get "/jobs" => jobs::list;
        post "/jobs/cancel" => cancel::matching;
        post "/jobs/cancel-all" => cancel::everything;
        post "/jobs/pause" => flow::pause;
        post "/jobs/resume" => flow::resume;
        post "/jobs/drain" => flow::drain;
        get "/jobs/{job}" => jobs::show;
        delete "/jobs/{job}" => cancel::one;
        post "/queues/{queue}/pause" => flow::pause_queue;
        post "/queues/{queue}/resume" => flow::resume_queue;
        post "/queues/{queue}/drain" => flow::drain_queue;
        get "/dead-letters" => dead_letters::list;
        get "/quarantine" => dead_letters::list_quarantine;
        post "/dead-letters/retry" => dead_letters::retry_matching;
        post "/dead-letters/purge" => dead_letters::purge_matching;
        get "/dead-letters/{job}" => dead_letters::show;
        post "/dead-letters/{job}/retry" => dead_letters::retry;
        delete "/dead-letters/{job}" => dead_letters::purge;
        get "/members" => members::list;
        post "/members" => members::add;
        get "/members/{subject}" => members::show;
        patch "/members/{subject}" => members::change;
        delete "/members/{subject}" => members::remove;
        get "/api-keys" => api_keys::list;
        post "/api-keys" => api_keys::create;
        get "/api-keys/{key}" => api_keys::show;
        patch "/api-keys/{key}" => api_keys::rename;
        delete "/api-keys/{key}" => api_keys::revoke;
        post "/api-keys/{key}/rotate" => api_keys::rotate;
        get "/kbs" => kbs::list;
        post "/kbs" => kbs::create;
        get "/kbs/{kb}" => kbs::show;
        patch "/kbs/{kb}" => kbs::rename;
        delete "/kbs/{kb}" => kbs::delete;
        get "/kbs/{kb}/documents" => documents::list;
        post "/kbs/{kb}/documents" => documents::upload_files;
        post "/kbs/{kb}/documents/text" => documents::upload_text;
        post "/kbs/{kb}/documents/batch" => documents::upload_batch;
        get "/kbs/{kb}/documents/{document}" => documents::show;
        delete "/kbs/{kb}/documents/{document}" => documents::delete;
        get "/kbs/{kb}/graph" => graph::show;
        post "/kbs/{kb}/reindex" => reindex::start;
        get "/kbs/{kb}/schedules" => schedules::list;
        put "/kbs/{kb}/schedules/{schedule}" => schedules::put;
        get "/kbs/{kb}/schedules/{schedule}" => schedules::show;
        delete "/kbs/{kb}/schedules/{schedule}" => schedules::delete;
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
