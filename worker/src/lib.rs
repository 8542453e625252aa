//! Runs jobs: from a fetched envelope to a verified context, a handler, and the job's end.

pub mod command;
pub mod context;
pub mod demo;
pub mod dev;
pub mod extract;
pub mod handler;
pub mod outbox;
pub mod registry;
pub mod run;
pub mod schedule;
pub mod settings;
pub mod system;
pub mod text;
pub mod tools;

mod handlers;
mod history;
mod pace;
mod process;
mod retry;
