//! `tenantry tenants`: who the installation serves, and what each may use.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Run;
use super::api::segment;
use super::change::Change;
use super::connection::{Session, tenant_path};
use super::failure::Failure;
use super::output::{As, Column};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the tenants, by id. For operators.
    #[command(after_help = "Examples:
  tenantry tenants list --status active
  tenantry tenants list --plan free --limit 50 --output json")]
    List(List),
    /// Shows a tenant.
    #[command(after_help = "Examples:
  tenantry tenants show acme")]
    Show(Named),
    /// Shows what a tenant may use, and what its jobs use of it.
    #[command(after_help = "Examples:
  tenantry tenants limits acme")]
    Limits(Named),
    /// Shows how much of each quota is used.
    #[command(after_help = "Examples:
  tenantry tenants usage acme")]
    Usage(Named),
    /// Makes a tenant, and shows its first API key this once. For operators.
    #[command(after_help = "Examples:
  tenantry tenants create birch --name 'Birch Ltd' --plan free")]
    Create(Create),
    /// Changes what is given; it holds at once, for what is queued too.
    #[command(after_help = "Examples:
  tenantry tenants set acme --limit cap=8 --limit type_caps.entities.extract=2
  tenantry tenants set acme --limit cap=plan --name 'Acme Ltd'")]
    Set(Set),
    /// Refuses a tenant's members and keys, and parks its jobs. For operators.
    #[command(after_help = "Examples:
  tenantry tenants suspend acme --reason 'unpaid' --yes")]
    Suspend(Changed),
    /// Lifts a suspension. For operators.
    #[command(after_help = "Examples:
  tenantry tenants resume acme")]
    Resume(Changed),
    /// Closes a tenant and empties every store of it. For operators.
    #[command(after_help = "Examples:
  tenantry tenants delete birch --yes")]
    Delete(Changed),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that are provisioning, active, suspended or deprovisioning.
    #[arg(long)]
    status: Option<String>,
    /// Only those of this plan.
    #[arg(long)]
    plan: Option<String>,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its id. The tenant of --tenant, the key or the profile by default.
    #[arg(value_name = "TENANT")]
    id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Changed {
    /// Its id.
    #[arg(value_name = "TENANT")]
    id: String,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its id: a label of `a-z`, `0-9` and `-`.
    #[arg(value_name = "TENANT")]
    id: String,
    /// What people call it. The id by default.
    #[arg(long)]
    name: Option<String>,
    /// Its plan. By default that of newcomers, `TENANTRY_DEFAULT_PLAN` of the API.
    #[arg(long)]
    plan: Option<String>,
    /// Why: for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// Its id. The tenant of --tenant, the key or the profile by default.
    #[arg(value_name = "TENANT")]
    id: Option<String>,
    /// Another name.
    #[arg(long)]
    name: Option<String>,
    /// Another slug, the word in host names.
    #[arg(long)]
    slug: Option<String>,
    /// Another plan. For operators.
    #[arg(long)]
    plan: Option<String>,
    /// A limit beside those of the plan, such as `cap=8`; 0 is no limit, `plan` is as the plan says. For operators.
    #[arg(long = "limit", value_name = "NAME=VALUE", value_parser = limit)]
    limits: Vec<(String, Value)>,
    /// Why: for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Reads `cap=8` or `cap=plan`.
fn limit(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("expected a name and a number, such as cap=8")?;
    let value = match value {
        "plan" => Value::Null,
        number => number.parse::<u64>().map_or_else(|_| json!(number), |number| json!(number)),
    };
    Ok((name.to_owned(), value))
}

/// As a merge patch. The caps of types are one limit, by type.
fn patch(limits: Vec<(String, Value)>) -> Value {
    let mut patch = Map::new();
    for (name, value) in limits {
        match name.strip_prefix("type_caps.") {
            Some(kind) => patch.entry("type_caps").or_insert_with(|| json!({}))[kind] = value,
            None => drop(patch.insert(name, value)),
        }
    }
    Value::Object(patch)
}

const COLUMNS: [Column; 6] = [
    Column("ID", "/id", As::Text),
    Column("NAME", "/name", As::Text),
    Column("PLAN", "/plan", As::Text),
    Column("STATUS", "/status", As::Text),
    Column("SLUG", "/slug", As::Text),
    Column("AGE", "/created_at", As::Age),
];
const QUOTAS: [Column; 5] = [
    Column("QUOTA", "/quota", As::Text),
    Column("USED", "/current", As::Number),
    Column("MAXIMUM", "/maximum", As::Number),
    Column("UNIT", "/unit", As::Text),
    Column("RESETS", "/resets_at", As::Age),
];

impl Run for Command {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(List { status, plan, limit }) => {
                let query = [("status", status.unwrap_or_default()), ("plan", plan.unwrap_or_default())];
                let query = query.each_ref().map(|(name, value)| (*name, value.as_str()));
                session.output.list(&COLUMNS, &session.api.all("/tenants", &query, "tenants", limit).await?)
            }
            Self::Show(Named { id }) => {
                let tenant = session.tenant_or(id).await?;
                session.output.show(&session.api.get(&format!("/tenants/{}", segment(&tenant))).await?)
            }
            Self::Limits(Named { id }) => {
                let tenant = session.tenant_or(id).await?;
                session.output.show(&session.api.get(&tenant_path(&tenant, "limits")).await?)
            }
            Self::Usage(Named { id }) => usage(session, id).await,
            Self::Create(create) => create.run(session).await,
            Self::Set(set) => set.run(session).await,
            Self::Suspend(changed) => changed.run(session, "Suspend", "suspend").await,
            Self::Resume(changed) => changed.run(session, "Resume", "resume").await,
            Self::Delete(changed) => changed.run(session, "Delete", "delete").await,
        }
    }
}

