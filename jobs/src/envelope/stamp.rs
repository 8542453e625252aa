//! A job's bytes on Redis: the job in the words of the Open Job Spec, and the stamp that signs exactly these bytes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
pub use fair_queue::RetryPolicy;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::trace::TraceParent;
use super::unique::UniquePolicy;
use super::verifier::Refusal;
use crate::id::{BatchId, GroupId, JobId, serde_as_text};
use crate::job::Lane;
use crate::seal::Seal;
use crate::tenant::{Actor, InvalidId, KbId, Role, TenantId};

/// A job as the [Open Job Spec](https://openjobspec.org) 1.0 writes it. Says what to do; proves nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Version of the specification: `1.0`.
    pub specversion: String,
    /// The job's id.
    pub id: JobId,
    /// The job's type, such as `document.ingest`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The queue that the job waits in.
    pub queue: String,
    /// Positional arguments. Ours is always one object: the payload.
    pub args: Vec<Box<RawValue>>,
    /// Metadata beside the arguments.
    pub meta: Meta,
    /// A higher number goes first; 0 is normal.
    pub priority: i32,
    /// How long one attempt may take, in seconds.
    pub timeout: u64,
    /// Not before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<DateTime<Utc>>,
    /// Not after this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it is tried again. Left out when it is the usual: a tenth of a typical envelope, which every job would
    /// carry through Redis.
    #[serde(default, with = "SpecRetry", skip_serializing_if = "is_usual")]
    pub retry: RetryPolicy,
    /// The unique policy that keeps a duplicate out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<UniquePolicy>,
}

/// Metadata beside a job's arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Version of the payload; see [`crate::Job::VERSION`].
    pub version: u32,
    /// The trace that enqueued the job.
    pub traceparent: TraceParent,
    /// When the job was enqueued.
    pub created_at: DateTime<Utc>,
    /// The group that waits for this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// The job that enqueued this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<JobId>,
    /// The batch whose documents it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    /// Its lane among the tenant's jobs. Left out when it is interactive, and by envelopes of before there were lanes.
    #[serde(default, skip_serializing_if = "is_interactive")]
    pub lane: Lane,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_interactive(lane: &Lane) -> bool {
    *lane == Lane::Interactive
}

impl Envelope {
    /// The version of the specification that we write and read.
    pub const SPECVERSION: &'static str = "1.0";

    /// The payload.
    ///
    /// # Errors
    /// When there is not exactly one argument, or it is not a `J`.
    pub fn payload<J: crate::Job>(&self) -> Result<J, serde_json::Error> {
        use serde::de::Error as _;
        match self.args.as_slice() {
            [only] => serde_json::from_str(only.get()),
            other => Err(serde_json::Error::custom(format!("expected one argument, found {}", other.len()))),
        }
    }
}

/// The stored form on Redis: a job and the stamp over its exact bytes. It carries no authority; every client with
/// access to Redis can write one. [`crate::envelope::Verifier::verify`] is the only way out of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireEnvelope {
    /// Compact JWS (RFC 7515) whose claims name the tenant and the digest of `job`.
    pub stamp: String,
    /// The [`crate::envelope::Envelope`], byte for byte as it was signed.
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

/// Claims of a stamp whose signature has not been verified.
#[derive(Debug, Deserialize)]
pub(crate) struct Claimed {
    /// The tenant that the stamp names.
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

/// A [`WireEnvelope`] that borrows its text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BorrowedWire<'a> {
    #[serde(borrow)]
    stamp: Cow<'a, str>,
    #[serde(borrow)]
    job: &'a RawValue,
}

/// Splits `wire` into the stamp and the job. Text in the layout of [`write`] is split without parsing JSON; a wrong
/// split is detected later, because its digest differs from that in the stamp. `None` when `wire` is no envelope in
/// any layout.
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

/// Of SHA-256 and of HMAC-SHA256.
const HASH_BYTES: usize = 32;
/// Of so many bytes in base64url.
const HASH_CHARS: usize = 43;

/// The claims of a stamp. Names are those of RFC 7519 where it has one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    /// The job's id.
    pub(super) jti: JobId,
    /// The job's type.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// SHA-256 of the envelope's bytes, base64url. It covers every field, so that neither priority nor retry
    /// policy nor group can be changed, not just the arguments.
    pub(super) dig: String,
    pub(super) tenant: TenantId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kb: Option<KbId>,
    pub(super) actor: Actor,
    pub(super) role: Role,
    pub(super) epoch: u64,
    pub(super) iat: i64,
}

