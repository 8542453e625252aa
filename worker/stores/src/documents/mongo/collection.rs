//! The connection to the server, and collections restricted to one tenant.

use std::time::Duration;

use jobs::tenant::TenantId;
use jobs::url::without_credentials;
use mongodb::bson::{Bson, Document, doc, serialize_to_document};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, ReturnDocument};
use mongodb::{Client, Collection, Database, IndexModel};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::InvalidStores;
use crate::deadline::CALL;
use crate::error::{FaultKind, StoreError};
use crate::ports::StoreResult;

const MONGO_URL: &str = "MONGO_URL";
/// The database, when the URL names none.
const DATABASE: &str = "tenantry";
/// Connections per process.
const CONNECTIONS_MAX: u32 = 16;
const CONNECT: Duration = Duration::from_secs(5);

/// A driver's error without its description of the whole cluster.
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

/// The MongoDB server with texts and extractions.
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

    /// A collection, restricted to the documents of one tenant.
    pub(super) fn tenant(&self, name: &'static str, tenant: &TenantId) -> TenantCollection {
        TenantCollection::new(self.database.clone(), name, tenant.clone())
    }
}

/// Documents per write command.
const BATCH: usize = 200;
/// Attempts at an upsert that races with another one of the same document.
const ATTEMPTS: u32 = 5;

/// A collection, restricted to one tenant's documents: `tenant_id` is added to every filter and every document here
/// and nowhere else.
pub(super) struct TenantCollection {
    database: Database,
    collection: Collection<Document>,
    tenant: TenantId,
}

impl TenantCollection {
    pub(super) fn new(database: Database, name: &'static str, tenant: TenantId) -> Self {
        Self { collection: database.collection(name), database, tenant }
    }

    fn scoped(&self, mut filter: Document) -> Document {
        filter.insert("tenant_id", self.tenant.as_str());
        filter
    }

    /// The `_id` of the document at `path` below the tenant. Ids contain no slash.
    fn key(&self, path: &str) -> String {
        format!("{}/{path}", self.tenant)
    }

    fn document<T: Serialize>(
        &self,
        operation: &'static str,
        path: &str,
        value: &T,
    ) -> StoreResult<Document> {
        let fields = serialize_to_document(value).map_err(|error| StoreError::permanent(operation, error))?;
        let mut document = doc! { "_id": self.key(path) };
        document.extend(fields);
        Ok(self.scoped(document))
    }

    /// Creates the index on `tenant_id` and `fields`, and with it the collection.
    pub(super) async fn provision(&self, operation: &'static str, fields: &[&str]) -> StoreResult<()> {
        let mut keys = doc! { "tenant_id": 1 };
        keys.extend(fields.iter().map(|field| ((*field).to_owned(), Bson::Int32(1))));
        let made = self.collection.create_index(IndexModel::builder().keys(keys).build()).await;
        match made {
            Err(error) if exists_already(&error) => Ok(()),
            made => made.map(drop).map_err(fault(operation)),
        }
    }

    /// Stores each value under its path, replacing earlier ones, in one command for many.
    pub(super) async fn put_all<T: Serialize>(
        &self,
        operation: &'static str,
        values: &[(String, T)],
    ) -> StoreResult<()> {
        for batch in values.chunks(BATCH) {
            let mut updates = Vec::with_capacity(batch.len());
            for (path, value) in batch {
                let query = self.scoped(doc! { "_id": self.key(path) });
                let document = self.document(operation, path, value)?;
                updates.push(doc! { "q": query, "u": document, "upsert": true });
            }
            self.update(operation, &updates).await?;
        }
        Ok(())
    }

    async fn update(&self, operation: &'static str, updates: &[Document]) -> StoreResult<()> {
        let mut attempt = 1;
        loop {
            let command = doc! { "update": self.collection.name(), "updates": updates, "ordered": true };
            let answer = self.database.run_command(command).await.map_err(fault(operation))?;
            match write_error(&answer) {
                None => return Ok(()),
                // A concurrent upsert inserted first; the next attempt updates its document.
                Some(DUPLICATE_KEY) if attempt < ATTEMPTS => attempt += 1,
                Some(code) => return Err(refused(operation, code)),
            }
        }
    }

