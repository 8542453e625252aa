//! The servers read and written directly, past every port and every scope, for tests that compare what a
//! tenant is shown with what is there.

mod mongo;
mod neo4j;
#[cfg(feature = "postgres")]
mod postgres;

pub use mongo::DirectMongo;
pub use neo4j::DirectNeo4j;
#[cfg(feature = "postgres")]
pub use postgres::DirectPostgres;

/// What a driver said.
pub type DirectError = Box<dyn std::error::Error + Send + Sync>;
