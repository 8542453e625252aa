//! Two tenants, one set of servers: every store is read directly, past the ports.

mod every_collection;
mod every_label;
mod every_table;
mod interrupted;
mod postgres_roles;
mod start_up;
mod tenants;
mod upgrade;
