//! Uploading a folder: every file is a document of its own, all of them are one batch, and the command ends when all
//! are in the graph or failed.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures::{StreamExt as _, stream};
use jobs::clock::{Clock as _, SystemClock};
use jobs::{BatchId, Lane};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use walkdir::{DirEntry, WalkDir};

use super::batches::report_on;
use super::connection::Session;
use super::failure::Failure;
use super::progress::Progress;
use super::stream::{Events, ServerEvent};
use super::tail::{Ended, report};

/// Files that are sent at once.
const AT_ONCE: usize = 4;
/// How long one file may be refused for reasons that pass, such as a full queue, before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long there may be no answer before the command ends.
const AWAY: Duration = Duration::from_secs(60);

/// Uploads files and follows them into the graph.
#[derive(Debug, Args)]
pub(crate) struct Upload {
    /// A folder, or one file. Hidden files are left out; a file's path below the folder is its document's name.
    folder: PathBuf,
    /// Put in front of each name, such as `handbook/`.
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// End when everything is uploaded.
    #[arg(long)]
    no_wait: bool,
}

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// With forward slashes.
    pub(super) name: String,
    path: PathBuf,
}

/// Every file below a folder, by name.
pub(super) fn files_below(folder: &Path) -> Result<Vec<File>, Failure> {
    let unusable =
        |reason: String| Failure::Usage(format!("FOLDER: {} cannot be read: {reason}", folder.display()));
    let is_hidden =
        |entry: &DirEntry| entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.');
    let mut files = Vec::new();
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| !is_hidden(entry)) {
        let entry = entry.map_err(|error| unusable(jobs::error::root(&error)))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let below = entry.path().strip_prefix(folder).ok().filter(|below| below.iter().next().is_some());
        let below = below.unwrap_or(Path::new(entry.file_name()));
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        files.push(File { name: parts.join("/"), path: entry.path().to_owned() });
    }
    if files.is_empty() { Err(unusable("it has no files".to_owned())) } else { Ok(files) }
}

impl Upload {
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let path = session.kb_path("documents").await?;
        let files = files_below(&self.folder)?;
        if !self.no_wait {
            // What cannot be followed is not begun: the URL, the key and the knowledge base are right.
            session.api.get(&format!("{path}?limit=1")).await?;
        }
        let label = self.folder.display().to_string();
        let mut folder = Folder::new(files.len(), self.no_wait);
        let batch = BatchId::generate(SystemClock.now(), rand::random()).to_string();
        // Few files are awaited by the person who sends them.
        let lane = if files.len() > HANDFUL { Lane::Bulk } else { Lane::Interactive };
        let (prefix, place) = (&self.prefix, (path.as_str(), batch.as_str(), lane));
        let named = files.into_iter().map(|file| File { name: format!("{prefix}{}", file.name), ..file });
        let sends = stream::iter(named).map(|file| async move {
            let sent = send(session, place, &file).await;
            (file.name, sent)
        });
        let mut sends = std::pin::pin!(sends.buffer_unordered(AT_ONCE));
        let mut progress = Progress::start(&label);
        let events = Events::of(&session.api, session.tenant_path(&format!("batches/{batch}/events")).await?);
        // A stream, so that what it has begun goes on while files are sent.
        let events = stream::unfold(events, |mut events| async move { Some((events.next().await, events)) });
        let mut events = std::pin::pin!(events);
        while folder.is_open() {
            tokio::select! {
                Some((name, sent)) = sends.next() => folder.sent(name, sent)?,
                Some(event) = events.next(), if folder.is_followed() => folder.told(event?),
            }
            folder.show(&mut progress);
        }
        progress.finish();
        folder.report(session)
    }
}

/// Up to so many files are taken for a person's who waits for them, as the API does.
const HANDFUL: usize = 5;

/// A folder on its way.
struct Folder {
    total: usize,
    /// Whether it is done when everything is uploaded.
    no_wait: bool,
    uploaded: usize,
    /// The documents that were accepted. Two files may be one document.
    accepted: HashSet<String>,
    /// The files that were not: code and detail by name.
    left_out: BTreeMap<String, (String, String)>,
    /// The batch as it was last told.
    batch: Value,
}

impl Folder {
    fn new(total: usize, no_wait: bool) -> Self {
        let (accepted, left_out) = (HashSet::new(), BTreeMap::new());
        Self { total, no_wait, uploaded: 0, accepted, left_out, batch: Value::Null }
    }

