//! The mention log: which chunk mentions which entity or relation, and the graph changes that follow from it.
//!
//! Entities and relations are folds over the log ([`super::fold`]). For each key a bounded number of mentions is
//! read, so that an entity with ten thousand mentions costs no more than one with two hundred: the statements look
//! up the chunk of the last mention that counts, and read up to it.

use std::collections::HashMap;

use jobs::DocumentId;
use jobs::tenant::TenantId;
use sha2::{Digest as _, Sha256};

use super::fold::{
    self, Breaks, DocumentMentions, EntityMention, EntityRow, GraphKeys, MENTIONS_READ, RelationMention,
    RelationRow,
};
use super::{Entity, Relation};
use crate::catalog::{Row, Sql, Tx, Value, sql};
use crate::model::Kb;
use crate::ports::StoreResult;

/// Mentions inserted per statement.
const MENTIONS_SENT: usize = 2_000;
/// Keys read per statement: with all their mentions some tens of megabytes at worst.
const KEYS_READ: usize = 250;
/// With more names than this a transaction locks the whole workspace instead, because PostgreSQL has room for some
/// thousand advisory locks of all connections together.
const NAMES_LOCKED: usize = 256;

/// New values of some keys of the graph.
#[derive(Debug, Default)]
pub(crate) struct GraphChange {
    pub(crate) entities: Vec<Entity>,
    pub(crate) relations: Vec<Relation>,
    pub(crate) entities_gone: Vec<String>,
    pub(crate) relations_gone: Vec<(String, String)>,
}

/// One document's part of the log, in a transaction.
pub(super) struct Log<'a> {
    pub(super) tx: &'a mut Tx,
    pub(super) tenant: &'a TenantId,
    pub(super) kb: &'a Kb,
    pub(super) document: &'a DocumentId,
    /// The document's name.
    pub(super) name: &'a str,
}

