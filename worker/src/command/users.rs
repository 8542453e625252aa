use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use api_thin::program::{print, start_log};
use clap::{Args, Subcommand};
use jobs::clock::{SharedClock, SystemClock};
use jobs::tenant::Role;
use stores::Holder;

use crate::settings::{PlanSettings, QueueSettings, StorageSettings};
use crate::users::{Import, Said, UsersFile};

/// People who log in.
#[derive(Debug, Args)]
pub(super) struct Users {
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
    pub(super) async fn run(self) -> anyhow::Result<()> {
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
        let holder = Holder { program: "worker users import", since: clock.now() };
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