    /// Stores a value under its path and returns the previous one.
    pub(super) async fn swap<T: Serialize + DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        value: &T,
    ) -> StoreResult<Option<T>> {
        let mut attempt = 1;
        let before = loop {
            let replacement = self.document(operation, path, value)?;
            let swap = self
                .collection
                .find_one_and_replace(self.scoped(doc! { "_id": self.key(path) }), replacement);
            match swap.upsert(true).return_document(ReturnDocument::Before).await {
                Err(error) if exists_already(&error) && attempt < ATTEMPTS => attempt += 1,
                before => break before.map_err(fault(operation))?,
            }
        };
        before.map(|document| read(operation, document)).transpose()
    }

    /// The value under a path.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
    ) -> StoreResult<Option<T>> {
        let found = self.collection.find_one(self.scoped(doc! { "_id": self.key(path) }));
        let found = found.await.map_err(fault(operation))?;
        found.map(|document| read(operation, document)).transpose()
    }

    /// The values that match a filter, sorted by `by`, at most `fetch` of them in one message: `FerretDB` does not
    /// count bytes and would send more than the protocol allows.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        filter: Document,
        by: &'static str,
        fetch: u32,
    ) -> StoreResult<Vec<T>> {
        let find = self.collection.find(self.scoped(filter)).sort(doc! { by: 1 }).batch_size(fetch);
        let mut cursor = find.await.map_err(fault(operation))?;
        let mut values = Vec::new();
        while cursor.advance().await.map_err(fault(operation))? {
            let document = cursor.deserialize_current().map_err(fault(operation))?;
            values.push(read(operation, document)?);
        }
        Ok(values)
    }

    /// Deletes what matches a filter.
    pub(super) async fn delete(&self, operation: &'static str, filter: Document) -> StoreResult<()> {
        self.collection.delete_many(self.scoped(filter)).await.map(drop).map_err(fault(operation))
    }
}

fn read<T: DeserializeOwned>(operation: &'static str, document: Document) -> StoreResult<T> {
    mongodb::bson::deserialize_from_document(document)
        .map_err(|error| StoreError::permanent(operation, error))
}

/// The code of the first error in the reply to a write command. The driver checks only the replies to its own write
/// methods.
fn write_error(answer: &Document) -> Option<i32> {
    let errors = answer.get_array("writeErrors").ok()?;
    errors.first().and_then(Bson::as_document).and_then(|error| error.get_i32("code").ok())
}

/// A write that the server rejected, without its message, which quotes the data.
#[derive(Debug, thiserror::Error)]
#[error("the server answered code {0}")]
struct Refused(i32);

fn refused(operation: &'static str, code: i32) -> StoreError {
    StoreError::of(code_kind(code), operation, Refused(code))
}

/// A concurrent write created the same document, index or collection first: it exists now.
pub(super) const DUPLICATE_KEY: i32 = 11_000;
const NAMESPACE_EXISTS: i32 = 48;

/// Converts an error of the driver in `operation`.
pub(super) fn fault(operation: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| StoreError::of(kind(&error), operation, error)
}

fn kind(error: &Error) -> FaultKind {
    let by_kind = match &*error.kind {
        ErrorKind::Io(error) => FaultKind::of_io(error),
        ErrorKind::ServerSelection { .. }
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Authentication { .. } => FaultKind::Unavailable,
        _ => error_code(error).map_or(FaultKind::Permanent, code_kind),
    };
    let labelled = ["RetryableWriteError", "TransientTransactionError", "RetryableError"];
    match by_kind {
        FaultKind::Permanent if labelled.iter().any(|label| error.contains_label(label)) => {
            FaultKind::Transient
        }
        kind => kind,
    }
}

/// What a server's error code says about a retry.
pub(super) fn code_kind(code: i32) -> FaultKind {
    match code {
        // No server at the address, no primary, starting, stopping, stepping down, authentication refused, no
        // majority, no space on the disk or in the plan of a hosted cluster.
        6 | 7 | 13 | 18 | 89 | 91 | 100 | 133 | 134 | 189 | 8_000 | 9_001 | 10_107 | 11_600 | 11_602
        | 13_435 | 13_436 | 14_031 => FaultKind::Unavailable,
        // Lost races and elections, timeouts, cursors and sessions that ended; 1 is what `FerretDB` returns for
        // everything that its own database rejected.
        1 | 24 | 43 | 50 | 64 | 112 | 117 | 146 | 225 | 251 | 262 | 290 | DUPLICATE_KEY => {
            FaultKind::Transient
        }
        _ => FaultKind::Permanent,
    }
}

/// Whether the object to be created exists already.
pub(super) fn exists_already(error: &Error) -> bool {
    matches!(error_code(error), Some(NAMESPACE_EXISTS | DUPLICATE_KEY))
}

fn error_code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(error) => Some(error.code),
        ErrorKind::Write(mongodb::error::WriteFailure::WriteError(error)) => Some(error.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_kind() {
        let away = [
            6, 7, 13, 18, 89, 91, 100, 133, 134, 189, 8_000, 9_001, 10_107, 11_600, 11_602, 13_435, 13_436,
            14_031,
        ];
        let table = [
            (FaultKind::Unavailable, away.as_slice()),
            (FaultKind::Transient, &[1, 24, 43, 50, 64, 112, 117, 146, 225, 251, 262, 290, DUPLICATE_KEY]),
            (FaultKind::Permanent, &[2, 9, 14, 20, 26, 59, 121, 10_334, 40_324]),
        ];
        for (kind, codes) in table {
            for code in codes {
                assert_eq!(code_kind(*code), kind, "{code}");
            }
        }
        assert_eq!(kind(&Error::custom("anything else")), FaultKind::Permanent);
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(kind(&Error::from(reset)), FaultKind::Transient);
    }
}
