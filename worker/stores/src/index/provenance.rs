//! From the graph back to the text: which chunks mention an entity, and what a chunk mentions. Read from the mention
//! log, which is in SQL wherever the graph is.

use jobs::DocumentId;
use jobs::tenant::TenantId;

use super::fold;
use super::{Mention, MentionKind};
use crate::catalog::{Row, Sql, sql};
use crate::model::Kb;

/// A chunk that mentions an entity, by itself or as an end of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MentionSource {
    /// The chunk.
    pub chunk_id: String,
    /// The chunk's document.
    pub document: DocumentId,
    /// The document's name.
    pub document_name: String,
    /// The entity's type according to the chunk; `None` where only relations of the chunk name the entity.
    pub entity_type: Option<String>,
    /// The chunk's description of the entity, or of one of the relations.
    pub description: String,
}

/// Each part is cut before they are put together: an entity with ten thousand mentions costs a page no more.
const SOURCES: &str = "
select chunk_id, document_id, min(file_name) as file_name, min(entity_type) as entity_type,
    coalesce(min(own), min(of_relation)) as description
from (
    select * from (
        select chunk_id, document_id, file_name, entity_type, description as own,
            cast(null as text) as of_relation
        from index_entity_mentions
        where tenant_id = $1 and workspace = $2 and name = $3 and chunk_id > $4
        order by chunk_id limit $5) as as_itself
    union all
    select * from (
        select chunk_id, document_id, min(file_name) as file_name, cast(null as text) as entity_type,
            cast(null as text) as own, min(description) as of_relation
        from index_relation_mentions
        where tenant_id = $1 and workspace = $2 and source = $3 and chunk_id > $4
        group by chunk_id, document_id order by chunk_id limit $5) as as_source
    union all
    select * from (
        select chunk_id, document_id, min(file_name) as file_name, cast(null as text) as entity_type,
            cast(null as text) as own, min(description) as of_relation
        from index_relation_mentions
        where tenant_id = $1 and workspace = $2 and target = $3 and chunk_id > $4
        group by chunk_id, document_id order by chunk_id limit $5) as as_target
) as mentions
group by chunk_id, document_id order by chunk_id limit $5";

const ENTITIES_OF_CHUNK: &str = "
select name, chunk_id, entity_type, description from index_entity_mentions
where tenant_id = $1 and workspace = $2 and document_id = $3 and chunk_id = $4 order by name";

const RELATIONS_OF_CHUNK: &str = "
select source, target, chunk_id, keywords, weight_milli, description from index_relation_mentions
where tenant_id = $1 and workspace = $2 and document_id = $3 and chunk_id = $4 order by source, target";

fn of_workspace(text: &'static str, tenant: &TenantId, kb: &Kb) -> Sql<'static> {
    sql(text).bind(tenant.to_string()).bind(kb.workspace.to_string())
}

/// The chunks that mention `name`, by chunk id after `after`. At most `rows`.
pub(super) fn sources(
    tenant: &TenantId,
    kb: &Kb,
    name: &str,
    after: Option<&str>,
    rows: u32,
) -> Sql<'static> {
    let select = of_workspace(SOURCES, tenant, kb).bind(name.to_owned());
    // No chunk id is empty, so all of them sort behind the empty one.
    select.bind(after.unwrap_or_default().to_owned()).bind(rows)
}

pub(super) fn read_source(row: &Row) -> sqlx::Result<MentionSource> {
    Ok(MentionSource {
        chunk_id: row.text("chunk_id")?,
        document: row.parsed("document_id")?,
        document_name: row.text("file_name")?,
        entity_type: row.text_or_null("entity_type")?,
        description: row.text("description")?,
    })
}

/// The statements that read what a chunk mentions: entities, and relations.
pub(super) fn of_chunk(tenant: &TenantId, kb: &Kb, document: &DocumentId, order: u32) -> [Sql<'static>; 2] {
    [ENTITIES_OF_CHUNK, RELATIONS_OF_CHUNK].map(|text| {
        let select = of_workspace(text, tenant, kb).bind(document.to_string());
        select.bind(document.chunk_id(order))
    })
}

pub(super) fn read_entity(row: &Row) -> sqlx::Result<Mention> {
    let kind = MentionKind::Entity { name: row.text("name")?, entity_type: row.text("entity_type")? };
    Ok(Mention { kind, chunk_id: row.text("chunk_id")?, description: row.text("description")? })
}

pub(super) fn read_relation(row: &Row) -> sqlx::Result<Mention> {
    let keywords = row.text("keywords")?;
    let keywords = keywords.split(',').filter(|keyword| !keyword.is_empty()).map(str::to_owned).collect();
    let kind = MentionKind::Relation {
        source: row.text("source")?,
        target: row.text("target")?,
        keywords,
        weight: fold::weight(row.number("weight_milli")?),
    };
    Ok(Mention { kind, chunk_id: row.text("chunk_id")?, description: row.text("description")? })
}
