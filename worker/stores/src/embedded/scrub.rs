//! Scrubbing: removes what deleted rows leave in a file.
//!
//! `secure_delete` overwrites a deleted row, but not copies of it that stay behind when a full page was split, and
//! the log keeps the page as it was before. So a while after a deletion the file is rebuilt (`VACUUM`) and the log
//! emptied. The file itself records that this is due (`user_version`), so that the record survives the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, SqliteConnection, SqliteExecutor, SqlitePool};

/// `user_version` of a clean file. Each deletion adds one; 0 is a file from before scrubbing existed.
const CLEAN: i64 = 1;
/// How long to wait for further deletions before a pass.
const DELAY: Duration = Duration::from_millis(500);
/// Attempts while others read, or the disk is full. After that the next deletion or start tries again.
const ATTEMPTS: u32 = 10;
/// Rebuilding takes at most this share of the time: one part in this many.
const SHARE: u32 = 50;
/// Largest file, in pages, that is rebuilt automatically (256 MiB), because nothing can be written meanwhile. Of
/// larger files only the log is emptied.
const PAGES_MAX: i64 = 65_536;

/// Scrubs one file, one pass at a time.
#[derive(Default)]
pub(super) struct Scrubber {
    is_running: Arc<AtomicBool>,
}

impl Scrubber {
    /// The scrubber of a file that was just opened and is not migrated yet. Continues what an earlier process left
    /// to do.
    pub(super) async fn of(writer: &SqlitePool) -> sqlx::Result<Self> {
        let scrubber = Self::default();
        let version = user_version(writer).await?;
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(writer).await?;
        // Enabling WAL mode already creates the first page, so this is a new file.
        if version < CLEAN && pages <= 1 {
            user_version_set(writer, CLEAN).await?;
        } else if version != CLEAN {
            scrubber.start(writer);
        }
        Ok(scrubber)
    }

    /// Starts a background pass soon, if one is due.
    pub(super) fn start(&self, writer: &SqlitePool) {
        if self.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        let (writer, is_running) = (writer.clone(), Arc::clone(&self.is_running));
        tokio::spawn(async move {
            while let Some(dealt_with) = scrub_patiently(&writer).await {
                is_running.store(false, Ordering::Release);
                // A deletion noted during the pass did not start one of its own.
                let is_more = user_version(&writer).await.is_ok_and(|version| version != dealt_with);
                if !is_more || is_running.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
            is_running.store(false, Ordering::Release);
        });
    }
}

/// Records in a transaction that it deletes data of which no part of the file may keep a copy.
pub(crate) async fn note(tx: &mut SqliteConnection) -> sqlx::Result<()> {
    let version = user_version(&mut *tx).await?;
    let next = if version < i64::from(i32::MAX) { version.max(CLEAN) + 1 } else { CLEAN + 1 };
    user_version_set(tx, next).await
}

/// Retries until a pass succeeds. Returns the `user_version` that is dealt with; `None` after the last attempt.
async fn scrub_patiently(writer: &SqlitePool) -> Option<i64> {
    let mut rest = DELAY;
    for _ in 0..ATTEMPTS {
        tokio::time::sleep(rest).await;
        if writer.is_closed() {
            return None;
        }
        let started = Instant::now();
        match scrub(writer).await {
            Ok(Some(version)) => return Some(version),
            Ok(None) => {}
            Err(error) => tracing::debug!("a file was not cleaned: {}", jobs::error::report(&error)),
        }
        rest = DELAY.max(started.elapsed() * SHARE);
    }
    tracing::warn!("what was deleted may still be in parts of a file; the next deletion or start cleans it");
    None
}

/// One pass. `None` when something was deleted meanwhile, or a reader kept the log from being emptied.
async fn scrub(writer: &SqlitePool) -> sqlx::Result<Option<i64>> {
    let mut connection = writer.acquire().await?;
    let before = user_version(&mut *connection).await?;
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *connection).await?;
    if before != CLEAN && pages <= PAGES_MAX {
        sqlx::query("VACUUM").execute(&mut *connection).await?;
        // Another process may have deleted more; its pass is still due.
        if user_version(&mut *connection).await? != before {
            return Ok(None);
        }
        user_version_set(&mut *connection, CLEAN).await?;
    }
    let (busy, _, _): (i64, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await?;
    let now = user_version(&mut *connection).await?;
    Ok((busy == 0).then_some(now))
}

async fn user_version(reader: impl SqliteExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar("PRAGMA user_version").fetch_one(reader).await
}

async fn user_version_set(writer: impl SqliteExecutor<'_>, version: i64) -> sqlx::Result<()> {
    // A pragma takes no parameters.
    sqlx::query(AssertSqlSafe(format!("PRAGMA user_version = {version}"))).execute(writer).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::SqliteFile;
    use super::*;
    use crate::content_db::USAGE;

    const SECRET: &str = "the secret of a person";

    fn is_in(path: &Path) -> bool {
        let wal = path.with_extension("db-wal");
        [path, &wal].into_iter().any(|path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
        })
    }

    async fn wait_until_gone(path: &Path) {
        let start = Instant::now();
        while is_in(path) {
            assert!(start.elapsed() < Duration::from_secs(60), "it is still there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Inserts rows of many sizes in random order, so that pages are split, and some of them secret.
    async fn fill(file: &SqliteFile) {
        let mut tx = file.begin().await.unwrap();
        for number in 0..600_u64 {
            let key = format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let secret = if number % 3 == 0 { SECRET } else { "nothing" };
            let text = format!("{key} {}", format!("{secret} ").repeat((number * 37 % 40) as usize));
            let sql = "INSERT INTO document_texts (tenant_id, kb_id, document_id, revision, title, text)
                       VALUES ('acme', ?, ?, 1, ?, ?)";
            let kb = if number % 3 == 0 { "gone" } else { "kept" };
            sqlx::query(sql).bind(kb).bind(key).bind(secret).bind(text).execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn what_was_deleted_is_in_no_part_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acme.db");
        let file = SqliteFile::open(&path, &USAGE).await.unwrap();
        fill(&file).await;
        assert!(is_in(&path));
        let mut tx = file.begin().await.unwrap();
        sqlx::query("DELETE FROM document_texts WHERE kb_id = 'gone'").execute(&mut *tx).await.unwrap();
        note(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        file.scrub_noted();
        wait_until_gone(&path).await;
        let kept: i64 =
            sqlx::query_scalar("SELECT count(*) FROM document_texts").fetch_one(file.read()).await.unwrap();
        assert_eq!(kept, 400);
    }

    #[tokio::test]
    async fn a_file_from_before_is_cleaned_when_it_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acme.db");
        let file = SqliteFile::open(&path, &USAGE).await.unwrap();
        fill(&file).await;
        for old in ["PRAGMA secure_delete = off", "DELETE FROM document_texts WHERE kb_id = 'gone'"] {
            sqlx::query(old).execute(file.write()).await.unwrap();
        }
        user_version_set(file.write(), 0).await.unwrap();
        file.close().await;
        assert!(is_in(&path));
        let _file = SqliteFile::open(&path, &USAGE).await.unwrap();
        wait_until_gone(&path).await;
    }
}
