//! What was deleted stays in Redis' append-only file until that is rewritten, which a small server may never do by
//! itself.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::RedisResult;

use super::Commands;

/// Until the job that deleted has ended as well, and with it what Redis knows of it.
const DELAY: Duration = Duration::from_secs(1);

/// Lets a server rewrite its file, if that server belongs to us: on one that others use as well, when to do so is
/// for its operator to say.
#[derive(Clone)]
pub(super) struct Rewriter {
    own_files: Option<PathBuf>,
    is_planned: Arc<AtomicBool>,
}

impl Rewriter {
    pub(super) fn new(own_files: Option<PathBuf>) -> Self {
        Self { own_files, is_planned: Arc::default() }
    }

    /// Rewrites in a moment, together with what is deleted until then.
    pub(super) fn soon(&self, redis: &Commands) {
        let Some(own_files) = self.own_files.clone() else { return };
        if self.is_planned.swap(true, Ordering::AcqRel) {
            return;
        }
        let (mut redis, is_planned) = (redis.clone(), Arc::clone(&self.is_planned));
        tokio::spawn(async move {
            tokio::time::sleep(DELAY).await;
            is_planned.store(false, Ordering::Release);
            if let Err(error) = rewrite(&mut redis, own_files).await {
                tracing::debug!("Redis did not rewrite its file: {error}");
            }
        });
    }
}

/// The server is ours when its files are where we have put them.
async fn rewrite(redis: &mut Commands, own_files: PathBuf) -> RedisResult<()> {
    let settings: HashMap<String, String> =
        redis::cmd("CONFIG").arg("GET").arg("dir").query_async(redis).await?;
    let directory = settings.get("dir").map(PathBuf::from).and_then(|path| path.canonicalize().ok());
    if directory.is_some() && directory == own_files.canonicalize().ok() {
        redis::cmd("BGREWRITEAOF").query_async::<redis::Value>(redis).await?;
    }
    Ok(())
}
