//! Catalog, documents and index on servers: PostgreSQL, MongoDB and Neo4j.

mod index;

use std::sync::Arc;

use jobs::clock::SharedClock;
use secrecy::SecretString;

use self::index::ServerIndexes;
use crate::backend::Backend;
use crate::config::InvalidStores;
use crate::directory::DirectoryNews;
use crate::graph::Neo4j;
use crate::mongo::{Mongo, MongoDocuments};
use crate::postgres::{PgCatalogs, PgDirectory, PgIdentities, PgOutbox, PgSchedules, PgSettings, Postgres};

/// Connects to the servers.
///
/// # Errors
/// When one does not answer, or is not set up.
pub(crate) async fn open(
    postgres_url: &SecretString,
    mongo_url: &SecretString,
    neo4j_url: &SecretString,
    clock: SharedClock,
    news: DirectoryNews,
) -> Result<Backend, InvalidStores> {
    let postgres = Postgres::open(postgres_url).await?;
    let mongo = Mongo::open(mongo_url).await?;
    let neo4j = Neo4j::new(neo4j_url)?;
    neo4j.answers().await?;
    let catalogs = PgCatalogs::new(postgres.clone(), news, Arc::clone(&clock));
    Ok(Backend {
        catalog: Box::new(catalogs.clone()),
        lifecycle: Box::new(catalogs),
        documents: Box::new(MongoDocuments::new(mongo)),
        index: Box::new(ServerIndexes::new(postgres.clone(), Arc::new(neo4j), clock)),
        rows: Arc::new(PgDirectory::new(postgres.clone())),
        outbox: Arc::new(PgOutbox::new(postgres.clone())),
        schedules: Arc::new(PgSchedules::new(postgres.clone())),
        settings: Arc::new(PgSettings::new(postgres.clone())),
        identities: Arc::new(PgIdentities::new(postgres)),
    })
}
