use clap::{Parser, Subcommand};

use super::{demo, dev, keygen, migrate, run, shards, users};

/// Runs background jobs for many tenants.
#[derive(Debug, Parser)]
#[command(
    name = "worker",
    version,
    about,
    after_help = "Start with `worker dev`: it needs nothing but redis-server."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs jobs, schedules and the outbox relay against the configured servers.
    Run(run::Run),
    /// Runs the whole system in this process: API, worker and scheduler on embedded stores and a Redis of its
    /// own.
    Dev(Box<dev::Dev>),
    /// Shows the system at work on sample documents or on a folder of yours.
    Demo(demo::Demo),
    /// Creates or updates the Postgres tables and roles.
    Migrate(migrate::Migrate),
    /// Changes the number of shards of the queue, and moves what has to move.
    Shards(shards::Shards),
    /// Prints a new key for `TENANTRY_STAMP_KEYS`.
    Keygen(keygen::Keygen),
    /// Takes over users from a file.
    Users(users::Users),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever keeps the command from doing its work, with the setting to change where one is to blame.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(run) => run.run().await,
            Command::Dev(dev) => dev.run().await,
            Command::Demo(demo) => demo.run().await,
            Command::Migrate(migrate) => migrate.run().await,
            Command::Shards(shards) => shards.run().await,
            Command::Users(users) => users.run().await,
            Command::Keygen(keygen) => keygen.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_and_variables_do_not_clash() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_every_variable_of_run() {
        let mut cli = Cli::command();
        let run = cli.find_subcommand_mut("run").unwrap();
        let help = run.render_long_help().to_string();
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
