//! The commands that speak to the API over HTTP, from any machine: one file for each noun.

mod api;
mod audit;
mod batches;
mod change;
mod connection;
mod dead_letters;
mod doctor;
mod documents;
mod explain;
mod failure;
mod job_filter;
mod jobs;
mod kbs;
mod keys;
mod output;
mod profiles;
mod progress;
mod queues;
mod schedules;
mod stream;
mod tail;
mod tenants;
mod top;
mod upload;
mod webhooks;
mod workers;

use api_thin::program::start_log;
use clap::{Args, Subcommand};

use self::connection::{ConnectionSettings, Session};
use self::doctor::Doctor;
use self::failure::Failure;
use self::profiles::ProfileCommand;
use self::top::Top;

pub use self::failure::ending;

/// The commands that speak to the API.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Which API the commands below speak to, and with which key.
    Profile(ProfileCommand),
    /// Says what is wrong and how to mend it: URL, credentials, servers, workers, settings.
    Doctor(Doctor),
    /// Shows tenants by what waits and runs, live.
    Top(Top),
    /// Lists, shows, makes, changes, suspends and deletes tenants.
    Tenants(Noun<tenants::Command>),
    /// Lists, shows, makes, reads again and deletes knowledge bases.
    Kbs(Noun<kbs::Command>),
    /// Lists, shows, explains, follows, uploads and deletes documents.
    Documents(Noun<documents::Command>),
    /// Lists, shows, cancels and follows batches: what requests and folders brought in.
    Batches(Noun<batches::Command>),
    /// Lists, shows, explains, cancels, reschedules and follows jobs.
    Jobs(Noun<jobs::Command>),
    /// Lists, pauses, resumes and drains queues.
    Queues(Noun<queues::Command>),
    /// Lists, shows, retries and purges jobs that failed for good.
    DeadLetters(Noun<dead_letters::Command>),
    /// Lists, shows, puts and deletes schedules.
    Schedules(Noun<schedules::Command>),
    /// Lists, shows, makes, rotates and revokes API keys.
    Keys(Noun<keys::Command>),
    /// Lists, shows, adds, changes, tests and removes webhooks, and shows what became of events.
    Webhooks(Noun<webhooks::Command>),
    /// Lists, shows, stops and resumes workers, and the job types that they run.
    Workers(Noun<workers::Command>),
    /// Lists who changed what, and why.
    Audit(Noun<audit::Command>),
}

/// What can be done with one kind of thing.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Noun<C: Subcommand> {
    #[command(flatten)]
    connection: ConnectionSettings,
    #[command(subcommand)]
    command: C,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 used wrongly; 3 not found; 4 refused; 5 no answer; 6 try again \
                          later.";

/// A command of one noun.
trait Run {
    async fn run(self, session: &Session) -> Result<(), Failure>;
}

async fn run<C: Subcommand + Run>(noun: Noun<C>) -> Result<(), Failure> {
    noun.command.run(&noun.connection.open()?).await
}

impl ClientCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        start_log("warn");
        match self {
            Self::Profile(profile) => profile.run()?,
            Self::Doctor(doctor) => doctor.run().await?,
            Self::Top(top) => top.run().await?,
            Self::Tenants(noun) => run(noun).await?,
            Self::Kbs(noun) => run(noun).await?,
            Self::Documents(noun) => run(noun).await?,
            Self::Batches(noun) => run(noun).await?,
            Self::Jobs(noun) => run(noun).await?,
            Self::Queues(noun) => run(noun).await?,
            Self::DeadLetters(noun) => run(noun).await?,
            Self::Schedules(noun) => run(noun).await?,
            Self::Keys(noun) => run(noun).await?,
            Self::Webhooks(noun) => run(noun).await?,
            Self::Workers(noun) => run(noun).await?,
            Self::Audit(noun) => run(noun).await?,
        }
        Ok(())
    }
}
