//! Work on a shard that one process shall do for all.

use std::time::Duration;

use super::client::Queue;
use super::connection::Resend;
use super::error::QueueError;

impl Queue {
    /// The shards for which it is this process's turn to do the work called `name`: of all that ask within `period`,
    /// one gets each shard. A Redis that lost its data has forgotten whose turn it was, so that work is done again
    /// at once.
    ///
    /// # Errors
    /// When Redis fails. Turns may be taken then, until `period` is over.
    pub async fn turns(&self, name: &str, period: Duration) -> Result<Vec<u16>, QueueError> {
        let period_ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut turns = Vec::new();
        for shard in self.shards() {
            let mut command = redis::cmd("SET");
            command.arg(self.turn_key(shard, name)).arg(1).arg("NX").arg("PX").arg(period_ms);
            if self.servers().query::<Option<String>>(shard, &command, Resend::Never).await?.is_some() {
                turns.push(shard);
            }
        }
        Ok(turns)
    }

    /// Gives turns back, because the work was not done.
    ///
    /// # Errors
    /// When Redis fails. Then they are free when their period is over.
    pub async fn turns_end(&self, name: &str, shards: &[u16]) -> Result<(), QueueError> {
        for &shard in shards {
            let mut command = redis::cmd("DEL");
            command.arg(self.turn_key(shard, name));
            self.servers().query::<i64>(shard, &command, Resend::Safe).await?;
        }
        Ok(())
    }

    fn turn_key(&self, shard: u16, name: &str) -> String {
        self.key(shard, &format!("turn:{name}"))
    }
}
