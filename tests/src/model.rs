//! A language model on this machine: a real HTTP server that speaks OpenAI's chat completions, answers as the test
//! says, and remembers what it was asked.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::wait::wait_for;

/// How the model answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// With the content of a message.
    Content(Value),
    /// With a status, a header if any, and a body.
    Raw(u16, Option<(&'static str, &'static str)>, Value),
    /// Not at all.
    Hang,
}

impl Reply {
    /// An answer with one entity of each name.
    #[must_use]
    pub fn names(names: &[&str]) -> Self {
        let entity = |name: &&str| json!({ "name": name, "type": "person", "description": "It is named." });
        let entities: Vec<Value> = names.iter().map(entity).collect();
        Self::Content(json!({ "entities": entities, "relationships": [] }).to_string().into())
    }
}

type Answer = dyn Fn(usize, &str) -> Reply + Send + Sync;

struct Inner {
    answer: Mutex<Arc<Answer>>,
    asked: Mutex<Vec<String>>,
}

/// The server. It ends with the value.
pub struct Model {
    /// What `OPENAI_BASE_URL` is to be.
    pub url: String,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

impl Model {
    /// Starts one that answers as `answer` says, given how many questions came before and the text it is asked about.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(answer: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let inner = Arc::new(Inner { answer: Mutex::new(Arc::new(answer)), asked: Mutex::default() });
        let router = Router::new().route("/v1/chat/completions", post(reply)).with_state(Arc::clone(&inner));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { url, inner, serving }
    }

    /// Answers differently from now on.
    pub fn answers(&self, answer: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) {
        *self.inner.answer.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(answer);
    }

    /// The texts it was asked about, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it was asked `count` times.
    pub async fn wait(&self, count: usize) {
        wait_for("the model to be asked", async || {
            let asked = self.asked().len();
            if asked >= count { Ok(()) } else { Err(asked) }
        })
        .await;
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn reply(State(inner): State<Arc<Inner>>, Json(question): Json<Value>) -> Response {
    let text = question["messages"][1]["content"].as_str().unwrap_or_default().to_owned();
    let before = {
        let mut asked = inner.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(text.clone());
        asked.len() - 1
    };
    let answer = Arc::clone(&inner.answer.lock().unwrap_or_else(PoisonError::into_inner));
    match answer(before, &text) {
        Reply::Content(content) => {
            Json(json!({ "choices": [{ "message": { "role": "assistant", "content": content } }] }))
                .into_response()
        }
        Reply::Raw(status, header, body) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT);
            let mut response = (status, Json(body)).into_response();
            if let Some((name, value)) = header {
                let pair = (HeaderName::from_static(name), HeaderValue::from_static(value));
                response.headers_mut().insert(pair.0, pair.1);
            }
            response
        }
        Reply::Hang => std::future::pending().await,
    }
}
