use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use serde_json::Value;

use super::DirectError;

/// The database of texts and extractions.
#[derive(Clone)]
pub struct DirectMongo {
    database: Database,
}

impl DirectMongo {
    /// Connects to the database of `url`.
    pub async fn connect(url: &str) -> Result<Self, DirectError> {
        let client = Client::with_uri_str(url).await?;
        let database = client.default_database().ok_or("the URL names no database")?;
        Ok(Self { database })
    }

    /// The names of all collections.
    pub async fn collections(&self) -> Result<Vec<String>, DirectError> {
        let mut names = self.database.list_collection_names().await?;
        names.retain(|name| !name.starts_with("system."));
        names.sort();
        Ok(names)
    }

    /// Every document of a collection, without its `text`.
    pub async fn documents(&self, collection: &str) -> Result<Vec<Value>, DirectError> {
        let mut cursor = self
            .database
            .collection::<Document>(collection)
            .find(doc! {})
            .projection(doc! { "text": 0 })
            .await?;
        let mut documents = Vec::new();
        while cursor.advance().await? {
            documents.push(serde_json::to_value(cursor.deserialize_current()?)?);
        }
        Ok(documents)
    }

    /// The indexes of a collection: the fields of each, in order.
    pub async fn indexes(&self, collection: &str) -> Result<Vec<Vec<String>>, DirectError> {
        let mut cursor = self.database.collection::<Document>(collection).list_indexes().await?;
        let mut indexes = Vec::new();
        while cursor.advance().await? {
            indexes.push(cursor.deserialize_current()?.keys.keys().cloned().collect());
        }
        Ok(indexes)
    }
}
