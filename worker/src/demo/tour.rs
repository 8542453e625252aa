//! The demo from start to finish, through nothing but the HTTP API.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures::{StreamExt, stream};
use serde_json::Value;

use super::client::Client;
use super::folder::{self, Found, LeftOut};
use super::progress::Progress;
use super::report::{CrossTenantRead, DocumentReport, Summary, TenantReport};

/// How often the API is asked how far things are.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// When nothing moves for so long, something is wrong.
const STALLED_AFTER: Duration = Duration::from_secs(180);
/// How many uploads are under way at once.
const UPLOADS_AT_ONCE: usize = 8;

/// What to show.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Folder with one subfolder of sample documents for each tenant.
    pub samples: PathBuf,
    /// A folder of the user's own, ingested for the first tenant in place of its samples.
    pub docs: Option<PathBuf>,
}

/// One tenant of the demo.
struct Guest {
    tenant: String,
    client: Client,
    found: Vec<Found>,
    left_out: Vec<LeftOut>,
    unreadable: Vec<LeftOut>,
}

/// Provisions, ingests and reports. `operator` is a client with the operator's key.
///
/// # Errors
/// When there is nothing to ingest, the API fails, or nothing moves any more.
pub async fn run(
    operator: &Client,
    options: &DemoOptions,
) -> anyhow::Result<(Summary, Vec<(String, String)>)> {
    let mut guests = Vec::new();
    let mut keys = Vec::new();
    for (tenant, path) in folders(options)? {
        let (found, left_out) = readable(&path)?;
        let created = operator.tenant_create(&tenant).await.context("cannot create a tenant")?;
        keys.push((tenant.clone(), created.api_key.clone()));
        guests.push(Guest {
            tenant,
            client: operator.with_key(&created.api_key),
            found,
            left_out,
            unreadable: Vec::new(),
        });
    }
    for guest in &guests {
        wait_until_active(operator, &guest.tenant).await?;
    }
    let start = Instant::now();
    upload_all(&mut guests).await?;
    let documents = watch(&guests).await?;
    for guest in &mut guests {
        guest.unreadable = unreadable(guest).await?;
    }
    let seconds = start.elapsed().as_secs_f64();

    let mut tenants = Vec::new();
    for (guest, documents) in guests.iter().zip(documents) {
        tenants.push(report(guest, documents).await?);
    }
    let cross_tenant_read = look_across(&guests).await?;
    // The samples are known to be readable. In a folder of the user's own some file may not be; that is reported.
    let readable = options.docs.is_some() || tenants.iter().all(|tenant| tenant.documents.failed == 0);
    let ok = cross_tenant_read.refused && readable;
    Ok((Summary { ok, seconds, tenants, cross_tenant_read }, keys))
}

impl DemoOptions {
    /// Looks at the folders, before anything is started.
    ///
    /// # Errors
    /// When one cannot be read or holds nothing to ingest. The error names the setting and the fix.
    pub fn check(&self) -> anyhow::Result<()> {
        for (_, path) in folders(self)? {
            readable(&path)?;
        }
        Ok(())
    }
}

/// What a folder holds; it is an error if that is nothing.
fn readable(folder: &Path) -> anyhow::Result<(Vec<Found>, Vec<LeftOut>)> {
    let (found, left_out) = folder::walk(folder);
    let shown = folder.display();
    ensure!(!found.is_empty(), "{shown} holds no text, Markdown or HTML file: name a folder that does");
    Ok((found, left_out))
}

/// The tenants, and the folder that each of them ingests.
fn folders(options: &DemoOptions) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let samples = &options.samples;
    let missing = || {
        let shown = samples.display();
        format!("--samples: {shown} cannot be read: start in the project's folder, or name the samples")
    };
    let mut tenants = Vec::new();
    for entry in std::fs::read_dir(samples).with_context(missing)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            tenants.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    tenants.sort();
    let shown = samples.display();
    ensure!(
        tenants.len() >= 2,
        "--samples: {shown} needs a folder for each of two tenants: name another one"
    );
    if let Some(docs) = &options.docs {
        let shown = docs.display();
        ensure!(
            docs.exists(),
            "--docs: {shown} does not exist: name a folder with text, Markdown or HTML files"
        );
        ensure!(docs.is_dir(), "--docs: {shown} is a file: name a folder with text, Markdown or HTML files");
        tenants[0].1.clone_from(docs);
    }
    Ok(tenants)
}

