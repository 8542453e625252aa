//! What somebody sends who wants what is another's. Generated from the API's own table of routes.

mod bodies;
mod hostile;
mod names;
mod on_servers;
mod site;
