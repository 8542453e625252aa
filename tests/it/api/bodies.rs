//! A good body for every route that takes JSON, with every field that it knows. A new route has to be described here.

use api_thin::Route;
use jobs::DocumentId;
use serde_json::{Value, json};

/// The body; `None` when the route takes none, or files.
#[expect(clippy::too_many_lines, reason = "a table: one row for each route")]
pub(super) fn body(route: &Route) -> Option<Value> {
    let body = match (route.method, route.path) {
        ("post", "/tenants") => json!({
            "id": "fresh", "tenant_id": "fresh", "name": "Fresh", "plan": "free", "description": "Fresh fish",
            "metadata": { "plan": "free" },
        }),
        ("patch", "/tenants/{tenant}") => {
            json!({
                "name": "Acme", "slug": "fresh-slug", "plan": "free", "limits": limits(), "status": "active",
                "description": "Anvils", "metadata": { "contract": "A-7" },
            })
        }
        ("put", "/tenants/{tenant}") => {
            json!({ "name": "Acme", "description": "Anvils", "metadata": { "contract": "A-7" } })
        }
        ("post", "/auth/login") => json!({ "username": "ann", "password": "guess", "tenant_id": "acme" }),
        ("post", "/auth/refresh") => json!({ "refresh_token": "rt_guess" }),
        ("post", "/auth/password") => {
            json!({ "current_password": "correct horse", "new_password": "correct zebra" })
        }
        ("post", "/signup") => {
            json!({ "tenant_id": "fresh", "name": "Fresh", "username": "eve", "password": "correct horse" })
        }
        ("patch", "/settings") => json!({
            "models": { "llm": "large", "embedding": "small" }, "embedding_dimensions": 1024,
            "chunk_size_tokens": 1200, "chunk_overlap_tokens": 100, "top_k": 7,
        }),
        ("post", "/jobs/cancel") => filter("available"),
        ("post", "/jobs/{job}/reschedule") => json!({ "scheduled_at": "2027-01-15T09:00:00Z" }),
        ("post", "/dead-letters/retry" | "/dead-letters/purge") => filter("discarded"),
        ("post", "/auth/accept-invitation") => {
            json!({ "invitation": "inv_guess", "username": "eve", "password": "correct horse" })
        }
        ("post", "/members") => {
            json!({ "subject": "eve", "user_id": "eve", "role": "VIEWER", "expires_in_s": 600 })
        }
        ("put" | "patch", "/members/{identity}") => json!({ "role": "EDITOR" }),
        ("post", "/api-keys") => json!({
            "name": "intruder", "role": "VIEWER", "kb_id": "default", "permissions": ["document:read"],
            "expires_at": "2029-01-01T00:00:00Z",
        }),
        ("patch", "/api-keys/{key}") => {
            json!({ "name": "intruder", "expires_at": "2029-01-01T00:00:00Z" })
        }
        ("post", "/api-keys/{key}/rotate" | "/webhooks/{webhook}/rotate") => json!({ "grace_s": 60 }),
        ("post", "/webhooks") => json!({
            "url": "https://hooks.example.com/intruder", "events": ["job.failed"], "description": "intruder",
        }),
        ("patch", "/webhooks/{webhook}") => json!({
            "url": "https://hooks.example.com/intruder", "events": ["job.failed"], "description": "intruder",
            "enabled": true,
        }),
        ("post", "/kbs") => {
            json!({ "kb_id": "intruders", "name": "Intruders", "description": "Go away" })
        }
        ("put" | "patch", "/kbs/{kb}") => json!({ "name": "Intruders", "description": "Go away" }),
        ("post", "/kbs/{kb}/documents/text" | "/documents/text") => document(),
        ("post", "/kbs/{kb}/documents/batch" | "/documents/batch") => json!({ "documents": [document()] }),
        ("post", "/kbs/{kb}/documents/delete") => json!({ "ids": [DocumentId::of_name("secret.md")] }),
        ("post", "/kbs/{kb}/reindex" | "/kbs/{kb}/empty" | "/suspend" | "/resume") => json!({}),
        ("put", "/kbs/{kb}/schedules/{schedule}") => {
            json!({ "cron": "0 4 * * *", "time_zone": "UTC", "type": "kb.reindex" })
        }
        (
            "post",
            "/auth/logout"
            | "/kbs/{kb}/documents"
            | "/documents"
            | "/kbs/{kb}/documents/{document}/retry"
            | "/kbs/{kb}/schedules/{schedule}/pause"
            | "/kbs/{kb}/schedules/{schedule}/resume"
            | "/kbs/{kb}/schedules/{schedule}/take-over"
            | "/kbs/{kb}/schedules/{schedule}/run"
            | "/jobs/cancel-all"
            | "/batches/{batch}/cancel"
            | "/dead-letters/{job}/retry"
            | "/jobs/pause"
            | "/jobs/resume"
            | "/jobs/drain"
            | "/webhooks/{webhook}/test"
            | "/webhooks/{webhook}/deliveries/{event}/redeliver",
        )
        | ("get" | "delete", _) => return None,
        ("post", path) if path.starts_with("/queues/") || path.starts_with("/workers/") => return None,
        (method, path) => unreachable!("describe the body of {method} {path} here"),
    };
    Some(body)
}

fn document() -> Value {
    json!({ "name": "intruder.md", "text": "text", "media_type": "text/markdown" })
}

fn filter(state: &str) -> Value {
    json!({
        "types": ["document.ingest"], "queues": ["documents"], "states": [state],
        "created_before": "2029-01-01T00:00:00Z", "created_after": "2019-01-01T00:00:00Z",
        "reason_code": "too_complex", "kb_id": "default",
    })
}

fn limits() -> Value {
    json!({
        "weight": 2, "cap": 9, "type_caps": { "document.ingest": 3 }, "interval_ms": 1, "burst": 9,
        "backlog_jobs": 900, "backlog_bytes": 9_000_000, "scheduled_jobs": 900, "max_documents": 900,
        "storage_bytes": 9_000_000, "concurrent_queries": 9, "api_calls_per_month": 900_000,
        "api_calls_per_day": 90_000, "requests_per_minute": 90_000, "kbs": 90, "entities_per_kb": 90_000, "relations_per_kb": 90_000,
        "members": 90, "daily_jobs": 90_000, "max_schedules": 90, "max_api_keys": 90,
        "max_webhooks": 90, "idempotency_keys": 90_000, "isolation": "shared",
    })
}
