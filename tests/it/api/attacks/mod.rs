//! Requests of an attacker who wants another tenant's data. Generated from the API's own table of routes.

mod bodies;
mod hostile;
mod names;
mod on_servers;
mod site;
