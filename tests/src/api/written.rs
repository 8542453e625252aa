use super::bed::Api;
use super::tenant::ApiTenant;
use crate::holdings::rows;

/// Everything that a request could have left behind in a tenant, as text: two are equal when nothing was
/// written.
#[derive(Debug, PartialEq, Eq)]
pub struct Written(String);

impl Written {
    /// The current contents.
    ///
    /// # Panics
    /// When a store or the queue does not answer.
    pub async fn of(api: &Api, tenant: &ApiTenant) -> Self {
        let mut lines = rows(&tenant.stores).await;
        lines.push(format!("{:?}", api.queue.stats(&tenant.id.parse().unwrap()).await.unwrap()));
        lines.push(format!("outbox {}", api.outbox_len_of(Some(&tenant.id)).await));
        Self(lines.join("\n"))
    }
}
