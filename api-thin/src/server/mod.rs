//! The server around the routes: what it is built from, what surrounds every request, and how it starts and
//! stops.

mod middleware;
mod serve;

pub use middleware::router;
pub use serve::serve;
