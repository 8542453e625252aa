use super::bed::Api;
use super::tenant::ApiTenant;

/// Everything that a request could have left behind in a tenant, as text: two are equal when nothing was
/// written.
#[derive(Debug, PartialEq, Eq)]
pub struct Written(String);

impl Written {
    /// What there is now.
    ///
    /// # Panics
    /// When a store or the queue does not answer.
    pub async fn of(api: &Api, tenant: &ApiTenant) -> Self {
        let catalog = tenant.stores.catalog();
        let mut lines = vec![
            format!("{:?}", catalog.tenant().await.unwrap()),
            format!("{:?}", api.queue.stats(&tenant.id.parse().unwrap()).await.unwrap()),
            format!("outbox {}", api.outbox_len().await),
        ];
        lines.push(format!("{:?}", catalog.members(None, None, 1_000).await.unwrap()));
        for mut key in catalog.api_keys(None, 1_000).await.unwrap().items {
            // That a request was refused with a key is a use of it.
            key.last_used_at = None;
            lines.push(format!("{key:?}"));
        }
        for kb in catalog.kbs().await.unwrap() {
            lines.push(format!("{kb:?}"));
            lines.push(format!("{:?}", catalog.documents(&kb.id, None, None, 1_000).await.unwrap()));
            lines.push(format!("{:?}", catalog.schedules(&kb.id).await.unwrap()));
            lines.push(format!("{:?}", tenant.stores.index().counts(&kb).await.unwrap()));
        }
        Self(lines.join("\n"))
    }
}
