//! Uploaded originals: objects in a local directory or in an S3-compatible store.

mod fault;
mod leftovers;
mod local;
mod s3;
#[cfg(test)]
mod s3_server;
mod settings;
mod tenant_blobs;

pub use leftovers::{Leftovers, Swept};
pub(crate) use tenant_blobs::ObjectBlobs;
