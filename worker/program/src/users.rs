//! Imports users from another system.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use api_thin::accounts::Passwords;
use api_thin::auth::ApiKey;
use api_thin::program::{PlanSettings, QueueSettings, StorageSettings, print, start_log};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use jobs::clock::{SharedClock, SystemClock};
use jobs::plan::{Plans, Quota};
use jobs::tenant::{DirectoryError, Role, TenantId};
use serde::Deserialize;
use stores::model::{
    KeyPlaced, MemberPlaced, MembershipImport, MembershipImported, OverQuota, User, UserChange, UserName,
};
use stores::{Holder, Opened, StoreError};

/// A users file that was read and validated.
#[derive(Debug)]
pub struct UsersFile {
    entries: Vec<Entry>,
}

/// One user of a file.
#[derive(Debug)]
struct Entry {
    user: User,
    workspace: Option<TenantId>,
    api_key: ImportedKey,
}

/// The API key of an entry.
#[derive(Debug)]
enum ImportedKey {
    None,
    /// A key of this product, which names its tenant.
    Ours(ApiKey),
    /// Any other key. It does not name its tenant, so the API could not find it.
    Foreign,
}

/// Why a file is rejected. Contains neither hashes nor keys.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUsers {
    /// The JSON has another form.
    #[error("expected a JSON array of objects with username, password_hash, workspace and api_key")]
    Json(#[source] serde_json::Error),
    /// An entry is invalid.
    #[error("entry {number}: {problem}")]
    Entry {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    username: String,
    password_hash: String,
    #[serde(default)]
    api_key: Option<String>,
    #[serde(default)]
    workspace: Option<String>,
}

impl UsersFile {
    /// Reads a file and validates every entry.
    ///
    /// # Errors
    /// At the first invalid entry, with its number.
    pub fn read(json: &[u8]) -> Result<Self, InvalidUsers> {
        let lines: Vec<Line> = serde_json::from_slice(json).map_err(InvalidUsers::Json)?;
        let mut seen = HashSet::new();
        let mut entries = Vec::with_capacity(lines.len());
        for (line, number) in lines.into_iter().zip(1..) {
            let invalid = |problem| InvalidUsers::Entry { number, problem };
            let entry = line.entry().map_err(invalid)?;
            if !seen.insert(entry.user.name.clone()) {
                return Err(invalid(format!("{} is there twice", entry.user.name)));
            }
            entries.push(entry);
        }
        Ok(Self { entries })
    }
}

impl Line {
    fn entry(self) -> Result<Entry, String> {
        let name: UserName = self.username.parse().map_err(|error| format!("username: {error}"))?;
        if !Passwords::takes(&self.password_hash) {
            let expected = "an argon2 PHC string of at most 256 MiB and 16 rounds, $argon2id$v=19$…";
            return Err(format!("password_hash: expected {expected}"));
        }
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        let workspace: Option<TenantId> = present(self.workspace)
            .map(|id| id.parse().map_err(|error| format!("workspace: {error}")))
            .transpose()?;
        let api_key = match present(self.api_key) {
            None => ImportedKey::None,
            Some(text) => text.parse().map_or(ImportedKey::Foreign, ImportedKey::Ours),
        };
        if let ImportedKey::Ours(key) = &api_key
            && workspace.as_ref() != Some(&key.tenant)
        {
            return Err("api_key: it is a key of another tenant than the workspace".to_owned());
        }
        Ok(Entry { user: User { name, password_hash: self.password_hash }, workspace, api_key })
    }
}

/// An import of users into the stores.
pub struct Import<'a> {
    /// The stores to import into.
    pub opened: &'a Opened,
    /// Plans, for the number of members that a tenant may have.
    pub plans: &'a Plans,
    /// The role of imported members in their workspaces.
    pub role: Role,
    /// The present moment.
    pub now: DateTime<Utc>,
}

/// The result for one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// One line for display.
    pub line: String,
    /// Whether a part was rejected because of the state of the tenant: no room, or a name in use.
    pub refused: bool,
}

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A workspace is not a tenant here; nothing was changed.
    #[error("the workspace {0} of {1} is no tenant here: make it first")]
    NoTenant(TenantId, String),
    /// The catalog failed; the import may be run again.
    #[error("the catalog failed: run the import again")]
    Store(#[from] StoreError),
    /// The directory failed; the import may be run again.
    #[error("the catalog failed: run the import again")]
    Directory(#[from] DirectoryError),
}

impl Import<'_> {
    /// Imports every user of the file, and returns one result for each. May be run again.
    ///
    /// # Errors
    /// When a workspace does not exist, or the catalog fails.
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
            let change = self.membership(entry, tenant).await?;
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

    async fn membership(&self, entry: &Entry, tenant: &TenantId) -> Result<MembershipImported, Refused> {
        let api_key = match &entry.api_key {
            ImportedKey::Ours(key) => Some((key.id.clone(), key.secret_hash().to_hex())),
            ImportedKey::None | ImportedKey::Foreign => None,
        };
        let import = MembershipImport { tenant: tenant.clone(), role: self.role, api_key };
        let plan = self.opened.directory.plan(tenant).await?;
        let maximum = plan.and_then(|own| self.plans.limits(&own.plan, &own.limits).maximum(Quota::Members));
        let identities = &self.opened.identities;
        let change = identities.membership_import(&entry.user.name, &import, maximum, self.now).await?;
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

/// People who log in.
#[derive(Debug, Args)]
pub(crate) struct Users {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Takes over users from a file: none if one entry of it cannot be used. May be run again.
    Import(ImportFile),
}

#[derive(Debug, Args)]
struct ImportFile {
    /// JSON: an array of objects with `username`, `password_hash` (argon2, as a PHC string), and optionally
    /// `workspace` (the tenant that the user becomes a member of) and `api_key` (a key of that tenant, `tk_…`).
    file: PathBuf,
    /// What the users become in their workspaces.
    #[arg(long, default_value = "EDITOR", value_name = "ROLE")]
    role: Role,
    #[command(flatten)]
    plans: PlanSettings,
    #[command(flatten)]
    storage: StorageSettings,
    #[command(flatten)]
    queue: QueueSettings,
}

impl Users {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        start_log("warn");
        match self.command {
            Command::Import(import) => import.run().await,
        }
    }
}

impl ImportFile {
    async fn run(self) -> anyhow::Result<()> {
        let name = self.file.display().to_string();
        let text = std::fs::read(&self.file).with_context(|| format!("FILE: {name} cannot be read"))?;
        let file = UsersFile::read(&text).with_context(|| format!("FILE: {name} cannot be used"))?;
        let plans = self.plans.plans()?;
        let clock: SharedClock = Arc::new(SystemClock);
        let redis_url = self.queue.url();
        let holder = Holder { program: "tenantry users import", since: clock.now() };
        let _lock = self.storage.take(&redis_url, holder)?;
        let opened = stores::open(&self.storage.stores(redis_url)?, Arc::clone(&clock)).await?;
        let import = Import { opened: &opened, plans: &plans, role: self.role, now: clock.now() };
        let said = import.run(&file).await?;
        for Said { line, .. } in &said {
            print(line)?;
        }
        match said.iter().filter(|said| said.refused).count() {
            0 => Ok(()),
            refused => bail!("{refused} of {} users were not taken over wholly: see above", said.len()),
        }
    }
}
