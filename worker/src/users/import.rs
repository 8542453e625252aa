use chrono::{DateTime, Utc};
use jobs::plan::{Plans, Quota};
use jobs::tenant::{DirectoryError, Role, TenantId};
use stores::model::{KeyPlaced, MemberPlaced, OverQuota, Place, PlaceChange, User, UserChange};
use stores::{Opened, StoreError};

use super::file::{Entry, ImportedKey, UsersFile};

/// Takes over users.
pub struct Import<'a> {
    /// Where to.
    pub opened: &'a Opened,
    /// How many members a tenant may have.
    pub plans: &'a Plans,
    /// What they become in their workspaces.
    pub role: Role,
    /// The present moment.
    pub now: DateTime<Utc>,
}

/// What was done to one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// For people.
    pub line: String,
    /// Whether something of it was refused, because of what is in the tenant.
    pub refused: bool,
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
    pub async fn run(&self, file: &UsersFile) -> Result<Vec<Said>, Refused> {
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

    async fn entry(&self, entry: &Entry) -> Result<Said, Refused> {
        let Entry { user, workspace, api_key } = entry;
        let mut said = vec![self.user(user).await?.to_owned()];
        let mut refused = false;
        if let Some(tenant) = workspace {
            let change = self.place(entry, tenant).await?;
            refused = matches!(change.member, MemberPlaced::OverQuota(_))
                || change.api_key == Some(KeyPlaced::NameTaken);
            said.extend(self.of_member(&change.member, tenant));
            said.extend(change.api_key.and_then(|key| of_key(key, user, tenant)));
        }
        if matches!(api_key, ImportedKey::Foreign) {
            said.push("its api_key is not tk_… and was left out: make a new one".to_owned());
        }
        Ok(Said { line: format!("{}: {}", user.name, said.join(", ")), refused })
    }

    async fn user(&self, user: &User) -> Result<&'static str, Refused> {
        Ok(match self.opened.identities.user_put(user, self.now).await? {
            UserChange::Made => "made",
            UserChange::PasswordChanged => "has another password, its sessions have ended",
            UserChange::Same => "was there",
        })
    }

    async fn place(&self, entry: &Entry, tenant: &TenantId) -> Result<PlaceChange, Refused> {
        let api_key = match &entry.api_key {
            ImportedKey::Ours(key) => Some((key.id.clone(), key.secret_hash().to_hex())),
            ImportedKey::None | ImportedKey::Foreign => None,
        };
        let place = Place { tenant: tenant.clone(), role: self.role, api_key };
        let plan = self.opened.directory.plan(tenant).await?;
        let maximum = plan.and_then(|own| self.plans.limits(&own.plan, &own.limits).maximum(Quota::Members));
        let identities = &self.opened.identities;
        let change = identities.place_ensure(&entry.user.name, &place, maximum, self.now).await?;
        self.opened.directory.invalidate(tenant).await;
        Ok(change)
    }

    fn of_member(&self, member: &MemberPlaced, tenant: &TenantId) -> Option<String> {
        match member {
            MemberPlaced::New => Some(format!("is {} of {tenant} now", self.role)),
            MemberPlaced::Known => None,
            MemberPlaced::OverQuota(OverQuota { current, maximum, .. }) => Some(format!(
                "is no member of {tenant}, which has {current} of {maximum}: make room and run it again"
            )),
        }
    }
}

fn of_key(key: KeyPlaced, user: &User, tenant: &TenantId) -> Option<String> {
    match key {
        KeyPlaced::New => Some(format!("has its API key of {tenant}")),
        KeyPlaced::Known => None,
        KeyPlaced::NameTaken => Some(format!(
            "its api_key was left out, because another one of {tenant} is called {}: rename or revoke that one \
             and run it again",
            user.name
        )),
    }
}
