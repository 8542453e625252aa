use stores::direct::DirectPostgres;

use super::urls::{ServerUrls, migrated};

/// A database of its own for one test, on the same PostgreSQL.
pub struct Scratch {
    owner: DirectPostgres,
    name: String,
    /// The servers, with this database in place of the usual one.
    pub urls: ServerUrls,
}

impl Scratch {
    /// An empty database.
    ///
    /// # Panics
    /// When a URL is missing, or PostgreSQL refuses.
    pub async fn create() -> Self {
        let urls = migrated().await;
        let name = format!("scratch_{}", uuid::Uuid::now_v7().simple());
        let owner = DirectPostgres::connect(&urls.postgres_admin).await.expect("PostgreSQL answers");
        owner.execute_alone(&format!("create database {name}")).await.expect("a database can be made");
        let urls = ServerUrls {
            postgres: in_database(&urls.postgres, &name),
            postgres_admin: in_database(&urls.postgres_admin, &name),
            ..urls
        };
        Self { owner, name, urls }
    }

    /// Brings its tables up to date, as `tenantry migrate` does.
    ///
    /// # Panics
    /// When that fails.
    pub async fn migrate(&self) {
        let (admin, app) = (self.urls.postgres_admin.clone().into(), self.urls.postgres.clone().into());
        stores::migrate(&admin, &app).await.expect("the tables can be made");
    }

    /// Runs statements as the owner, such as a dump.
    ///
    /// # Panics
    /// When PostgreSQL refuses one.
    pub async fn execute(&self, statements: &str) {
        let owner = DirectPostgres::connect(&self.urls.postgres_admin).await.expect("PostgreSQL answers");
        owner.execute(statements).await.expect("PostgreSQL takes the statements");
        owner.close().await;
    }

    /// Removes the database, unless others still have connections to it.
    pub async fn drop(self) {
        let _ = self.owner.execute_alone(&format!("drop database {}", self.name)).await;
    }
}

/// The same server, another database.
fn in_database(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("the URL names a database");
    format!("{server}/{database}")
}
