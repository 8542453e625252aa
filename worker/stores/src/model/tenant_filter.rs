use jobs::tenant::TenantStatus;

/// Which tenants to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// Only those in this state.
    pub status: Option<TenantStatus>,
    /// Only those of this plan.
    pub plan: Option<String>,
}
