//! Style and script, embedded in the program. Their names change with their content, so that browsers may keep them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/dashboard.js");

/// A short digest that changes with the content.
pub(crate) fn digest(content: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(content).into();
    let (first, _) = digest.split_first_chunk().expect("32 bytes are more than 8");
    format!("{:016x}", u64::from_be_bytes(*first))
}

fn path(name: &str, content: &str, extension: &str) -> String {
    format!("/assets/{name}-{}.{extension}", digest(content))
}

static STYLE_PATH: LazyLock<String> = LazyLock::new(|| path("style", STYLE, "css"));
static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| path("dashboard", SCRIPT, "js"));

pub(crate) fn style_path() -> &'static str {
    &STYLE_PATH
}

pub(crate) fn script_path() -> &'static str {
    &SCRIPT_PATH
}

pub(crate) async fn serve(Path(file): Path<String>) -> Response {
    let asked = format!("/assets/{file}");
    let (kind, content) = match asked.as_str() {
        style if style == style_path() => ("text/css; charset=utf-8", STYLE),
        script if script == script_path() => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, content).into_response()
}
