//! Catalog, documents and index on servers: PostgreSQL, MongoDB and Neo4j.

mod index;

use std::sync::Arc;

use jobs::clock::SharedClock;
use secrecy::SecretString;

use self::index::ServerIndexes;
use crate::backend::Backend;
use crate::catalog::{Catalogs, Db};
use crate::config::InvalidStores;
use crate::directory::DirectoryNews;
use crate::graph::Neo4j;
use crate::mongo::{Mongo, MongoDocuments};
use crate::postgres::Postgres;

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
    Ok(Backend {
        catalogs: Catalogs::new(Db::Postgres(postgres.clone()), news, Arc::clone(&clock)),
        documents: Box::new(MongoDocuments::new(mongo)),
        index: Box::new(ServerIndexes::new(postgres, Arc::new(neo4j), clock)),
    })
}
