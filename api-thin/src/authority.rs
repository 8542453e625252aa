//! The only module that makes a [`TenantContext`] from checked credentials. Only `request`, which checks them, and
//! `accept`, which creates tenants, may use it: a test below reads the handlers for it.

use jobs::envelope::{EnqueueOptions, StampedJob, Stamper, TraceParent};
use jobs::tenant::{Actor, Authenticated, KbId, Permission, Permissions, Role, TenantContext, TenantId};
use jobs::types::DeliverWebhook;
use jobs::webhook::WebhookId;
use jobs::{Job, JobId};

use crate::auth::Member;
use crate::problem::Problem;

/// The operator's permissions in every tenant, as far as jobs act with them. Which routes the operator may use says
/// the table of routes.
const OPERATOR_PERMISSIONS: Permissions = Permissions::of(&[Permission::TenantManage]);

/// The authority of a member of the tenant, whose `epoch` was read from the directory.
pub(crate) fn member_context(
    member: &Member,
    epoch: u64,
    kb_id: Option<KbId>,
    permissions: Permissions,
) -> TenantContext {
    context_of(Authenticated {
        tenant_id: member.tenant.clone(),
        epoch,
        kb_id,
        actor: member.actor.clone(),
        role: member.role,
        permissions,
    })
}

/// The operator's authority in one tenant: to create it, and to manage it.
pub(crate) fn operator_context(tenant: TenantId, epoch: u64) -> TenantContext {
    context_of(Authenticated {
        tenant_id: tenant,
        epoch,
        kb_id: None,
        actor: Actor::Operator,
        role: Role::Admin,
        permissions: OPERATOR_PERMISSIONS,
    })
}

/// The authority of a schedule of the caller's: as much as the caller has, now and whenever it fires.
pub(crate) fn schedule_context(maker: &TenantContext, name: &str) -> TenantContext {
    context_of(Authenticated {
        tenant_id: maker.tenant_id().clone(),
        epoch: maker.epoch(),
        kb_id: maker.kb_id().cloned(),
        actor: Actor::Schedule(name.into()),
        role: maker.role(),
        permissions: maker.permissions(),
    })
}

/// The authority of an endpoint of the caller's tenant: to deliver its events, as long as there is such an endpoint.
/// The caller manages the tenant; that they leave later does not end it.
pub(crate) fn webhook_context(maker: &TenantContext, id: &WebhookId) -> TenantContext {
    context_of(Authenticated {
        tenant_id: maker.tenant_id().clone(),
        epoch: maker.epoch(),
        kb_id: None,
        actor: Actor::Webhook(id.clone()),
        role: maker.role(),
        permissions: Permissions::of(&[DeliverWebhook::PERMISSION]),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the credentials were checked by `request::authorize`, the only caller but for the creation of tenants"
)]
fn context_of(who: Authenticated) -> TenantContext {
    tracing::Span::current().record("tenant.id", who.tenant_id.as_str());
    TenantContext::for_request(who)
}

/// The trace that the jobs of a request continue; without one, each job begins its own.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RequestTrace(Option<TraceParent>);

impl RequestTrace {
    /// The span of a request, in the trace of its `traceparent` header or in a new one. An unreadable header is ignored
    /// (W3C Trace Context, 3.2.2). With it comes the span that the header names.
    pub(crate) fn begin(header: Option<&str>) -> (Self, Option<TraceParent>) {
        let before: Option<TraceParent> = header.and_then(|text| text.parse().ok());
        (Self(Some(before.map_or_else(TraceParent::start, |before| before.child()))), before)
    }

    /// The span.
    pub(crate) fn span(&self) -> Option<&TraceParent> {
        self.0.as_ref()
    }

    /// Stamps a job for the tenant of `context`.
    pub(crate) fn stamp<J: Job>(
        self,
        stamper: &Stamper,
        context: &TenantContext,
        options: EnqueueOptions,
        job: &J,
    ) -> Result<StampedJob, Problem> {
        let options = EnqueueOptions { traceparent: self.0, ..options };
        Ok(stamper.stamp(context, job, options)?)
    }
}

/// The authority to create tenants: the operator's, and that of a sign-up where those are allowed.
pub struct TenantMaker {
    trace: RequestTrace,
}

impl TenantMaker {
    /// For a request whose caller may create tenants.
    pub(crate) fn of_request(trace: RequestTrace) -> Self {
        Self { trace }
    }

    /// For a tenant that the settings of the installation ask for.
    pub(crate) fn of_installation() -> Self {
        Self { trace: RequestTrace::default() }
    }

    /// The authority to create `tenant`.
    #[must_use]
    pub fn context_for_new(&self, tenant: TenantId) -> TenantContext {
        operator_context(tenant, 0)
    }

    /// Stamps a job for the tenant of `context`, in the trace of the request.
    ///
    /// # Errors
    /// When the operator may not ask for such a job.
    pub fn stamp<J: Job>(
        &self,
        stamper: &Stamper,
        context: &TenantContext,
        id: JobId,
        job: &J,
    ) -> Result<StampedJob, Problem> {
        let options = EnqueueOptions { id: Some(id), ..EnqueueOptions::default() };
        self.trace.stamp(stamper, context, options, job)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The modules from bottom to top, as the README lists them.
    const LAYERS: [&str; 17] = [
        "problem",
        "auth",
        "config",
        "connections",
        "documents",
        "rate_limit",
        "bookkeeping",
        "accounts",
        "authority",
        "state",
        "audit",
        "answer",
        "accept",
        "request",
        "routes",
        "openapi",
        "server",
    ];
    /// The table of routes lists the pages that show the description.
    const UPWARDS: (&str, &str) = ("routes", "openapi");

    /// Every source file of a module with its text.
    fn sources(module: &str) -> Vec<(PathBuf, String)> {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut files, mut folders) = (vec![src.join(format!("{module}.rs"))], vec![src.join(module)]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        let text = |path: PathBuf| fs::read_to_string(&path).ok().map(|text| (path, text));
        files.into_iter().filter_map(text).collect()
    }

    #[test]
    fn no_handler_makes_its_own_authority() {
        let routes = sources("routes");
        assert!(routes.len() > 10, "the walk found only {} files", routes.len());
        for (path, text) in routes {
            assert!(!text.contains("authority::"), "{}: take the context of the caller", path.display());
        }
    }

    #[test]
    fn a_module_uses_only_what_stands_below_it() {
        for (at, module) in LAYERS.iter().enumerate() {
            let files = sources(module);
            assert!(!files.is_empty(), "there is no module {module}");
            for above in &LAYERS[at + 1..] {
                let path = format!("crate::{above}::");
                let found = files.iter().find(|(_, text)| text.contains(&path));
                assert!(
                    found.is_none() || UPWARDS == (module, above),
                    "{module} stands below {above} and uses it, in {:?}",
                    found.map(|(path, _)| path)
                );
            }
        }
    }
}
