//! Sends mails in the background, until it is interrupted. A mailbox that is full is tried again.

use std::io::Write as _;
use std::time::Duration;

use apalis::prelude::*;
use fair_queue::storage::{Config, Storage, connect};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mail {
    to: String,
    subject: String,
}

/// What stands for a mail server here: it says what it sends.
#[derive(Debug, Clone)]
struct MailServer {
    host: &'static str,
}

impl MailServer {
    async fn send(&self, mail: &Mail, attempt: usize) -> Result<(), BoxDynError> {
        if mail.to.starts_with("full") && attempt < 2 {
            return Err(format!("the mailbox of {} is full", mail.to).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        writeln!(std::io::stdout(), "{} sent {:?} to {}", self.host, mail.subject, mail.to)?;
        Ok(())
    }
}

async fn send(mail: Mail, server: Data<MailServer>, attempt: Attempt) -> Result<(), BoxDynError> {
    server.send(&mail, attempt.current()).await
}

fn mail(to: &str, subject: &str) -> Mail {
    Mail { to: format!("{to}@example.com"), subject: subject.to_owned() }
}

#[tokio::main]
async fn main() -> Result<(), BoxDynError> {
    let redis = connect(std::env::var("REDIS_URL")?).await?;
    let config = Config::default().queue("mails");
    let mut mails = Storage::new(redis).with_config(config);

    mails.push(mail("ann", "Welcome")).await?;
    mails.push_bulk(vec![mail("bob", "News"), mail("full", "News")]).await?;
    mails.push_stream(futures::stream::iter((1..=20).map(|n| mail(&format!("member-{n}"), "News")))).await?;
    let reminder = TaskBuilder::new(mail("eve", "Reminder")).run_after(Duration::from_secs(2)).build();
    mails.push_task(reminder).await?;

    let worker = WorkerBuilder::new("mails-1")
        .backend(mails)
        .data(MailServer { host: "mx.example.com" })
        .concurrency(4)
        .on_event(|worker, event| eprintln!("{}: {event}", worker.name()))
        .build(send);
    worker.run_until(tokio::signal::ctrl_c()).await?;
    Ok(())
}
