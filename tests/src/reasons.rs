//! The promise that no document waits without a reason, as a check for any moment of any test.

use serde_json::Value;

use crate::bed::TestTenant;

/// Checks every document of a tenant's first knowledge base: one that has not ended names the job that it waits for and
/// why that does not run, one that failed says why, and one that is in the index says which revision that is.
///
/// # Panics
/// When a document does not, or the API does not answer.
pub async fn every_document_has_a_reason(tenant: &TestTenant) {
    let mut after = String::new();
    loop {
        let page = tenant.http.get(&tenant.kb(&format!("documents?limit=1000{after}"))).await;
        assert_eq!(page.status, 200, "{page:?}");
        for listed in page.body["documents"].as_array().expect("a list of documents") {
            let id = listed["id"].as_str().expect("a document has an id");
            let shown = tenant.http.get(&tenant.kb(&format!("documents/{id}"))).await;
            // One may be deleted since it was listed.
            if shown.status != 404 {
                assert_eq!(shown.status, 200, "{shown:?}");
                assert!(has_a_reason(&shown.body), "no reason: {}", shown.body);
            }
        }
        match page.body["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return,
        }
    }
}

/// Whether a document, as the API shows it, says what its status rests on.
#[must_use]
pub fn has_a_reason(document: &Value) -> bool {
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let is_said = |fault: &Value| is_text(&fault["code"]) && is_text(&fault["detail"]);
    match document["status"].as_str() {
        Some("pending" | "processing") => {
            let waits = &document["waits_for"];
            let reasons = waits["reasons"].as_array();
            is_text(&waits["job_id"])
                && is_text(&waits["state"])
                && reasons.is_some_and(|reasons| {
                    reasons.iter().all(|reason| is_text(&reason["code"]) && is_text(&reason["text"]))
                        && !reasons.is_empty()
                })
        }
        Some("processed" | "partial") => {
            document["served_revision"] == document["revision"] && document["waits_for"].is_null()
        }
        Some("failed") => is_said(&document["error"]) && document["waits_for"].is_null(),
        _ => false,
    }
}