pub(super) fn digest(job: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(job.as_bytes()))
}

fn hash(text: &str) -> Option<[u8; HASH_BYTES]> {
    let mut bytes = [0; HASH_BYTES];
    let decoded = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes);
    (decoded == Ok(HASH_BYTES)).then_some(bytes)
}

fn digest_is(job: &str, claimed: &str) -> bool {
    hash(claimed).is_some_and(|claimed| claimed == *Sha256::digest(job.as_bytes()))
}

/// Signs the claims: compact JWS (RFC 7515) with HMAC-SHA256.
pub(super) fn sign(keys: &StampKeys, claims: &Claims) -> Result<String, serde_json::Error> {
    let key = keys.signing();
    let claims = serde_json::to_vec(claims)?;
    let mut stamp = String::with_capacity(key.header.len() + claims.len() * 4 / 3 + HASH_CHARS + 6);
    stamp.push_str(&key.header);
    stamp.push('.');
    URL_SAFE_NO_PAD.encode_string(claims, &mut stamp);
    let signature = key.mac(&stamp).finalize().into_bytes();
    stamp.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut stamp);
    Ok(stamp)
}

/// Verifies signature and digest: the stamp was made with one of our keys, for exactly these bytes.
///
/// There is no algorithm negotiation: the header must be exactly the one that our key writes. A stamp has no expiry of
/// its own, because a job may wait for days; raising the tenant's epoch invalidates it.
pub(super) fn open(keys: &StampKeys, stamp: &str, job: &str) -> Result<Claims, Refusal> {
    let (signed, signature) = stamp.rsplit_once('.').ok_or(Refusal::BadSignature)?;
    let (header, claims) = signed.split_once('.').ok_or(Refusal::BadSignature)?;
    let key = keys.find(header).ok_or_else(|| not_found(keys, header))?;
    let signature = hash(signature).ok_or(Refusal::BadSignature)?;
    key.mac(signed).verify_slice(&signature).map_err(|_| Refusal::BadSignature)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| Refusal::BadSignature)?;
    let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Refusal::BadSignature)?;
    if digest_is(job, &claims.dig) { Ok(claims) } else { Err(Refusal::Altered) }
}

/// Why no key has written this header: it names none of ours, or it is none at all.
fn not_found(keys: &StampKeys, header: &str) -> Refusal {
    #[derive(Deserialize)]
    struct Header {
        kid: Option<String>,
    }
    let header = URL_SAFE_NO_PAD.decode(header).ok();
    match header.and_then(|header| serde_json::from_slice::<Header>(&header).ok()) {
        Some(Header { kid: Some(kid) }) if keys.knows(&kid) => Refusal::BadSignature,
        Some(_) => Refusal::UnknownKey,
        None => Refusal::BadSignature,
    }
}

/// One or two signing keys: the first signs, both verify. Rotate by putting a new key first.
///
/// Written `kid:secret` or `kid:secret,kid:secret`, each secret being at least 32 bytes in unpadded
/// base64url.
#[derive(Clone)]
pub struct StampKeys {
    keys: Vec<StampKey>,
}

#[derive(Clone)]
struct StampKey {
    kid: String,
    /// The first part of every stamp by this key: `{"alg":"HS256","kid":"..."}` in base64url.
    header: String,
    /// Has taken in the secret, which is half of the work on a stamp.
    mac: Hmac<Sha256>,
}

impl StampKey {
    /// Seals under this key. What is sealed begins with a length, and a stamp never does: neither code is one of the
    /// other kind.
    fn seal(&self) -> Seal {
        Seal::keyed(self.mac.clone())
    }

    /// The code over `text` under this key, ready to be read or compared.
    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(text.as_bytes());
        mac
    }
}

/// Keys that cannot be used. The text never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// Neither one nor two.
    #[error("expected one or two keys written as kid:secret, separated by a comma, found {0}")]
    Count(usize),
    /// The part before the colon.
    #[error("key {0} has no id: write it as kid:secret, the id being 1 to 32 letters, digits, - or _")]
    Id(usize),
    /// The part after the colon.
    #[error(
        "the secret of key {0} is not at least 32 bytes of unpadded base64url (make one with `tenantry keygen`)"
    )]
    Secret(usize),
    /// Twice the same id.
    #[error("two keys have the same id: give each an id of its own")]
    SameId,
}

impl StampKeys {
    /// The setting that holds them.
    pub const SETTING: &'static str = "TENANTRY_STAMP_KEYS";

