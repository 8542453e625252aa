//! Entities and relations as their mentions make them. The rules are [`crate::index::fold`]'s; this reads what
//! it needs, for many keys in one statement, and of each key no more than a bounded number of mentions.

use std::collections::HashMap;

use jobs::tenant::TenantId;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::tx::Tx;
use crate::index::fold::{self, EntityRow, GraphKeys, MENTIONS_READ, RelationRow};
use crate::model::{Entity, Relation, WorkspaceId};
use crate::ports::StoreResult;

/// Keys read in one statement: with all their mentions some tens of megabytes at worst.
const BATCH: usize = 250;

/// What becomes of some keys of the graph.
#[derive(Debug, Default)]
pub(crate) struct GraphChange {
    pub(crate) entities: Vec<Entity>,
    pub(crate) relations: Vec<Relation>,
    pub(crate) entities_gone: Vec<String>,
    pub(crate) relations_gone: Vec<(String, String)>,
}

impl Tx {
    /// Derives `keys` anew. Their locks must be held.
    pub(crate) async fn derive(
        &mut self,
        tenant: &TenantId,
        workspace: &WorkspaceId,
        keys: &GraphKeys,
    ) -> StoreResult<GraphChange> {
        let limit = i64::try_from(MENTIONS_READ).unwrap_or(i64::MAX);
        let mut reading = Reading { tx: self, tenant, workspace, limit };
        let mut change = GraphChange::default();
        let names: Vec<&str> = keys.entities.iter().map(String::as_str).collect();
        for batch in names.chunks(BATCH) {
            reading.entities(batch, &mut change).await?;
        }
        let pairs: Vec<_> = keys.relations.iter().collect();
        for batch in pairs.chunks(BATCH) {
            reading.relations(batch, &mut change).await?;
        }
        Ok(change)
    }
}

struct Reading<'a> {
    tx: &'a mut Tx,
    tenant: &'a TenantId,
    workspace: &'a WorkspaceId,
    limit: i64,
}

impl Reading<'_> {
    async fn entities(&mut self, names: &[&str], change: &mut GraphChange) -> StoreResult<()> {
        let mut mentions = grouped(self.entity_rows(names).await?);
        let mut unmentioned = Vec::new();
        for name in names {
            // A fold reads up to 200 mentions.
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

    async fn entity_rows(&mut self, names: &[&str]) -> StoreResult<Vec<(String, EntityRow)>> {
        let sql = sqlx::query(
            "select wanted.name, found.* from unnest($3::text[]) as wanted (name) cross join lateral ( \
                 select chunk_id, file_name, entity_type, description from index_entity_mentions as log \
                 where log.tenant_id = $1 and log.workspace = $2 and log.name = wanted.name \
                 order by chunk_id limit $4) as found",
        );
        let sql = sql.bind(self.tenant.as_str()).bind(self.workspace.as_str()).bind(names).bind(self.limit);
        self.tx.all(sql, |row| Ok((row.try_get("name")?, entity_row(row)?))).await
    }

    /// Mentions of relations that the names are an end of.
    async fn end_rows(&mut self, names: &[&str]) -> StoreResult<Vec<(String, RelationRow)>> {
        let sql = sqlx::query(
            "select wanted.name, found.* from unnest($3::text[]) as wanted (name) cross join lateral ( \
                 (select chunk_id, source, target, file_name, keywords, description \
                  from index_relation_mentions as log \
                  where log.tenant_id = $1 and log.workspace = $2 and log.source = wanted.name \
                  order by chunk_id, target limit $4) \
                 union all \
                 (select chunk_id, source, target, file_name, keywords, description \
                  from index_relation_mentions as log \
                  where log.tenant_id = $1 and log.workspace = $2 and log.target = wanted.name \
                  order by chunk_id, source limit $4)) as found",
        );
        let sql = sql.bind(self.tenant.as_str()).bind(self.workspace.as_str()).bind(names).bind(self.limit);
        self.tx.all(sql, |row| Ok((row.try_get("name")?, relation_row(row)?))).await
    }

    async fn relations(&mut self, pairs: &[&(String, String)], change: &mut GraphChange) -> StoreResult<()> {
        let sources: Vec<&str> = pairs.iter().map(|(source, _)| source.as_str()).collect();
        let targets: Vec<&str> = pairs.iter().map(|(_, target)| target.as_str()).collect();
        let mut mentions = grouped(self.relation_rows(&sources, &targets).await?);
        let mut weights = grouped(self.weights(&sources, &targets).await?);
        for pair in pairs {
            tokio::task::yield_now().await;
            let (source, target) = pair;
            let weight = weights.remove(*pair).unwrap_or_default().iter().sum();
            let mentions = mentions.remove(*pair).unwrap_or_default();
            match fold::relation(source, target, mentions, weight) {
                Some(relation) => change.relations.push(relation),
                None => change.relations_gone.push((*pair).clone()),
            }
        }
        Ok(())
    }

    async fn relation_rows(
        &mut self,
        sources: &[&str],
        targets: &[&str],
    ) -> StoreResult<Vec<((String, String), RelationRow)>> {
        let sql = sqlx::query(
            "select found.* from unnest($3::text[], $4::text[]) as wanted (source, target) cross join lateral ( \
                 select chunk_id, source, target, file_name, keywords, description \
                 from index_relation_mentions as log where log.tenant_id = $1 and log.workspace = $2 \
                   and log.source = wanted.source and log.target = wanted.target \
                 order by chunk_id limit $5) as found",
        );
        let sql = sql.bind(self.tenant.as_str()).bind(self.workspace.as_str());
        self.tx
            .all(sql.bind(sources).bind(targets).bind(self.limit), |row| Ok((pair(row)?, relation_row(row)?)))
            .await
    }

    /// Every mention counts for the weight: the sum is read from the index alone.
    async fn weights(
        &mut self,
        sources: &[&str],
        targets: &[&str],
    ) -> StoreResult<Vec<((String, String), i64)>> {
        let sql = sqlx::query(
            "select source, target, sum(weight_milli)::bigint as weight \
             from unnest($3::text[], $4::text[]) as wanted (source, target) \
             join index_relation_mentions as log using (source, target) \
             where log.tenant_id = $1 and log.workspace = $2 group by source, target",
        );
        let sql = sql.bind(self.tenant.as_str()).bind(self.workspace.as_str()).bind(sources).bind(targets);
        self.tx.all(sql, |row| Ok((pair(row)?, row.try_get("weight")?))).await
    }
}

fn grouped<K: std::hash::Hash + Eq, V>(rows: Vec<(K, V)>) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for (key, row) in rows {
        groups.entry(key).or_default().push(row);
    }
    groups
}

fn pair(row: &PgRow) -> sqlx::Result<(String, String)> {
    Ok((row.try_get("source")?, row.try_get("target")?))
}

fn entity_row(row: &PgRow) -> sqlx::Result<EntityRow> {
    Ok(EntityRow {
        chunk_id: row.try_get("chunk_id")?,
        file: row.try_get("file_name")?,
        entity_type: row.try_get("entity_type")?,
        description: row.try_get("description")?,
    })
}

fn relation_row(row: &PgRow) -> sqlx::Result<RelationRow> {
    Ok(RelationRow {
        chunk_id: row.try_get("chunk_id")?,
        source: row.try_get("source")?,
        target: row.try_get("target")?,
        file: row.try_get("file_name")?,
        keywords: row.try_get("keywords")?,
        description: row.try_get("description")?,
    })
}
