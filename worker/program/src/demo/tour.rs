//! The demo from start to finish, through the HTTP API only.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures::{StreamExt, stream};
use ingest::text::media_type_of;
use serde_json::Value;
use walkdir::{DirEntry, WalkDir};

use super::client::{Client, Problem};
use super::report::{CrossTenantRead, DocumentReport, Progress, Summary, TenantBar, TenantReport};

/// Interval between two requests for the progress.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Without any progress for this long the demo fails.
const STALLED_AFTER: Duration = Duration::from_secs(180);
/// Concurrent uploads.
const UPLOADS_AT_ONCE: usize = 8;

/// How many sample texts the busy tenant gets, and how large one is at most.
const SAMPLES: usize = 8;
const SAMPLE_BYTES: u64 = 100_000;

/// What to show.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Folder with one subfolder of sample documents for each tenant.
    pub samples: PathBuf,
    /// A folder of the user's own, ingested for the first tenant in place of its samples.
    pub docs: Option<PathBuf>,
}

/// One tenant of the demo, with its client and files.
struct Guest {
    tenant: String,
    client: Client,
    found: Vec<Found>,
    left_out: Vec<LeftOut>,
    unreadable: Vec<LeftOut>,
}

/// Provisions two tenants, ingests their documents and reports. `operator` is a client with the operator's key.
///
/// # Errors
/// When there is nothing to ingest, the API fails, or progress stops.
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
    /// Some sample texts of the last tenant, with their names.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn samples_of_last(&self) -> anyhow::Result<Vec<(String, String)>> {
        let Some((_, folder)) = folders(self)?.pop() else { return Ok(Vec::new()) };
        let small = |file: &Found| fs::metadata(&file.path).is_ok_and(|data| data.len() < SAMPLE_BYTES);
        let found = walk(&folder).0.into_iter().filter(small).take(SAMPLES);
        Ok(found.filter_map(|file| Some((file.name, fs::read_to_string(file.path).ok()?))).collect())
    }

    /// Reads the folders before anything is started.
    ///
    /// # Errors
    /// When a folder cannot be read or holds nothing to ingest. The error names the setting and the fix.
    pub fn check(&self) -> anyhow::Result<()> {
        for (_, path) in folders(self)? {
            readable(&path)?;
        }
        Ok(())
    }
}

/// The files to upload and the files that are left out; an error when there is nothing to upload.
fn readable(folder: &Path) -> anyhow::Result<(Vec<Found>, Vec<LeftOut>)> {
    let (found, left_out) = walk(folder);
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
            let refused = |problem: Problem| LeftOut {
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
            bars.iter().for_each(TenantBar::finish);
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

/// Documents that were uploaded and could not be ingested, each with the reason.
async fn unreadable(guest: &Guest) -> anyhow::Result<Vec<LeftOut>> {
    let documents = guest.client.documents(&guest.tenant).await?;
    let failed = documents.into_iter().filter(|document| document.status == "failed");
    let reason = |problem: Problem| format!("{}: {}", problem.code, problem.detail);
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

/// Number of jobs by state.
fn by_state(jobs: &Value) -> BTreeMap<String, u64> {
    let states =
        jobs["counts"].as_object().into_iter().flatten().map(|(state, count)| (state.as_str(), count));
    let states = states.chain([("completed", &jobs["totals"]["completed"])]);
    states.map(|(state, count)| (state.to_owned(), count.as_u64().unwrap_or_default())).collect()
}

/// Reads the second tenant's graph with the first tenant's key, which the API must reject.
async fn look_across(guests: &[Guest]) -> anyhow::Result<CrossTenantRead> {
    let path = format!("/api/v1/tenants/{}/kbs/default/graph", guests[1].tenant);
    let (status, problem) = guests[0].client.refusal(&path).await?;
    let request = format!("GET {path} with the key of {}", guests[0].tenant);
    Ok(CrossTenantRead { request, status, code: problem.code, refused: status == 403 })
}

/// The largest file the API takes by default.
const MAX_BYTES: u64 = 20 * 1024 * 1024;

/// A file to upload under `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    /// Its path below the folder, with forward slashes.
    name: String,
    /// Where it is.
    path: PathBuf,
    /// Its media type.
    media_type: &'static str,
}

/// A file that is not uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LeftOut {
    /// Its path below the folder.
    name: String,
    /// Why.
    reason: String,
}

/// Everything below `folder`, by name. Hidden files and folders are skipped; links are followed.
#[must_use]
fn walk(folder: &Path) -> (Vec<Found>, Vec<LeftOut>) {
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry)) {
        match entry {
            Ok(entry) if entry.file_type().is_file() => match look(folder, &entry) {
                Ok(file) => found.push(file),
                Err(reason) => left_out.push(LeftOut { name: name_below(folder, entry.path()), reason }),
            },
            Ok(_) => {}
            Err(error) => {
                let path = error.path().unwrap_or(folder);
                left_out.push(LeftOut { name: name_below(folder, path), reason: error.to_string() });
            }
        }
    }
    (found, left_out)
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}

fn look(folder: &Path, entry: &DirEntry) -> Result<Found, String> {
    let name = name_below(folder, entry.path());
    let media_type = media_type_of(&name).ok_or("unsupported type: only text, Markdown and HTML are read")?;
    match fs::metadata(entry.path()).map_err(|error| error.to_string())?.len() {
        0 => Err("empty".to_owned()),
        1..=MAX_BYTES => Ok(Found { name, path: entry.path().to_owned(), media_type }),
        bytes => Err(format!("{bytes} bytes are more than {MAX_BYTES}")),
    }
}

fn name_below(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
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

    #[test]
    fn a_folder_is_split_into_what_is_read_and_what_is_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sub/.git")).unwrap();
        for (name, text) in [
            ("b.md", "# B"),
            ("sub/a.html", "<p>A"),
            ("sub/.git/config.txt", "no"),
            ("photo.png", "\u{89}PNG"),
            ("empty.txt", ""),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let (found, left_out) = walk(dir.path());
        let names: Vec<_> = found.iter().map(|file| file.name.as_str()).collect();
        let out: Vec<_> = left_out.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["b.md", "sub/a.html"]);
        assert_eq!(out, ["empty.txt", "photo.png"]);
    }
}
