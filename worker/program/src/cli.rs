//! The commands of the program.

use api_thin::program::ApiCommand;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::client::ClientCommand;
use crate::demo::Demo;
use crate::dev::Dev;
use crate::operate::{Keygen, Migrate, Shards};
use crate::reconcile::ReconcileCommand;
use crate::users::Users;
use crate::worker_command::WorkerCommand;

/// Tenantry: background jobs for many tenants, with an HTTP API in front of them.
///
/// `dev` and `demo` need nothing but redis-server. In production `api` and `worker` run against the same servers, as
/// many of each as you like, after `migrate` and with keys from `keygen`. Every setting is a flag and an environment
/// variable; `tenantry COMMAND --help` lists them. From `profile` on, commands speak to a running API over HTTP, from
/// any machine.
#[derive(Debug, Parser)]
#[command(
    name = "tenantry",
    version,
    after_help = "Start with `tenantry dev`: it needs nothing but redis-server."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the whole system in this process: API, worker and scheduler on embedded stores and a Redis of its
    /// own.
    Dev(Box<Dev>),
    /// Shows the system at work on sample documents or on a folder of yours.
    Demo(Box<Demo>),
    /// Answers HTTP requests and enqueues what they ask for, against the configured servers.
    Api(Box<ApiCommand>),
    /// Runs jobs, schedules and the outbox relay against the configured servers.
    Worker(Box<WorkerCommand>),
    /// Creates or updates the Postgres tables and roles.
    Migrate(Migrate),
    /// Changes the number of shards of the queue, and moves what has to move.
    Shards(Shards),
    /// Looks for accepted work that the queue has lost, and enqueues it again.
    Reconcile(Box<ReconcileCommand>),
    /// Prints a new key for `TENANTRY_STAMP_KEYS`.
    Keygen(Keygen),
    /// Takes over users from a file.
    Users(Users),
    /// Prints completions for a shell: `source <(tenantry completions bash)`.
    Completions {
        /// The shell.
        shell: Shell,
    },
    #[command(flatten)]
    Client(ClientCommand),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// When the command cannot do its work; the text names the setting to change where one is the cause.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Dev(dev) => dev.run().await,
            Command::Demo(demo) => demo.run().await,
            Command::Api(api) => api.run("tenantry api").await,
            Command::Worker(worker) => worker.run().await,
            Command::Migrate(migrate) => migrate.run().await,
            Command::Shards(shards) => shards.run().await,
            Command::Reconcile(reconcile) => reconcile.run().await,
            Command::Keygen(keygen) => keygen.run(),
            Command::Users(users) => users.run().await,
            Command::Completions { shell } => completions(shell),
            Command::Client(client) => client.run().await,
        }
    }
}

fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tenantry", &mut script);
    api_thin::program::print(String::from_utf8(script)?.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_variables_do_not_clash() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_every_variable_of_worker() {
        let mut cli = Cli::command();
        let worker = cli.find_subcommand_mut("worker").unwrap();
        let help = worker.render_long_help().to_string();
        for name in [
            "REDIS_URL",
            "TENANTRY_SHARDS",
            "TENANTRY_STAMP_KEYS",
            "POSTGRES_URL",
            "MONGO_URL",
            "NEO4J_URL",
            "OPENAI_BASE_URL",
        ] {
            assert!(help.contains(name), "{name} is not in the help");
        }
    }
}