async fn wait_until_active(operator: &Client, tenant: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    while operator.tenant_status(tenant).await? != "active" {
        ensure!(start.elapsed() < STALLED_AFTER, "tenant {tenant} was not provisioned in {STALLED_AFTER:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

async fn upload_all(guests: &mut [Guest]) -> anyhow::Result<()> {
    for guest in guests {
        let (client, tenant) = (&guest.client, &guest.tenant);
        let uploads = stream::iter(guest.found.clone()).map(async |file: Found| {
            let answer = client.upload(tenant, &file.name, file.media_type, &file.path).await?;
            let refused = |problem: super::client::Problem| LeftOut {
                name: file.name.clone(),
                reason: format!("{}: {}", problem.code, problem.detail),
            };
            anyhow::Ok(answer.err().map(refused))
        });
        let answers: Vec<_> = uploads.buffer_unordered(UPLOADS_AT_ONCE).collect().await;
        for answer in answers {
            guest.left_out.extend(answer?);
        }
    }
    Ok(())
}

/// Shows the progress until every document of every tenant has ended.
async fn watch(guests: &[Guest]) -> anyhow::Result<Vec<DocumentReport>> {
    let progress = Progress::start();
    let mut bars: Vec<_> =
        guests.iter().map(|guest| progress.tenant(&guest.tenant, guest.found.len())).collect();
    let (mut last, mut moved) = (Vec::new(), Instant::now());
    loop {
        let mut reports = Vec::new();
        for (guest, bar) in guests.iter().zip(&mut bars) {
            reports.push(bar.show(&guest.client.documents(&guest.tenant).await?));
        }
        if reports.iter().all(|report| report.processed + report.failed == report.total) {
            bars.iter().for_each(super::progress::TenantBar::finish);
            return Ok(reports);
        }
        let ended: Vec<_> = reports.iter().map(|report| report.processed + report.failed).collect();
        if ended != last {
            (last, moved) = (ended, Instant::now());
        } else if moved.elapsed() > STALLED_AFTER {
            bail!("no document got further in {STALLED_AFTER:?}; look at the log above");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Documents that were taken and could not be read, and why.
async fn unreadable(guest: &Guest) -> anyhow::Result<Vec<LeftOut>> {
    let documents = guest.client.documents(&guest.tenant).await?;
    let failed = documents.into_iter().filter(|document| document.status == "failed");
    let reason = |problem: super::client::Problem| format!("{}: {}", problem.code, problem.detail);
    Ok(failed
        .map(|document| LeftOut {
            name: document.name,
            reason: document.error.map_or_else(String::new, reason),
        })
        .collect())
}

async fn report(guest: &Guest, documents: DocumentReport) -> anyhow::Result<TenantReport> {
    let tenant = &guest.tenant;
    let graph = guest.client.get(&format!("/api/v1/tenants/{tenant}/kbs/default/graph?limit=1")).await?;
    let jobs = guest.client.get(&format!("/api/v1/tenants/{tenant}/jobs")).await?;
    let count = |name: &str| graph["counts"][name].as_u64().unwrap_or_default();
    Ok(TenantReport {
        tenant: tenant.clone(),
        documents,
        chunks: count("chunks"),
        entities: count("entities"),
        relations: count("relations"),
        jobs: by_state(&jobs),
        left_out: guest.left_out.iter().map(pair).collect(),
        failed: guest.unreadable.iter().map(pair).collect(),
    })
}

fn pair(file: &LeftOut) -> (String, String) {
    (file.name.clone(), file.reason.clone())
}

/// Jobs by state, and how many were completed.
fn by_state(jobs: &Value) -> BTreeMap<String, u64> {
    let states =
        jobs["counts"].as_object().into_iter().flatten().map(|(state, count)| (state.as_str(), count));
    let states = states.chain([("completed", &jobs["totals"]["completed"])]);
    states.map(|(state, count)| (state.to_owned(), count.as_u64().unwrap_or_default())).collect()
}

/// The first tenant's key, used on the second tenant's graph.
async fn look_across(guests: &[Guest]) -> anyhow::Result<CrossTenantRead> {
    let path = format!("/api/v1/tenants/{}/kbs/default/graph", guests[1].tenant);
    let (status, problem) = guests[0].client.refusal(&path).await?;
    let request = format!("GET {path} with the key of {}", guests[0].tenant);
    Ok(CrossTenantRead { request, status, code: problem.code, refused: status == 403 })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn jobs_are_counted_by_state() {
        let answer = json!({
            "counts": { "available": 2, "discarded": 1 },
            "totals": { "completed": 7, "discarded": 3 },
            "jobs": [{ "id": "0198", "state": "available" }],
        });
        let expected = [("available", 2), ("completed", 7), ("discarded", 1)];
        assert_eq!(by_state(&answer), expected.map(|(state, count)| (state.to_owned(), count)).into());
    }
}
