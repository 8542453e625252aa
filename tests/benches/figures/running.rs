//! Worker and producer processes, started and told to go.

use std::path::PathBuf;

use anyhow::Result;
use tempfile::TempDir;

use crate::child::{Produced, ProducerSpec, Way, WorkerDone, WorkerSpec};
use crate::harness::bench::Bench;
use crate::harness::cores::Place;
use crate::harness::process::Process;
use crate::harness::records::{self, Ran};
use crate::harness::redis_child::RedisChild;

/// A worker process that is connected.
pub(super) struct Worker {
    process: Process,
    folder: TempDir,
}

pub(super) struct WorkerPlan {
    pub(super) tenants: usize,
    pub(super) concurrency: usize,
    pub(super) expect: u64,
    pub(super) place: Place,
}

/// What a job goes through in the worker.
#[derive(Debug, Clone, Copy)]
pub(super) enum Road {
    /// The queue's own worker, a verified stamp, a directory in memory.
    Queue,
    /// All of the crate `worker`: catalog, context, layers, history.
    Whole,
}

impl Worker {
    pub(super) fn start(bench: &Bench, server: &RedisChild, plan: &WorkerPlan) -> Result<Self> {
        Self::start_on(Road::Queue, bench, server, plan)
    }

    pub(super) fn start_on(
        road: Road,
        bench: &Bench,
        server: &RedisChild,
        plan: &WorkerPlan,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let spec = WorkerSpec {
            url: server.url(),
            keys: bench.keys.clone(),
            tenants: plan.tenants,
            concurrency: plan.concurrency,
            expect: plan.expect,
            records: records_in(&folder),
        };
        let role = match road {
            Road::Queue => "worker",
            Road::Whole => "whole",
        };
        let mut process = Process::start(&bench.cores, plan.place, role, &spec)?;
        process.hear::<String>()?;
        Ok(Self { process, folder })
    }

    pub(super) fn go(&mut self) -> Result<()> {
        self.process.say("go")
    }

    /// Waits until everything expected has run.
    pub(super) fn done(&mut self) -> Result<WorkerDone> {
        self.process.hear()
    }

    /// The executed jobs.
    pub(super) fn stop(mut self) -> Result<Vec<Ran>> {
        self.process.say("stop")?;
        self.process.hear::<String>()?;
        records::read(&records_in(&self.folder))
    }
}

/// A producer process that is connected.
pub(super) struct Producer {
    process: Process,
    folder: TempDir,
}

impl Producer {
    pub(super) fn start(bench: &Bench, server: &RedisChild, tenants: usize, way: Way) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let records = records_in(&folder);
        let spec = ProducerSpec { url: server.url(), keys: bench.keys.clone(), tenants, way, records };
        let mut process = Process::start(&bench.cores, Place::Worker, "producer", &spec)?;
        process.hear::<String>()?;
        Ok(Self { process, folder })
    }

    pub(super) fn go(&mut self) -> Result<()> {
        self.process.say("go")
    }

    /// How it went, and the ids.
    pub(super) fn done(&mut self) -> Result<(Produced, Vec<u128>)> {
        let produced = self.process.hear()?;
        let ids = records::read(&records_in(&self.folder))?.into_iter().map(|job| job.id).collect();
        Ok((produced, ids))
    }
}

fn records_in(folder: &TempDir) -> PathBuf {
    folder.path().join("records")
}

pub(super) fn ids(ran: &[Ran]) -> Vec<u128> {
    ran.iter().map(|job| job.id).collect()
}
