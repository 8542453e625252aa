//! The HTTP server around the routes: router, middleware, start and shutdown.

mod cross_origin;
mod middleware;
mod serve;

pub use middleware::router;
pub use serve::serve;
