//! The audit log: who acted, on what and why, from the request's authorization to the entry in the log.
//!
//! A layer begins an [`Action`] for each request to an audited route; the extractor that authorizes the caller notes in
//! the [`AuditSlot`] who acts; the answer completes the entry. A request that is refused before that leaves none.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName};
use jobs::error::report;
use jobs::tenant::{Actor, TenantId};
use percent_encoding::percent_decode_str;
use stores::TenantStores;
use stores::model::AuditEntry;
use tokio::runtime::Handle;
use tracing::{Instrument as _, Span};

use crate::problem::{Code, Problem};
use crate::state::ApiState;

/// The header with the reason of an action.
const REASON: HeaderName = HeaderName::from_static("audit-reason");
/// The longest reason, in characters.
const REASON_MAX: usize = 300;
/// Values from a request's path and its answer are cut after so many characters.
const VALUE_MAX: usize = 300;

/// The reason that a request gives, in percent-encoded UTF-8.
///
/// # Errors
/// When it cannot be read, is too long, or has control characters.
pub(crate) fn reason(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let invalid = |detail: &'static str| Problem::new(Code::InvalidAuditReason, detail);
    let mut values = headers.get_all(REASON).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid("send one Audit-Reason"));
    }
    let encoded = value.to_str().map_err(|_| invalid("send ASCII: encode other characters as %C3%A9"))?;
    let text = percent_decode_str(encoded).decode_utf8().map_err(|_| invalid("encode UTF-8"))?;
    // Before the trimming, which takes some of them for white space.
    if text.chars().any(char::is_control) {
        return Err(invalid("leave out line breaks and other control characters"));
    }
    let text = text.trim();
    if text.chars().count() > REASON_MAX {
        return Err(Problem::new(Code::InvalidAuditReason, format!("at most {REASON_MAX} characters")));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// The reason of a request to an audited route, for what keeps it besides the log.
pub(crate) struct AuditReason(pub(crate) Option<String>);

impl<S: Sync> FromRequestParts<S> for AuditReason {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        reason(&parts.headers).map(Self)
    }
}

/// Request extension of an audited route, in which the authorization of its caller notes who acts.
#[derive(Clone, Default)]
pub(crate) struct AuditSlot(Arc<OnceLock<Acting>>);

/// A caller whose authority was checked.
struct Acting {
    actor: Actor,
    /// The tenant that the request is about, if it is about one.
    tenant: Option<(TenantId, TenantStores)>,
}

impl AuditSlot {
    /// Notes in the slot of a request, if it is audited, that `actor` acts in `tenant`, or for the installation.
    pub(crate) fn note(request: &Extensions, actor: Actor, tenant: Option<(TenantId, TenantStores)>) {
        if let Some(slot) = request.get::<Self>() {
            // An extractor may run twice; both see the same caller.
            let _ = slot.0.set(Acting { actor, tenant });
        }
    }
}

/// What is known of an audited request before it is authorized.
pub(crate) struct Audited {
    /// The stable id of its operation.
    pub(crate) action: String,
    /// Whether its entry goes to the operator's log although it is about a tenant.
    pub(crate) for_operator: bool,
    /// The parameters of its path, but for the tenant.
    pub(crate) target: BTreeMap<String, String>,
    /// The reason that it gives.
    pub(crate) reason: Option<String>,
    /// Its id.
    pub(crate) request_id: String,
}

/// An audited request whose answer is still to come. Its entry is written once: when it is answered, or, without a
/// status, when it is dropped because the client left. Until then something may have been done.
pub(crate) struct Action {
    app: ApiState,
    slot: AuditSlot,
    request: Option<Audited>,
    span: Span,
}

impl Action {
    pub(crate) fn begin(app: ApiState, slot: AuditSlot, request: Audited) -> Self {
        Self { app, slot, request: Some(request), span: Span::current() }
    }

