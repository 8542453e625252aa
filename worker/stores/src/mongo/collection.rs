//! A collection as one tenant sees it.

use jobs::tenant::TenantId;
use mongodb::bson::{Bson, Document, doc, serialize_to_document};
use mongodb::options::ReturnDocument;
use mongodb::{Collection, Database, IndexModel};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::{DUPLICATE_KEY, exists_already, fault};
use crate::error::StoreError;
use crate::ports::StoreResult;

/// Documents written in one command.
const BATCH: usize = 200;
/// How often an upsert is tried when another one of the same document gets in its way.
const ATTEMPTS: u32 = 5;

/// The documents of one tenant. `tenant_id` is put into every filter and every document here and nowhere
/// else.
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

    /// The key of the document at `path` below the tenant. Ids contain no slash.
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

    /// Makes the index on `tenant_id` and `fields`, and with it the collection.
    pub(super) async fn provision(&self, operation: &'static str, fields: &[&str]) -> StoreResult<()> {
        let mut keys = doc! { "tenant_id": 1 };
        keys.extend(fields.iter().map(|field| ((*field).to_owned(), Bson::Int32(1))));
        let made = self.collection.create_index(IndexModel::builder().keys(keys).build()).await;
        match made {
            Err(error) if exists_already(&error) => Ok(()),
            made => made.map(drop).map_err(fault(operation)),
        }
    }

    /// Stores each value under its path, in place of what was there: one command for many.
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
                // Another upsert was faster; the next attempt finds what it made.
                Some(DUPLICATE_KEY) if attempt < ATTEMPTS => attempt += 1,
                Some(code) => return Err(refused(operation, code)),
            }
        }
    }

    /// Stores a value under its path and returns what was there.
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

    /// The values that a filter lets through, sorted by `by`, at most `fetch` of them in one message:
    /// `FerretDB` does not count bytes and would send more than the protocol allows.
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

    /// Removes what a filter lets through.
    pub(super) async fn delete(&self, operation: &'static str, filter: Document) -> StoreResult<()> {
        self.collection.delete_many(self.scoped(filter)).await.map(drop).map_err(fault(operation))
    }
}

fn read<T: DeserializeOwned>(operation: &'static str, document: Document) -> StoreResult<T> {
    mongodb::bson::deserialize_from_document(document)
        .map_err(|error| StoreError::permanent(operation, error))
}

/// The code of the first error in the answer to a write command. The driver looks for them only in its own
/// writes.
fn write_error(answer: &Document) -> Option<i32> {
    let errors = answer.get_array("writeErrors").ok()?;
    errors.first().and_then(Bson::as_document).and_then(|error| error.get_i32("code").ok())
}

/// The server refused a write, without its message, which quotes the data.
#[derive(Debug, thiserror::Error)]
#[error("the server answered code {0}")]
struct Refused(i32);

fn refused(operation: &'static str, code: i32) -> StoreError {
    StoreError::of(super::fault::code_kind(code), operation, Refused(code))
}
