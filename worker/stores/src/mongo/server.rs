//! The connection to the server.

use std::time::Duration;

use jobs::tenant::TenantId;
use mongodb::bson::doc;
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use secrecy::{ExposeSecret as _, SecretString};

use super::collection::TenantCollection;
use super::fault::fault;
use crate::config::InvalidStores;
use crate::deadline::{CALL, within};

const MONGO_URL: &str = "MONGO_URL";
/// The database, when the URL names none.
const DATABASE: &str = "tenantry";
/// Connections of one process.
const CONNECTIONS_MAX: u32 = 16;
const CONNECT: Duration = Duration::from_secs(5);

/// The server of texts and extractions.
#[derive(Clone)]
pub(crate) struct Mongo {
    database: Database,
}

impl Mongo {
    /// Opens the database that `url` names, if its server answers.
    ///
    /// # Errors
    /// When the URL cannot be read or the server does not answer.
    pub(crate) async fn open(url: &SecretString) -> Result<Self, InvalidStores> {
        let unreadable = |error| InvalidStores::Unreachable {
            setting: MONGO_URL,
            hint: "expected mongodb://user:password@host:port/database".into(),
            source: Box::new(error),
        };
        let mut options = ClientOptions::parse(url.expose_secret()).await.map_err(unreadable)?;
        options.app_name = Some("tenantry".into());
        options.connect_timeout = Some(CONNECT);
        options.server_selection_timeout = Some(CONNECT);
        options.max_pool_size = Some(CONNECTIONS_MAX);
        let name = options.default_database.clone().unwrap_or_else(|| DATABASE.into());
        let client = Client::with_options(options).map_err(unreadable)?;
        let mongo = Self { database: client.database(&name) };
        mongo.answers().await?;
        Ok(mongo)
    }

    async fn answers(&self) -> Result<(), InvalidStores> {
        let ping =
            async { self.database.run_command(doc! { "ping": 1 }).await.map_err(fault("documents.ping")) };
        let answer = within("documents.ping", CALL, ping).await;
        answer.map(drop).map_err(|error| InvalidStores::Unreachable {
            setting: MONGO_URL,
            hint: "MongoDB does not let us in; check that it runs and that user and password are right"
                .into(),
            source: Box::new(error),
        })
    }

    /// The documents of one tenant in a collection.
    pub(super) fn tenant(&self, name: &'static str, tenant: &TenantId) -> TenantCollection {
        TenantCollection::new(self.database.clone(), name, tenant.clone())
    }
}