    /// Writes the entry of a request that was answered; `location` is where its answer points to. Goes on when the
    /// client hangs up.
    pub(crate) async fn answered(mut self, status: u16, location: Option<&str>) {
        if let Some(write) = self.end(Some(status), location) {
            let _ = self.app.audits().spawn(write.instrument(self.span.clone())).await;
        }
    }

    /// The write of the entry; `None` when it was begun before, or the caller was not let in.
    fn end(
        &mut self,
        status: Option<u16>,
        location: Option<&str>,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let Audited { action, for_operator, mut target, reason, request_id } = self.request.take()?;
        let Acting { actor, tenant } = self.slot.0.get()?;
        let mut tenant = tenant.clone();
        if for_operator && let Some((tenant, _)) = tenant.take() {
            target.insert("tenant".to_owned(), tenant.to_string());
        }
        if let Some(location) = location {
            target.insert("location".to_owned(), location.to_owned());
        }
        target.values_mut().for_each(cut);
        let at = self.app.clock().now();
        let id = AuditEntry::id_at(at);
        let entry =
            AuditEntry { id, at, actor: actor.to_string(), action, target, reason, request_id, status };
        Some(write(self.app.clone(), tenant, entry))
    }
}

impl Drop for Action {
    fn drop(&mut self) {
        let Some(write) = self.end(None, None) else { return };
        // At the end of the process there is no runtime any more.
        if let Ok(runtime) = Handle::try_current() {
            self.app.audits().spawn_on(write.instrument(self.span.clone()), &runtime);
        }
    }
}

/// Adds the entry to its log. The action is done by now: what cannot be added is logged as a whole.
async fn write(app: ApiState, tenant: Option<(TenantId, TenantStores)>, entry: AuditEntry) {
    let added = match &tenant {
        Some((_, stores)) => stores.catalog().audit_append(&entry).await,
        None => app.directory().audit_append(&entry).await,
    };
    let Err(error) = added else { return };
    let tenant = tenant.map(|(tenant, _)| tenant.to_string());
    let AuditEntry { id, at, actor, action, target, reason, request_id, status } = entry;
    tracing::error!(
        audit.id = %id,
        audit.at = %at.to_rfc3339(),
        audit.tenant = tenant,
        audit.actor = actor,
        audit.action = action,
        audit.target = ?target,
        audit.reason = reason,
        request.id = request_id,
        http.status = status,
        error = report(&error),
        "an action could not be added to the audit log"
    );
}

fn cut(value: &mut String) {
    if let Some((end, _)) = value.char_indices().nth(VALUE_MAX) {
        value.truncate(end);
        value.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>, Code> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(REASON, axum::http::HeaderValue::from_bytes(value).unwrap());
        }
        reason(&headers).map_err(|problem| problem.code())
    }

    #[test]
    fn a_reason_is_short_printable_text() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[b" "]).unwrap(), None);
        assert_eq!(read(&[b"customer asked"]).unwrap().as_deref(), Some("customer asked"));
        assert_eq!(read(&[b"100%25 caf%C3%A9 %F0%9F%98%80"]).unwrap().as_deref(), Some("100% café 😀"));
        let longest = "%C3%A9".repeat(300);
        assert_eq!(read(&[longest.as_bytes()]).unwrap().map(|text| text.chars().count()), Some(300));
        let too_long = "a".repeat(301);
        for bad in [
            &[b"one".as_slice(), b"two"][..],
            &[b"caf\xc3\xa9"],
            &[b"%FF"],
            &[b"%ED%A0%80"],
            &[b"a%0Ab"],
            &[b"a%00"],
            &[b"%C2%85x"],
            &[too_long.as_bytes()],
        ] {
            assert_eq!(read(bad), Err(Code::InvalidAuditReason), "{bad:?}");
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let mut value = "é".repeat(301);
        cut(&mut value);
        assert_eq!(value, format!("{}…", "é".repeat(300)));
        let mut value = "é".repeat(300);
        cut(&mut value);
        assert_eq!(value, "é".repeat(300));
    }
}
