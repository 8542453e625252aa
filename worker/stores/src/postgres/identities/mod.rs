//! People who log in, in the schema `tenantry` and as the role `tenantry_identity`.

mod gates;
mod joining;
mod places;
mod port;
mod sessions;
mod users;

pub(crate) use port::PgIdentities;
pub(super) use users::user_insert;
