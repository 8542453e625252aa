//! What stands around every job: layers of [`tower`], the user's own.
//!
//! A job passes through one door. Its envelope is fetched, **verified** and given its tenant's context first;
//! only then do the layers see it, in the order in which they were added, and last the handler. A forged,
//! foreign or expired job never reaches a layer.
//!
//! ```text
//! fetched ─▶ verify ─▶ [ first layer ─▶ second layer ─▶ handler ] ─▶ verdict ─▶ finish
//!               └─ refused: quarantined, parked or dropped
//! ```
//!
//! - A layer sees a [`JobRequest`]: tenant, kind, id, attempt, the envelope and the whole [`crate::JobContext`].
//! - It may end the attempt by answering with a [`jobs::JobError`] (try again, try again after, give up), or with `Ok`,
//!   which completes the job unhandled.
//! - The handler's panic, timeout and cancellation reach it as the [`jobs::JobError`] they amount to.
//! - The type's timeout covers the layers too, and a layer that panics has failed the attempt, no more.
//!
//! Write a layer as a function with [`from_fn`], or as a [`tower::Layer`]; tower's own layers fit as well.

mod attempt;
mod from_fn;
mod request;
mod stack;

pub(crate) use attempt::bounded;
pub use from_fn::{FromFn, FromFnService, Next, from_fn};
pub use request::JobRequest;
pub use stack::JobService;
pub(crate) use stack::Stack;
