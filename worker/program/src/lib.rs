#![doc = include_str!("../README.md")]

pub mod cli;
pub mod client;
pub mod demo;
pub mod dev;
pub mod dev_secrets;
pub mod health;
pub mod system;
pub mod users;

mod operate;
mod reconcile;
mod worker_command;
