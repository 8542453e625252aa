//! Advisory locks of the index, always taken in this order: document, workspace, names. So nobody waits in a
//! circle.

use jobs::DocumentId;
use sha2::{Digest as _, Sha256};

use super::tx::Tx;
use crate::index::fold::GraphKeys;
use crate::model::WorkspaceId;
use crate::ports::StoreResult;

/// Above this many names a transaction locks the whole workspace instead: the server has room for some
/// thousand locks of all connections together.
const NAMES_MAX: usize = 256;

impl Tx {
    /// Until the end of this transaction nobody else changes what the index holds of the document.
    pub(super) async fn lock_document(
        &mut self,
        workspace: &WorkspaceId,
        document: &DocumentId,
    ) -> StoreResult<()> {
        let key = lock_key(&[workspace.as_str(), "document", document.as_str()]);
        self.execute(sqlx::query("select pg_advisory_xact_lock($1)").bind(key)).await.map(drop)
    }

    /// Until the end of this transaction nobody else derives these entities and relations. Locks names only:
    /// whoever derives a relation also derives both of its ends.
    pub(crate) async fn lock_names(&mut self, workspace: &WorkspaceId, keys: &GraphKeys) -> StoreResult<()> {
        let all = lock_key(&[workspace.as_str(), "all"]);
        if keys.entities.len() > NAMES_MAX {
            return self.execute(sqlx::query("select pg_advisory_xact_lock($1)").bind(all)).await.map(drop);
        }
        self.execute(sqlx::query("select pg_advisory_xact_lock_shared($1)").bind(all)).await?;
        let name_key = |name: &String| lock_key(&[workspace.as_str(), "name", name]);
        let mut names: Vec<i64> = keys.entities.iter().map(name_key).collect();
        names.sort_unstable();
        names.dedup();
        // One statement; rows of unnest come in the order of the array.
        let sql = sqlx::query("select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as key");
        self.execute(sql.bind(names)).await.map(drop)
    }
}

/// Two things that share a key wait for each other, nothing worse.
fn lock_key(parts: &[&str]) -> i64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(lock_key(&["ab", "c"]), lock_key(&["a", "bc"]));
        assert_eq!(lock_key(&["a", "b"]), lock_key(&["a", "b"]));
    }
}