impl Log<'_> {
    /// Replaces the document's mentions by `new`. Returns the new value of every key that gained or lost a mention.
    pub(super) async fn replace(&mut self, new: &DocumentMentions) -> StoreResult<GraphChange> {
        let mut keys = self.mentioned_before().await?;
        keys.extend(new.keys().await).await;
        self.lock_names(&keys).await?;
        for delete in [
            "delete from index_entity_mentions where tenant_id = $1 and workspace = $2 and document_id = $3",
            "delete from index_relation_mentions where tenant_id = $1 and workspace = $2 and document_id = $3",
        ] {
            let delete = self.of_workspace(delete).bind(self.document.as_str());
            self.tx.execute(delete).await?;
        }
        for batch in new.entities.chunks(MENTIONS_SENT) {
            self.entity_mentions_insert(batch).await?;
        }
        for batch in new.relations.chunks(MENTIONS_SENT) {
            self.relation_mentions_insert(batch).await?;
        }
        self.derive(&keys).await
    }

    /// A statement about one workspace of the tenant.
    fn of_workspace<'q>(&self, text: &'static str) -> Sql<'q> {
        sql(text).bind(self.tenant.to_string()).bind(self.kb.workspace.to_string())
    }

    /// The keys that the document mentioned before. Locks the document first, so that this is still true at the
    /// commit.
    async fn mentioned_before(&mut self) -> StoreResult<GraphKeys> {
        lock_document(self.tx, self.kb, self.document).await?;
        let (mut keys, mut breaks) = (GraphKeys::default(), Breaks::default());
        let names = self.of_workspace(
            "select distinct name from index_entity_mentions
             where tenant_id = $1 and workspace = $2 and document_id = $3",
        );
        let names = self.tx.all(names.bind(self.document.as_str()), |row| row.text("name")).await?;
        keys.entities.extend(names);
        let pairs = self.of_workspace(
            "select distinct source, target from index_relation_mentions
             where tenant_id = $1 and workspace = $2 and document_id = $3",
        );
        for (source, target) in self.tx.all(pairs.bind(self.document.as_str()), pair).await? {
            breaks.step().await;
            keys.insert_relation(source, target);
        }
        Ok(keys)
    }

    async fn entity_mentions_insert(&mut self, new: &[EntityMention]) -> StoreResult<()> {
        let insert = self.of_workspace(
            "insert into index_entity_mentions
                 (tenant_id, workspace, document_id, file_name, name, chunk_id, entity_type, description)
             select $1, $2, $3, $4, new.name, new.chunk_id, new.entity_type, new.description
             from {rows $5 as new (name text, chunk_id text, entity_type text, description text)}",
        );
        let rows = new.iter().map(|mention| {
            [
                ("name", Value::from(&mention.name)),
                ("chunk_id", Value::from(&mention.chunk_id)),
                ("entity_type", Value::from(&mention.entity_type)),
                ("description", Value::from(&mention.description)),
            ]
        });
        let insert = insert.bind(self.document.as_str()).bind(self.name).bind_rows(rows);
        self.tx.execute(insert).await.map(drop)
    }

    async fn relation_mentions_insert(&mut self, new: &[RelationMention]) -> StoreResult<()> {
        let insert = self.of_workspace(
            "insert into index_relation_mentions (tenant_id, workspace, document_id, file_name,
                                                  source, target, chunk_id, keywords, weight_milli, description)
             select $1, $2, $3, $4, new.source, new.target, new.chunk_id, new.keywords, new.weight_milli,
                    new.description
             from {rows $5 as new (source text, target text, chunk_id text, keywords text, \
                                   weight_milli bigint, description text)}",
        );
        let rows = new.iter().map(|mention| {
            [
                ("source", Value::from(&mention.source)),
                ("target", Value::from(&mention.target)),
                ("chunk_id", Value::from(&mention.chunk_id)),
                ("keywords", Value::from(&mention.keywords)),
                ("weight_milli", Value::from(mention.weight_milli)),
                ("description", Value::from(&mention.description)),
            ]
        });
        let insert = insert.bind(self.document.as_str()).bind(self.name).bind_rows(rows);
        self.tx.execute(insert).await.map(drop)
    }

    /// Folds `keys` anew. The caller holds their locks.
    async fn derive(&mut self, keys: &GraphKeys) -> StoreResult<GraphChange> {
        let mut change = GraphChange::default();
        let names: Vec<&str> = keys.entities.iter().map(String::as_str).collect();
        for batch in names.chunks(KEYS_READ) {
            self.derive_entities(batch, &mut change).await?;
        }
        let pairs: Vec<_> = keys.relations.iter().collect();
        for batch in pairs.chunks(KEYS_READ) {
            self.derive_relations(batch, &mut change).await?;
        }
        Ok(change)
    }

    async fn derive_entities(&mut self, names: &[&str], change: &mut GraphChange) -> StoreResult<()> {
        let mut mentions = grouped(self.entity_rows(names).await?);
        let mut unmentioned = Vec::new();
        for name in names {
            // A fold reads up to 200 mentions, so other tasks get a turn.
            tokio::task::yield_now().await;
            match fold::entity(name, mentions.remove(*name).unwrap_or_default()) {
                Some(entity) => change.entities.push(entity),
                None => unmentioned.push(*name),
            }
        }
        if unmentioned.is_empty() {
            return Ok(());
        }
        let mut mentions = grouped(self.end_rows(&unmentioned).await?);
        for name in unmentioned {
            tokio::task::yield_now().await;
            match fold::unknown_entity(name, mentions.remove(name).unwrap_or_default()) {
                Some(entity) => change.entities.push(entity),
                None => change.entities_gone.push(name.to_owned()),
            }
        }
        Ok(())
    }

    async fn derive_relations(
        &mut self,
        pairs: &[&(String, String)],
        change: &mut GraphChange,
    ) -> StoreResult<()> {
        let mut mentions = grouped(self.relation_rows(pairs).await?);
        let weights: HashMap<_, _> = self.weights(pairs).await?.into_iter().collect();
        for pair in pairs {
            tokio::task::yield_now().await;
            let weight = weights.get(*pair).copied().unwrap_or_default();
            match fold::relation(&pair.0, &pair.1, mentions.remove(*pair).unwrap_or_default(), weight) {
                Some(relation) => change.relations.push(relation),
                None => change.relations_gone.push((*pair).clone()),
            }
        }
        Ok(())
    }

    /// Rows of the entities. `~` sorts behind every chunk id, so it stands for no bound.
    async fn entity_rows(&mut self, names: &[&str]) -> StoreResult<Vec<(String, EntityRow)>> {
        let find = self.of_workspace(
            "with wanted as materialized (
                 select new.name, coalesce((
                     select kept.chunk_id from index_entity_mentions as kept
                     where kept.tenant_id = $1 and kept.workspace = $2 and kept.name = new.name
                     order by kept.chunk_id limit 1 offset $4), '~') as last_chunk_id
                 from {rows $3 as new (name text)})
             select wanted.name, log.chunk_id, log.file_name, log.entity_type, log.description
             from wanted cross join index_entity_mentions as log
             where log.tenant_id = $1 and log.workspace = $2 and log.name = wanted.name
               and log.chunk_id <= wanted.last_chunk_id",
        );
        let read = |row: &Row| {
            let mention = EntityRow {
                chunk_id: row.text("chunk_id")?,
                file: row.text("file_name")?,
                entity_type: row.text("entity_type")?,
                description: row.text("description")?,
            };
            Ok((row.text("name")?, mention))
        };
        self.tx.all(find.bind_rows(names_as_rows(names)).bind(MENTIONS_SKIPPED), read).await
    }

    /// Mentions of relations with one of the names as an end: the first ones of each direction, and perhaps some
    /// more of the last chunk.
    async fn end_rows(&mut self, names: &[&str]) -> StoreResult<Vec<(String, RelationRow)>> {
        let find = self.of_workspace(
            "with wanted as materialized (
                 select new.name, coalesce((
                     select kept.chunk_id from index_relation_mentions as kept
                     where kept.tenant_id = $1 and kept.workspace = $2 and kept.source = new.name
                     order by kept.chunk_id limit 1 offset $4), '~') as last_as_source, coalesce((
                     select kept.chunk_id from index_relation_mentions as kept
                     where kept.tenant_id = $1 and kept.workspace = $2 and kept.target = new.name
                     order by kept.chunk_id limit 1 offset $4), '~') as last_as_target
                 from {rows $3 as new (name text)})
             select wanted.name, log.chunk_id, log.source, log.target, log.file_name, log.keywords, log.description
             from wanted cross join index_relation_mentions as log
             where log.tenant_id = $1 and log.workspace = $2 and log.source = wanted.name
               and log.chunk_id <= wanted.last_as_source
             union all
             select wanted.name, log.chunk_id, log.source, log.target, log.file_name, log.keywords, log.description
             from wanted cross join index_relation_mentions as log
             where log.tenant_id = $1 and log.workspace = $2 and log.target = wanted.name
               and log.chunk_id <= wanted.last_as_target",
        );
        let read = |row: &Row| Ok((row.text("name")?, relation_row(row)?));
        self.tx.all(find.bind_rows(names_as_rows(names)).bind(MENTIONS_SKIPPED), read).await
    }

    async fn relation_rows(
        &mut self,
        pairs: &[&(String, String)],
    ) -> StoreResult<Vec<((String, String), RelationRow)>> {
        let find = self.of_workspace(
            "with wanted as materialized (
                 select new.source, new.target, coalesce((
                     select kept.chunk_id from index_relation_mentions as kept
                     where kept.tenant_id = $1 and kept.workspace = $2
                       and kept.source = new.source and kept.target = new.target
                     order by kept.chunk_id limit 1 offset $4), '~') as last_chunk_id
                 from {rows $3 as new (source text, target text)})
             select log.chunk_id, log.source, log.target, log.file_name, log.keywords, log.description
             from wanted cross join index_relation_mentions as log
             where log.tenant_id = $1 and log.workspace = $2
               and log.source = wanted.source and log.target = wanted.target
               and log.chunk_id <= wanted.last_chunk_id",
        );
        let read = |row: &Row| Ok((pair(row)?, relation_row(row)?));
        let rows = pairs_as_rows(pairs.iter().copied());
        self.tx.all(find.bind_rows(rows).bind(MENTIONS_SKIPPED), read).await
    }

    /// The sums of the weights of all mentions, also of those that a fold does not read.
    async fn weights(&mut self, pairs: &[&(String, String)]) -> StoreResult<Vec<((String, String), i64)>> {
        let sum = self.of_workspace(
            "select wanted.source, wanted.target, (
                 select cast(coalesce(sum(log.weight_milli), 0) as bigint) from index_relation_mentions as log
                 where log.tenant_id = $1 and log.workspace = $2
                   and log.source = wanted.source and log.target = wanted.target) as weight_milli
             from {rows $3 as wanted (source text, target text)}",
        );
        let read = |row: &Row| Ok((pair(row)?, row.number("weight_milli")?));
        self.tx.all(sum.bind_rows(pairs_as_rows(pairs.iter().copied())), read).await
    }

    /// Locks the entities and relations until the end of the transaction. Locking names is enough, because a
    /// transaction that derives a relation also derives both of its ends. Locks are always taken in the order
    /// document, workspace, names, so that two transactions cannot deadlock.
    async fn lock_names(&mut self, keys: &GraphKeys) -> StoreResult<()> {
        let workspace = self.kb.workspace.as_str();
        let all = lock_key(&[workspace, "all"]);
        if keys.entities.len() > NAMES_LOCKED {
            return self.tx.lock(sql("select pg_advisory_xact_lock($1)").bind(all)).await;
        }
        self.tx.lock(sql("select pg_advisory_xact_lock_shared($1)").bind(all)).await?;
        let name_key = |name: &String| lock_key(&[workspace, "name", name]);
        let mut names: Vec<i64> = keys.entities.iter().map(name_key).collect();
        names.sort_unstable();
        names.dedup();
        // One statement, which takes the locks in the order of the list.
        let lock = sql("select pg_advisory_xact_lock(new.key) from {rows $1 as new (key bigint)}");
        self.tx.lock(lock.bind_rows(names.into_iter().map(|key| [("key", Value::from(key))]))).await
    }
}

