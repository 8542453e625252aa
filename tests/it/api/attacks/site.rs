use std::sync::atomic::{AtomicU32, Ordering};

use api_thin::config::{AccountRules, Switch};
use api_thin::routes::{Access, Scope};
use api_thin::{IdentityConfig, Route};
use jobs::plan::Plans;
use reqwest::RequestBuilder;
use tests::api::{Api, ApiOptions, ApiTenant, Reply, Written, send};
use tests::services::ServerUrls;
use tokio::sync::Mutex;

use crate::api::every_route::{Bait, bait, full_path, method, named_kb};

/// An API where two tenants have the same things, one of them the attacker's.
pub(super) struct Site {
    pub(super) api: Api,
    pub(super) theirs: ApiTenant,
    before: Written,
    run: String,
    tenants: AtomicU32,
}

/// The attacker's tenant.
pub(super) struct Mine {
    pub(super) tenant: ApiTenant,
    pub(super) bait: Bait,
    /// The other tenant's contents, as of the last attack.
    written: Mutex<Written>,
}

impl Site {
    /// On embedded stores.
    pub(super) async fn open() -> Self {
        Self::open_on(None).await
    }

    /// A site without limits on the amount or rate of requests.
    pub(super) async fn open_on(servers: Option<ServerUrls>) -> Self {
        let rules = AccountRules {
            per_address: None,
            sign_ups_per_address: None,
            sign_up: Switch::On,
            ..AccountRules::default()
        };
        let identity = IdentityConfig { rules, ..IdentityConfig::default() };
        let plans = Plans::parse("[plan.free]").unwrap();
        let on_servers = servers.is_some();
        let api = Api::with(ApiOptions { identity, plans, servers, ..ApiOptions::default() }).await;
        // On servers the names of earlier runs are taken.
        let run = if on_servers { format!("-{}", uuid::Uuid::now_v7().simple()) } else { String::new() };
        let theirs = api.tenant(&format!("acme-2{run}")).await;
        bait(&api, &theirs).await;
        let before = Written::of(&api, &theirs).await;
        Self { api, theirs, before, run, tenants: AtomicU32::new(0) }
    }

    /// A tenant for one route, so that what one attack is rightly given does not change the next.
    pub(super) async fn mine(&self) -> Mine {
        let number = self.tenants.fetch_add(1, Ordering::Relaxed);
        let tenant = self.api.tenant(&format!("mine-{number}{}", self.run)).await;
        let bait = bait(&self.api, &tenant).await;
        let written = Mutex::new(Written::of(&self.api, &tenant).await);
        Mine { tenant, bait, written }
    }

    /// A request to a route with the best credentials that the attacker has: those of their own tenant's
    /// administrator. The operator's routes are tried as the operator, who may make mistakes too.
    pub(super) fn request(&self, route: &Route, path: &str, mine: &Mine) -> RequestBuilder {
        let request = named_kb(route, self.api.request(method(route), path));
        match route.access {
            Access::Operator => self.api.operator(method(route), path),
            _ if route.path == "/tenants/{tenant}" => self.api.operator(method(route), path),
            Access::Everybody => request,
            Access::Credentials | Access::Members(_) | Access::MembersAndOperator(_) => {
                request.bearer_auth(&mine.tenant.key)
            }
        }
    }

    /// Sends an attack: the server must not fail, and a refused one must leave nothing behind.
    pub(super) async fn attack(&self, request: RequestBuilder, mine: &Mine, what: &str) -> Reply {
        let reply = self.probe(request, what).await;
        if !self.run.is_empty() {
            // Other tests use the servers too, so leftovers are looked for on embedded stores only.
            return reply;
        }
        let after = Written::of(&self.api, &mine.tenant).await;
        let mut before = mine.written.lock().await;
        if reply.status >= 400 {
            assert!(after == *before, "{what} was refused and left something behind: {after:?}");
        }
        *before = after;
        reply
    }

    /// Sends what only reads.
    pub(super) async fn probe(&self, request: RequestBuilder, what: &str) -> Reply {
        let reply = send(request).await;
        assert!(reply.status < 500, "{what}: {}", String::from_utf8_lossy(&reply.bytes));
        reply
    }

    /// Nothing that was tried has reached the other tenant.
    pub(super) async fn assert_theirs_untouched(&self, what: &str) {
        assert!(Written::of(&self.api, &self.theirs).await == self.before, "{what} changed another tenant");
    }
}

/// The route's path for a tenant.
pub(super) fn path(route: &Route, mine: &Mine) -> String {
    match route.scope {
        Scope::Open => route.path.to_owned(),
        Scope::Api | Scope::Tenant => full_path(route, &mine.tenant.id, "default", &mine.bait),
    }
}
