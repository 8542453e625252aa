//! What the dashboard has to show when the demo is done, made by requests that any client could send: a tenant that is
//! busy, a document that failed, a schedule that is paused.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;

/// How long the busy tenant stays busy.
const BUSY: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Fewer open jobs than these, and everything is read again.
const FEW: u64 = 10;
/// How often each document of the busy tenant is uploaded again under another name.
const YEARS: std::ops::Range<u32> = 2015..2027;
/// How long the document may take to fail.
const PATIENCE: Duration = Duration::from_secs(60);

/// Speaks of so many that have not been heard of that they have no room in a graph that is full.
const NEWCOMERS: &str = "# Visitors\n\nAurelia Thistlewood of Meridian Cartography met Bartholomew Quince and Cassandra \
    Whitlock in Port Halloran. Desmond Applegarth works for Northwind Instruments in Saltmarsh Landing.\n";
const FAILS: &str = "visitors-of-the-season.md";

/// Lets a document of `tenant` fail, and keeps a schedule that is paused. `operator` has the operator's key, `client`
/// one of the tenant's.
///
/// # Errors
/// When the API refuses something, or the document does not fail.
pub async fn trouble(operator: &Client, client: &Client, tenant: &str) -> anyhow::Result<()> {
    let (of_tenant, kb) =
        (format!("/api/v1/tenants/{tenant}"), format!("/api/v1/tenants/{tenant}/kbs/default"));
    let graph = client.get(&format!("{kb}/graph?limit=1")).await?;
    let full = graph["counts"]["entities"].as_u64().unwrap_or(1);
    let limit = async |limit: Value| {
        let change = json!({ "limits": { "entities_per_kb": limit } });
        operator.change(Method::PATCH, &of_tenant, Some(&change)).await
    };
    limit(json!(full)).await?;
    let document = json!({ "name": FAILS, "text": NEWCOMERS });
    client.change(Method::POST, &format!("{kb}/documents/text"), Some(&document)).await?;
    let begun = Instant::now();
    let ended = |status: &str| matches!(status, "failed" | "processed" | "partial");
    loop {
        let documents = client.documents(tenant).await?;
        if documents.iter().any(|document| document.name == FAILS && ended(&document.status)) {
            break;
        }
        ensure!(begun.elapsed() < PATIENCE, "{FAILS} neither failed nor was read in {PATIENCE:?}");
        tokio::time::sleep(LOOK_EVERY / 10).await;
    }
    // From now on there is room: who retries the job sees it go on.
    limit(Value::Null).await?;
    let schedule = json!({ "cron": "0 3 * * *", "time_zone": "Europe/Lisbon", "type": "kb.reindex" });
    client.change(Method::PUT, &format!("{kb}/schedules/nightly"), Some(&schedule)).await?;
    client.change(Method::POST, &format!("{kb}/schedules/nightly/pause"), None).await?;
    Ok(())
}

/// Gives `tenant` an archive of documents that it reads again and again, two at a time, for ten minutes. Returns when
/// the archive is uploaded; what comes then is to be awaited beside everything else.
///
/// # Errors
/// When the API refuses something.
pub async fn busy(
    operator: &Client,
    client: Client,
    tenant: &str,
    texts: &[(String, String)],
) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let (of_tenant, kb) =
        (format!("/api/v1/tenants/{tenant}"), format!("/api/v1/tenants/{tenant}/kbs/default"));
    let limits = json!({ "max_documents": 10_000, "daily_jobs": 1_000_000, "cap": 2 });
    operator.change(Method::PATCH, &of_tenant, Some(&json!({ "limits": limits }))).await?;
    for year in YEARS {
        let named = texts
            .iter()
            .map(|(name, text)| json!({ "name": format!("archive/{year}/{name}"), "text": text }));
        let batch = json!({ "documents": named.collect::<Vec<_>>() });
        let sent = client.change(Method::POST, &format!("{kb}/documents/batch"), Some(&batch)).await;
        sent.context("the archive was not taken")?;
    }
    let until = Instant::now() + BUSY;
    let (jobs, reindex) = (format!("{of_tenant}/jobs?limit=1"), format!("{kb}/reindex"));
    Ok(async move {
        while Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
            let Ok(found) = client.get(&jobs).await else { continue };
            let count = |state: &str| found["counts"][state].as_u64().unwrap_or_default();
            if count("available") + count("active") < FEW {
                // A refusal, such as of too many requests, passes.
                let _ = client.change(Method::POST, &reindex, None).await;
            }
        }
    })
}