    /// Reads `kid:secret[,kid:secret]`.
    ///
    /// # Errors
    /// When there is no key, more than two, a malformed one or a short secret.
    pub fn parse(text: &SecretString) -> Result<Self, InvalidKeys> {
        let parts: Vec<&str> =
            text.expose_secret().split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if !(1..=2).contains(&parts.len()) {
            return Err(InvalidKeys::Count(parts.len()));
        }
        let keys = parts
            .iter()
            .zip(1..)
            .map(|(part, number)| parse_key(part, number))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.len() == 2 && keys[0].kid == keys[1].kid {
            return Err(InvalidKeys::SameId);
        }
        Ok(Self { keys })
    }

    /// A new key in the form that [`StampKeys::parse`] reads.
    #[must_use]
    pub fn generate(kid: &str) -> SecretString {
        let secret: [u8; 32] = rand::random();
        format!("{kid}:{}", URL_SAFE_NO_PAD.encode(secret)).into()
    }

    fn signing(&self) -> &StampKey {
        &self.keys[0]
    }

    /// The key whose stamps begin with `header`, if there is one.
    fn find(&self, header: &str) -> Option<&StampKey> {
        self.keys.iter().find(|key| key.header == header)
    }

    /// Hides `text` under the key that signs now, whose id stands before it.
    pub(super) fn seal(&self, purpose: &str, text: &str) -> String {
        let key = self.signing();
        format!("{}.{}", key.kid, key.seal().seal(purpose, text))
    }

    /// Opens what was hidden for `purpose` under one of these keys.
    pub(super) fn unseal(&self, purpose: &str, sealed: &str) -> Option<String> {
        let (kid, sealed) = sealed.split_once('.')?;
        let key = self.keys.iter().find(|key| key.kid == kid)?;
        key.seal().unseal(purpose, sealed)
    }

    fn knows(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid == kid)
    }
}

fn parse_key(part: &str, number: usize) -> Result<StampKey, InvalidKeys> {
    let named = |kid: &&str| {
        (1..=32).contains(&kid.len())
            && kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let (kid, secret) = part.split_once(':').filter(|(kid, _)| named(kid)).ok_or(InvalidKeys::Id(number))?;
    let secret = URL_SAFE_NO_PAD.decode(secret).ok().filter(|bytes| bytes.len() >= 32);
    let secret = secret.ok_or(InvalidKeys::Secret(number))?;
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#));
    let mac = Hmac::new_from_slice(&secret).expect("HMAC takes a secret of any length");
    Ok(StampKey { kid: kid.to_owned(), header, mac })
}

impl std::fmt::Debug for StampKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.kid)).finish()
    }
}

/// A duration written as ISO 8601 (`PT1H30M`, `PT0.5S`), whole milliseconds, up to days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsoDuration(pub Duration);

impl fmt::Display for IsoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0.as_secs(), self.0.subsec_millis());
        if ms == 0 {
            write!(f, "PT{seconds}S")
        } else {
            let fraction = format!("{ms:03}");
            write!(f, "PT{seconds}.{}S", fraction.trim_end_matches('0'))
        }
    }
}

impl FromStr for IsoDuration {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId::new("duration", "ISO 8601 such as PT30S, PT5M or P1DT2H");
        parse_ms(text).map(|ms| Self(Duration::from_millis(ms))).ok_or(invalid)
    }
}

fn parse_ms(text: &str) -> Option<u64> {
    let (days, time) = text.strip_prefix('P')?.split_once('T').unwrap_or((text.strip_prefix('P')?, ""));
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let day_ms = sum_units(days, &[('D', 86_400_000)])?;
    let time_ms = sum_units(time, &[('H', 3_600_000), ('M', 60_000), ('S', 1_000)])?;
    day_ms.checked_add(time_ms)
}

/// Sums text such as `12H30M`, whose units appear in the given order, each at most once.
fn sum_units(mut text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut total: u64 = 0;
    for &(unit, unit_ms) in units {
        if let Some((number, rest)) = text.split_once(unit) {
            total = total.checked_add(scaled(number, unit_ms)?)?;
            text = rest;
        }
    }
    text.is_empty().then_some(total)
}

/// `number` units in milliseconds. Only seconds may have a fraction, as in ISO 8601's last unit.
fn scaled(number: &str, unit_ms: u64) -> Option<u64> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !digits(whole) || !digits(fraction) || (number.contains('.') && unit_ms != 1_000) {
        return None;
    }
    let fraction_ms: u64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(unit_ms)?.checked_add(fraction_ms)
}

