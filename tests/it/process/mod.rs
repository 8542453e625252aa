//! The programs as an operator meets them: their settings, their log, their data directory, how they refuse to start.

mod demo;
mod logs;
mod no_handles;
mod redis_dies;
mod refusals;
mod settings;
mod stopping;
mod two_at_once;