async fn usage(session: &Session, id: Option<String>) -> Result<(), Failure> {
    let tenant = session.tenant_or(id).await?;
    let usage = session.api.get(&tenant_path(&tenant, "usage")).await?;
    let rows = usage["quotas"].as_object().into_iter().flatten().map(|(quota, used)| {
        let mut row = used.clone();
        row["quota"] = json!(quota);
        row
    });
    let table = super::output::table(&QUOTAS, &rows.collect::<Vec<_>>());
    session.output.report(&usage, &table)
}

impl Create {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { id, name, plan, reason } = self;
        let mut body = json!({ "id": id, "name": name.unwrap_or_else(|| id.clone()) });
        if let Some(plan) = plan {
            body["plan"] = json!(plan);
        }
        let made = session.api.change(Method::POST, "/tenants", Some(&body), reason.as_deref()).await?;
        session.output.show(&made)
    }
}

impl Set {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self { id, name, slug, plan, limits, reason } = self;
        let tenant = session.tenant_or(id).await?;
        let mut body = Map::new();
        for (field, value) in [("name", name), ("slug", slug), ("plan", plan)] {
            body.extend(value.map(|value| (field.to_owned(), json!(value))));
        }
        if !limits.is_empty() {
            body.insert("limits".to_owned(), patch(limits));
        }
        if body.is_empty() {
            return Err(Failure::Usage("say what to change: --name, --slug, --plan or --limit".to_owned()));
        }
        let path = format!("/tenants/{}", segment(&tenant));
        let body = Value::Object(body);
        session.output.show(&session.api.change(Method::PATCH, &path, Some(&body), reason.as_deref()).await?)
    }
}

impl Changed {
    async fn run(self, session: &Session, verb: &str, operation: &str) -> Result<(), Failure> {
        let Self { id, change } = self;
        if operation != "resume" {
            let limits = session.api.get(&tenant_path(&id, "limits")).await?;
            let (waiting, running) = (&limits["usage"]["backlog_jobs"], &limits["usage"]["active"]);
            change.confirm(&format!("{verb} the tenant {id}: {waiting} jobs wait and {running} run"))?;
        }
        let (method, path) = match operation {
            "delete" => (Method::DELETE, format!("/tenants/{}", segment(&id))),
            _ => (Method::POST, tenant_path(&id, operation)),
        };
        let done = change.send(session, method, &path, None).await?;
        let status = done.pointer("/tenant/status").or(done.get("status")).and_then(Value::as_str);
        session.output.done(&done, &format!("{id} is {}", status.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_become_a_merge_patch() {
        let limits = [
            "cap=8",
            "weight=plan",
            "type_caps.entities.extract=2",
            "type_caps.a.b=plan",
            "isolation=shared",
        ];
        let limits = limits.map(|text| limit(text).unwrap());
        assert_eq!(
            patch(limits.into()),
            json!({ "cap": 8, "weight": null, "isolation": "shared",
                "type_caps": { "entities.extract": 2, "a.b": null } })
        );
        assert!(limit("cap").unwrap_err().contains("cap=8"));
    }
}
