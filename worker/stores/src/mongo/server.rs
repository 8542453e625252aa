//! The connection to the server.

use std::time::Duration;

use jobs::tenant::TenantId;
use jobs::url::without_credentials;
use mongodb::bson::doc;
use mongodb::error::ErrorKind;
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use secrecy::{ExposeSecret as _, SecretString};

use super::collection::TenantCollection;
use crate::config::InvalidStores;
use crate::deadline::CALL;

const MONGO_URL: &str = "MONGO_URL";
/// The database, when the URL names none.
const DATABASE: &str = "tenantry";
/// Connections of one process.
const CONNECTIONS_MAX: u32 = 16;
const CONNECT: Duration = Duration::from_secs(5);

/// What the driver says of a server, without its picture of the whole cluster.
fn plain(error: &mongodb::error::Error) -> String {
    let text = match &*error.kind {
        ErrorKind::InvalidArgument { message, .. } | ErrorKind::ServerSelection { message, .. } => {
            message.clone()
        }
        _ => jobs::error::root(error),
    };
    let io = text.rsplit_once("I/O error: ").map_or(text.as_str(), |(_, cause)| cause);
    let end = io.find([')', '}', '>']).unwrap_or(io.len());
    io[..end].split(" (os error").next().unwrap_or(io).trim().to_owned()
}

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
        let unreadable = |error: mongodb::error::Error| InvalidStores::Setting {
            setting: MONGO_URL,
            problem: format!(
                "the URL cannot be used ({}): expected mongodb://user:password@host:port/database",
                plain(&error)
            ),
        };
        let mut options = ClientOptions::parse(url.expose_secret()).await.map_err(unreadable)?;
        options.app_name = Some("tenantry".into());
        options.connect_timeout = Some(CONNECT);
        options.server_selection_timeout = Some(CONNECT);
        options.max_pool_size = Some(CONNECTIONS_MAX);
        let name = options.default_database.clone().unwrap_or_else(|| DATABASE.into());
        let client = Client::with_options(options).map_err(unreadable)?;
        let mongo = Self { database: client.database(&name) };
        mongo.answers(url).await?;
        Ok(mongo)
    }

    async fn answers(&self, url: &SecretString) -> Result<(), InvalidStores> {
        let at = without_credentials(url.expose_secret());
        let unreachable = |problem| InvalidStores::Unreachable { setting: MONGO_URL, problem };
        match tokio::time::timeout(CALL, self.database.run_command(doc! { "ping": 1 })).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if matches!(*error.kind, ErrorKind::Authentication { .. }) => Err(unreachable(
                format!("the MongoDB at {at} refuses the user or the password: correct them in the URL"),
            )),
            Ok(Err(error)) => {
                let cause = plain(&error);
                Err(unreachable(format!(
                    "no MongoDB answers at {at} ({cause}): start it, or correct the address"
                )))
            }
            Err(_) => Err(unreachable(format!(
                "the MongoDB at {at} did not answer within {} s: see whether it runs and is idle",
                CALL.as_secs()
            ))),
        }
    }

    /// The documents of one tenant in a collection.
    pub(super) fn tenant(&self, name: &'static str, tenant: &TenantId) -> TenantCollection {
        TenantCollection::new(self.database.clone(), name, tenant.clone())
    }
}
