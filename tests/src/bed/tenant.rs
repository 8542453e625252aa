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

    /// Makes an endpoint at `url` that is told of `events`. Returns its id and its secret.
    ///
    /// # Panics
    /// When the API refuses.
    pub async fn webhook(&self, url: &str, events: &[&str]) -> (String, String) {
        let path = format!("/api/v1/tenants/{}/webhooks", self.id);
        let made = self.http.post(&path, &json!({ "url": url, "events": events })).await;
        assert_eq!(made.status, 201, "{made:?}");
        let text = |field: &str| made.body[field].as_str().expect("a text").to_owned();
        (text("id"), text("secret"))
    }

    /// The deliveries of an endpoint, newest first.
    pub async fn deliveries(&self, webhook: &str) -> Vec<Value> {
        let path = format!("/api/v1/tenants/{}/webhooks/{webhook}/deliveries", self.id);
        let shown = self.http.get(&path).await;
        shown.body["deliveries"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until the newest delivery of an endpoint is as `is` says, and shows it with its attempts.
    pub async fn delivery(&self, webhook: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_for("the delivery", async || {
            let newest = self.deliveries(webhook).await.into_iter().next();
            let Some(event) = newest.as_ref().and_then(|newest| newest["event_id"].as_str()) else {
                return Err(Value::Null);
            };
            let path = format!("/api/v1/tenants/{}/webhooks/{webhook}/deliveries/{event}", self.id);
            let shown = self.http.get(&path).await.body;
            if is(&shown) { Ok(shown) } else { Err(shown) }
        })
        .await
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

    /// Waits until a document is `processed`, `partial` or `failed`, and shows it.
    pub async fn settled(&self, name: &str) -> Value {
        wait_for("the document to be processed or failed", async || {
            let answer = self.document(name).await;
            match answer.body["status"].as_str() {
                Some("processed" | "partial" | "failed") => Ok(answer.body),
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