/// Locks what the index holds of the document until the end of the transaction.
pub(super) async fn lock_document(tx: &mut Tx, kb: &Kb, document: &DocumentId) -> StoreResult<()> {
    let key = lock_key(&[kb.workspace.as_str(), "document", document.as_str()]);
    tx.lock(sql("select pg_advisory_xact_lock($1)").bind(key)).await
}

/// Number of mentions before the last one that counts.
#[expect(clippy::cast_possible_wrap, reason = "a few hundred")]
const MENTIONS_SKIPPED: i64 = MENTIONS_READ as i64 - 1;

fn names_as_rows<'q>(names: &[&'q str]) -> Vec<[(&'static str, Value<'q>); 1]> {
    names.iter().map(|name| [("name", Value::from(*name))]).collect()
}

pub(super) fn pairs_as_rows<'q>(
    pairs: impl IntoIterator<Item = &'q (String, String)>,
) -> impl Iterator<Item = [(&'static str, Value<'q>); 2]> {
    let row = |(source, target): &'q (String, String)| {
        [("source", Value::from(source)), ("target", Value::from(target))]
    };
    pairs.into_iter().map(row)
}

/// The key of an advisory lock. Two names with the same key merely wait for each other.
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

fn grouped<K: std::hash::Hash + Eq, V>(rows: Vec<(K, V)>) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, row) in rows {
        groups.entry(key).or_default().push(row);
    }
    groups
}

fn pair(row: &Row) -> sqlx::Result<(String, String)> {
    Ok((row.text("source")?, row.text("target")?))
}

fn relation_row(row: &Row) -> sqlx::Result<RelationRow> {
    Ok(RelationRow {
        chunk_id: row.text("chunk_id")?,
        source: row.text("source")?,
        target: row.text("target")?,
        file: row.text("file_name")?,
        keywords: row.text("keywords")?,
        description: row.text("description")?,
    })
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