impl TryFrom<String> for IsoDuration {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<IsoDuration> for String {
    fn from(duration: IsoDuration) -> Self {
        duration.to_string()
    }
}

serde_as_text!(IsoDuration);

/// A [`RetryPolicy`] as the Open Job Spec writes it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(remote = "RetryPolicy", deny_unknown_fields)]
struct SpecRetry {
    max_attempts: u32,
    #[serde(with = "iso_duration")]
    initial_interval: Duration,
    backoff_coefficient: f64,
    #[serde(with = "iso_duration")]
    max_interval: Duration,
    jitter: bool,
}

fn is_usual(policy: &RetryPolicy) -> bool {
    *policy == RetryPolicy::default()
}

/// A [`Duration`] as an [`IsoDuration`].
mod iso_duration {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::IsoDuration;

    pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        IsoDuration(*duration).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        IsoDuration::deserialize(from).map(|duration| duration.0)
    }
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

    #[test]
    fn durations_are_read_as_written() {
        for (text, ms) in [
            ("PT0S", 0),
            ("PT1S", 1_000),
            ("PT42M30S", 2_550_000),
            ("P1DT2H", 93_600_000),
            ("PT0.25S", 250),
            ("P2D", 172_800_000),
        ] {
            let duration: IsoDuration = text.parse().unwrap();
            assert_eq!(duration.0, Duration::from_millis(ms), "{text}");
            assert_eq!(duration.to_string().parse::<IsoDuration>().unwrap(), duration);
        }
        for bad in [
            "",
            "P",
            "PT",
            "1S",
            "PT1",
            "PT1S1M",
            "PT-1S",
            "PT1.5M",
            "PTS",
            "PT1.S",
            "PT99999999999999999999S",
        ] {
            assert!(bad.parse::<IsoDuration>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_retry_policy_is_written_in_the_words_of_the_spec() {
        #[derive(Serialize, Deserialize)]
        struct Written(#[serde(with = "SpecRetry")] RetryPolicy);

        let text = r#"{"max_attempts":3,"initial_interval":"PT0.25S","backoff_coefficient":1.5,"max_interval":"PT300S","jitter":true}"#;
        let policy = RetryPolicy {
            initial_interval: Duration::from_millis(250),
            backoff_coefficient: 1.5,
            ..RetryPolicy::attempts(3)
        };
        assert_eq!(serde_json::to_string(&Written(policy)).unwrap(), text);
        assert_eq!(serde_json::from_str::<Written>(text).unwrap().0, policy);
        let more = text.replace("\"jitter\"", "\"colour\":1,\"jitter\"");
        assert!(serde_json::from_str::<Written>(&more).is_err(), "a field of a later version is not ignored");
    }

    #[test]
    fn a_generated_key_is_read_and_never_printed() {
        let text = StampKeys::generate("k1");
        let keys = StampKeys::parse(&text).unwrap();
        let secret = text.expose_secret().split_once(':').unwrap().1;
        assert_eq!(format!("{keys:?}"), "[\"k1\"]");
        assert!(!format!("{keys:?}").contains(secret));
    }

    #[test]
    fn what_was_sealed_before_a_rotation_is_opened_while_the_key_is_there() {
        let (old, new) = (StampKeys::generate("k1"), StampKeys::generate("k2"));
        let (old, new) = (old.expose_secret(), new.expose_secret());
        let parse = |text: &str| StampKeys::parse(&text.to_owned().into()).unwrap();
        let sealed = parse(old).seal("secret of acme", "whsec_x");
        assert!(sealed.starts_with("k1.") && !sealed.contains("whsec"), "{sealed}");
        let both = parse(&format!("{new},{old}"));
        assert_eq!(both.unseal("secret of acme", &sealed).as_deref(), Some("whsec_x"));
        assert_eq!(both.unseal("secret of acme-2", &sealed), None);
        assert_eq!(parse(new).unseal("secret of acme", &sealed), None);
    }

    #[test]
    fn bad_keys_are_named_by_number() {
        let good = StampKeys::generate("k1").expose_secret().to_owned();
        let parse = |text: String| StampKeys::parse(&text.into()).unwrap_err();
        assert_eq!(parse(String::new()), InvalidKeys::Count(0));
        assert_eq!(parse("k:short".into()), InvalidKeys::Secret(1));
        assert_eq!(parse(format!("{good},nokey")), InvalidKeys::Id(2));
        assert_eq!(parse(format!("{good},{good}")), InvalidKeys::SameId);
    }
}
