use chrono::{DateTime, Utc};
use jobs::tenant::{DirectoryError, Role, TenantId};
use stores::model::{Place, User, UserChange};
use stores::{Opened, StoreError};

use super::file::{Entry, ImportedKey, UsersFile};

/// Takes over users.
pub struct Import<'a> {
    /// Where to.
    pub opened: &'a Opened,
    /// What they become in their workspaces.
    pub role: Role,
    /// The present moment.
    pub now: DateTime<Utc>,
}

/// Why users were not taken over.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A workspace is no tenant; nothing was changed.
    #[error("the workspace {0} of {1} is no tenant here: make it first")]
    NoTenant(TenantId, String),
    /// The catalog failed; run it again.
    #[error("the catalog failed: run the import again")]
    Store(#[from] StoreError),
    /// The directory failed; run it again.
    #[error("the catalog failed: run the import again")]
    Directory(#[from] DirectoryError),
}

impl Import<'_> {
    /// Takes over every user of the file, and says what was done to each.
    ///
    /// # Errors
    /// When a workspace is not there, or the catalog fails.
    pub async fn run(&self, file: &UsersFile) -> Result<Vec<String>, Refused> {
        for Entry { user, workspace, .. } in &file.entries {
            if let Some(tenant) = workspace
                && self.opened.directory.tenant(tenant).await?.is_none()
            {
                return Err(Refused::NoTenant(tenant.clone(), user.name.to_string()));
            }
        }
        let mut done = Vec::with_capacity(file.entries.len());
        for entry in &file.entries {
            done.push(self.entry(entry).await?);
        }
        Ok(done)
    }

    async fn entry(&self, entry: &Entry) -> Result<String, Refused> {
        let Entry { user, workspace, api_key } = entry;
        let mut said = vec![self.user(user).await?.to_owned()];
        if let Some(tenant) = workspace {
            said.extend(self.place(entry, tenant).await?);
        }
        if matches!(api_key, ImportedKey::Foreign) {
            said.push("its api_key is not tk_… and was left out: make a new one".to_owned());
        }
        Ok(format!("{}: {}", user.name, said.join(", ")))
    }

    async fn user(&self, user: &User) -> Result<&'static str, Refused> {
        Ok(match self.opened.identities.user_put(user, self.now).await? {
            UserChange::Made => "made",
            UserChange::PasswordChanged => "has another password, its sessions have ended",
            UserChange::Same => "was there",
        })
    }

    async fn place(&self, entry: &Entry, tenant: &TenantId) -> Result<Vec<String>, Refused> {
        let api_key = match &entry.api_key {
            ImportedKey::Ours(key) => Some((key.id.clone(), key.secret_hash().to_hex())),
            ImportedKey::None | ImportedKey::Foreign => None,
        };
        let place = Place { tenant: tenant.clone(), role: self.role, api_key };
        let change = self.opened.identities.place_ensure(&entry.user.name, &place, self.now).await?;
        self.opened.directory.invalidate(tenant).await;
        let member = change.member.then(|| format!("is {} of {tenant} now", self.role));
        let key = change.api_key.then(|| format!("has its API key of {tenant}"));
        Ok(member.into_iter().chain(key).collect())
    }
}
