//! The envelope: the stored form of a job, and the proof of the tenant it belongs to.
//!
//! [`Envelope`] is the job in the vocabulary of the [Open Job Spec](https://openjobspec.org) 1.0. [`Stamper`] signs it
//! for a tenant and returns a [`StampedJob`], the only type the queue accepts. Redis stores it as a [`WireEnvelope`]:
//! bytes without authority. [`Verifier::verify`] is the only way back to a [`crate::tenant::TenantContext`].

mod stamp;
mod stamper;
mod trace;
mod unique;
mod verifier;

#[cfg(test)]
mod tests;

pub use stamp::{Envelope, InvalidKeys, IsoDuration, Meta, RetryPolicy, StampKeys, WireEnvelope};
pub use stamper::{Chain, EnqueueOptions, StampError, StampedJob, Stamper};
pub use trace::{SPANS, TraceParent};
pub use unique::{OnConflict, Unique, UniqueKey, UniquePolicy, UniqueScope, Until};
pub use verifier::{Refusal, Verified, Verifier};
