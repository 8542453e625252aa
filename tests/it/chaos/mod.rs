//! Chaos: what is accepted ends once, whatever dies, stops, hangs or lies on the way.
//!
//! The workers here are processes of their own ([`worker_process`]), so that they can be killed and stopped as an
//! operating system does it. They run the product's handlers on a real Redis and a real PostgreSQL, and write down what
//! they do in a [`ledger`], which is what the tests believe: which job of which tenant was attempted when, which calls
//! of a store it made, and whether it ended.
//!
//! The short forms run with all other tests; `make chaos` runs the long ones.

mod crash_points;
mod disturbed;
mod every_effect;
mod failover;
mod ledger;
mod proxy;
mod site;
mod soak;
mod worker_process;