    fn sent(&mut self, name: String, sent: Result<Value, Failure>) -> Result<(), Failure> {
        self.uploaded += 1;
        match sent.and_then(|answer| accepted(&answer)) {
            Ok(id) => drop(self.accepted.insert(id)),
            Err(failure) => drop(self.left_out.insert(name, left_out(failure)?)),
        }
        Ok(())
    }

    fn told(&mut self, event: ServerEvent) {
        if event.name == "snapshot" {
            self.batch = event.data;
        }
    }

    fn number(&self, pointer: &str) -> usize {
        let number = self.batch.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        usize::try_from(number).unwrap_or(usize::MAX)
    }

    /// Whether its batch is there, which it is with the first document, and waited for.
    fn is_followed(&self) -> bool {
        !self.no_wait && !self.accepted.is_empty()
    }

    fn is_open(&self) -> bool {
        // What was told before the last file was accepted does not count.
        let has_ended =
            self.batch["state"] != "active" && self.number("/progress/total") >= self.accepted.len();
        self.uploaded < self.total || (self.is_followed() && !has_ended)
    }

    fn show(&self, progress: &mut Progress) {
        let (uploaded, ended) = (self.uploaded, self.number("/progress/done"));
        let failed = self.left_out.len() + self.number("/counts/failed");
        let on_their_way = if self.no_wait { 0 } else { self.accepted.len().saturating_sub(ended) };
        let done = self.left_out.len() + if self.no_wait { self.accepted.len() } else { ended };
        let message = format!("{uploaded} uploaded, {on_their_way} on their way, {failed} failed");
        progress.show(done, self.total, &message);
    }

    fn report(self, session: &Session) -> Result<(), Failure> {
        if !self.no_wait {
            return report_on(session, &self.batch, self.left_out);
        }
        let left_out = self.left_out.into_iter().map(|(name, error)| Ended { name, error: Some(error) });
        let sent = self.accepted.into_iter().map(|id| Ended { name: id, error: None });
        report(session, &left_out.chain(sent).collect::<Vec<_>>(), "uploaded")
    }
}

/// Why one file is not uploaded. What would keep out every other file too ends the command.
fn left_out(failure: Failure) -> Result<(String, String), Failure> {
    match failure {
        Failure::Refused(problem) if !matches!(problem.status, 401 | 403 | 404) => {
            Ok((problem.code, problem.detail))
        }
        Failure::Failed(reason) => Ok(("unreadable".to_owned(), reason)),
        other => Err(other),
    }
}

/// The id of the document that an upload was accepted as.
fn accepted(answer: &Value) -> Result<String, Failure> {
    let id = answer["documents"][0]["document_id"].as_str().map(str::to_owned);
    id.ok_or_else(|| Failure::Failed("the answer to the upload names no document".to_owned()))
}

/// Sends one file until it is accepted, or refused for good. The key makes sure that it is accepted once.
async fn send(
    session: &Session,
    (path, batch, lane): (&str, &str, Lane),
    file: &File,
) -> Result<Value, Failure> {
    let bytes =
        tokio::fs::read(&file.path).await.map_err(|error| Failure::Failed(jobs::error::plain_io(&error)))?;
    let key = format!("upload-{:032x}", rand::random::<u128>());
    let mut waited = Duration::ZERO;
    loop {
        let form = Form::new().part("file", Part::bytes(bytes.clone()).file_name(file.name.clone()));
        let request = session.api.request(Method::POST, path).header("idempotency-key", &key);
        let request = request.header("batch-id", batch).header("lane", lane.as_str()).multipart(form);
        let failure = match session.api.json(request).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let patience = if matches!(failure, Failure::Unreachable { .. }) { AWAY } else { PATIENCE };
        let Some(seconds) = failure.passes_in_s().filter(|_| waited < patience) else { return Err(failure) };
        let pause = Duration::from_secs(seconds.max(1));
        tokio::time::sleep(pause).await;
        waited += pause;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_named_by_their_path_below_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("sub/.git")).unwrap();
        for name in ["b.md", "sub/a.html", "sub/.git/config.txt", ".hidden.md"] {
            fs::write(folder.path().join(name), "text").unwrap();
        }
        let names =
            |path: &Path| files_below(path).unwrap().into_iter().map(|file| file.name).collect::<Vec<_>>();
        assert_eq!(names(folder.path()), ["b.md", "sub/a.html"]);
        assert_eq!(names(&folder.path().join("sub/a.html")), ["a.html"]);
        let empty = tempfile::tempdir().unwrap();
        assert!(files_below(empty.path()).unwrap_err().to_string().contains("no files"));
        let nowhere = files_below(&empty.path().join("nowhere")).unwrap_err().to_string();
        assert!(nowhere.contains("no such file"), "{nowhere}");
    }
}
