//! What the state of a tenant means for whoever asks for something in it.

use jobs::tenant::TenantStatus;

use crate::problem::{Code, Problem};

/// When to look again whether a tenant was provisioned.
const PROVISIONING_RETRY_S: u32 = 2;

/// Refuses everything in a tenant that is closed to its members. One that is being provisioned is not: they see how
/// far it is.
pub(super) fn check_open(status: TenantStatus) -> Result<(), Problem> {
    match status {
        TenantStatus::Active | TenantStatus::Provisioning => Ok(()),
        TenantStatus::Suspended => {
            Err(Problem::new(Code::TenantSuspended, "the tenant is suspended: ask the operator"))
        }
        TenantStatus::Deprovisioning => Err(Problem::not_found()),
    }
}

/// Refuses what needs a tenant that is in use.
pub(super) fn check_ready(status: TenantStatus) -> Result<(), Problem> {
    check_open(status)?;
    if status == TenantStatus::Provisioning { Err(not_ready()) } else { Ok(()) }
}

pub(super) fn not_ready() -> Problem {
    let detail = "the tenant is being provisioned: try again in a moment";
    Problem::new(Code::TenantNotReady, detail).retry_after_s(PROVISIONING_RETRY_S)
}
