//! A product that sends invoices for its customers, with Tenantry as a library: the shortest whole program
//! there is.
//!
//! Read [`SendInvoice`] first, then [`Timing`] for middleware, then [`program`] for how they are put
//! together.

mod mailer;
pub mod program;
mod send_invoice;
mod timing;

pub use mailer::Mailer;
pub use send_invoice::SendInvoice;
pub use timing::{Timed, Timing, Timings};
