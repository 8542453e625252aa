//! The bytes on Redis.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::tenant::KbId;

/// What lies on Redis: a job and the stamp over its exact bytes. It carries no authority; anybody who can
/// write to Redis can write one. [`super::Verifier::verify`] is the only way out of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireEnvelope {
    /// Compact JWS (RFC 7515) whose claims name the tenant and the digest of `job`.
    pub stamp: String,
    /// The [`super::Envelope`], byte for byte as it was signed.
    pub job: Box<RawValue>,
}

impl WireEnvelope {
    /// The knowledge base that the stamp names, for people to look at: whether the stamp is genuine is not checked.
    #[must_use]
    pub fn claimed_kb(&self) -> Option<KbId> {
        #[derive(Deserialize)]
        struct Claimed {
            kb: Option<KbId>,
        }
        let claims = self.stamp.split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        serde_json::from_slice::<Claimed>(&claims).ok()?.kb
    }
}

/// A [`WireEnvelope`] that is looked at in place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BorrowedWire<'a> {
    #[serde(borrow)]
    pub(super) stamp: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) job: &'a RawValue,
}

/// The JSON of a [`WireEnvelope`] of `stamp`, which is base64url with dots, and `job`, which is JSON.
pub(super) fn write(stamp: &str, job: &str) -> String {
    let parts = [r#"{"stamp":""#, stamp, r#"","job":"#, job, "}"];
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_is_what_serde_writes() {
        let wire = write("a.b.c", r#"{"id":"x"}"#);
        let read: WireEnvelope = serde_json::from_str(&wire).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), wire);
    }
}
