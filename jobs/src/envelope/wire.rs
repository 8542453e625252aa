//! The bytes on Redis.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::stamp::digest_is;
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
    /// What the stamp claims, for people to look at: whether it is genuine is not checked.
    pub(crate) fn claimed(&self) -> Option<Claimed> {
        let claims = self.stamp.split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        serde_json::from_slice(&claims).ok()
    }
}

/// Claims of a stamp whose signature was not checked.
#[derive(Debug, Deserialize)]
pub(crate) struct Claimed {
    /// Whose job it is.
    pub(crate) tenant: String,
    /// The job's id.
    #[serde(rename = "jti")]
    pub(crate) id: String,
    /// The knowledge base, if there is one.
    pub(crate) kb: Option<KbId>,
    dig: String,
}

impl Claimed {
    /// Whether these bytes are the job that was stamped.
    pub(crate) fn is_of(&self, job: &RawValue) -> bool {
        digest_is(job.get(), &self.dig)
    }
}

/// A [`WireEnvelope`] that is looked at in place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BorrowedWire<'a> {
    #[serde(borrow)]
    stamp: Cow<'a, str>,
    #[serde(borrow)]
    job: &'a RawValue,
}

/// The stamp and the job in `wire`. As [`write`] lays them out they are found without reading the JSON: whatever is cut
/// out wrongly has another digest than the stamp says. `None` when `wire` is no envelope in any layout.
pub(super) fn split(wire: &str) -> Option<(Cow<'_, str>, &str)> {
    let as_written = || {
        let (stamp, rest) = wire.strip_prefix(BEFORE_STAMP)?.split_once('"')?;
        let job = rest.strip_prefix(BEFORE_JOB)?.strip_suffix('}')?;
        (!stamp.contains('\\')).then_some((Cow::Borrowed(stamp), job))
    };
    as_written().or_else(|| {
        let BorrowedWire { stamp, job } = serde_json::from_str(wire).ok()?;
        Some((stamp, job.get()))
    })
}

const BEFORE_STAMP: &str = r#"{"stamp":""#;
const BEFORE_JOB: &str = r#","job":"#;

/// The JSON of a [`WireEnvelope`] of `stamp`, which is base64url with dots, and `job`, which is JSON.
pub(super) fn write(stamp: &str, job: &str) -> String {
    [BEFORE_STAMP, stamp, "\"", BEFORE_JOB, job, "}"].concat()
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

    #[test]
    fn any_layout_of_the_two_fields_is_read() {
        let job = r#"{"id":"}\"x"}"#;
        let split_of = |wire: &str| split(wire).map(|(stamp, job)| (stamp.into_owned(), job.to_owned()));
        let expected = Some(("a.b.c".to_owned(), job.to_owned()));
        assert_eq!(split_of(&write("a.b.c", job)), expected);
        assert_eq!(split_of(&format!(r#"{{ "job" : {job} , "stamp" : "a.b.\u0063" }}"#)), expected);
        for bad in ["", "{}", r#"{"stamp":"a"}"#, r#"{"stamp":"a","job":1"#, r#"{"stamp":"a","x":1,"job":1}"#]
        {
            assert_eq!(split_of(bad), None, "{bad}");
        }
    }
}
