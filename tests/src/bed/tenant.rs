use jobs::DocumentId;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::http::{Answer, Http, send};
use crate::wait::wait_for;

/// An active tenant and its key.
#[derive(Clone)]
pub struct TestTenant {
    /// Its id.
    pub id: String,
    /// A client with its first key.
    pub http: Http,
}

impl TestTenant {
    pub(super) fn new(id: &str, http: Http) -> Self {
        Self { id: id.to_owned(), http }
    }

    /// A path below the tenant's first knowledge base.
    #[must_use]
    pub fn kb(&self, rest: &str) -> String {
        format!("/api/v1/tenants/{}/kbs/default/{rest}", self.id)
    }

    /// Uploads text under a name.
    pub async fn upload(&self, name: &str, text: &str) -> Answer {
        self.http.post(&self.kb("documents/text"), &json!({ "name": name, "text": text })).await
    }

    /// Uploads bytes as a file.
    ///
    /// # Panics
    /// When the media type is not one.
    pub async fn upload_file(&self, name: &str, media_type: &str, bytes: &[u8]) -> Answer {
        let part = Part::bytes(bytes.to_vec()).file_name(name.to_owned()).mime_str(media_type);
        let form = Form::new().part("file", part.expect("a media type"));
        send(self.http.request(Method::POST, &self.kb("documents")).multipart(form)).await
    }

    /// One document as the API shows it.
    pub async fn document(&self, name: &str) -> Answer {
        self.http.get(&self.kb(&format!("documents/{}", DocumentId::of_name(name)))).await
    }

    /// Waits until a document is `processed` or `failed`, and shows it.
    pub async fn settled(&self, name: &str) -> Value {
        wait_for("the document to be processed or failed", async || {
            let answer = self.document(name).await;
            match answer.body["status"].as_str() {
                Some("processed" | "failed") => Ok(answer.body),
                _ => Err(answer),
            }
        })
        .await
    }

    /// Uploads a text and waits until it is in the graph.
    ///
    /// # Panics
    /// When the document does not end `processed`.
    pub async fn ingest(&self, name: &str, text: &str) {
        let answer = self.upload(name, text).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let document = self.settled(name).await;
        assert_eq!(document["status"], "processed", "{document}");
    }
}
