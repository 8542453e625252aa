//! What a worker process tells about each job that ran, and a producer about each job it pushed.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use jobs::JobId;

/// One job that ran. Times are microseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ran {
    pub(crate) id: u128,
    pub(crate) tenant: u32,
    pub(crate) created_us: i64,
    pub(crate) started_us: i64,
    pub(crate) ended_us: i64,
}

const BYTES: usize = 44;

/// A job's id as a number.
pub(crate) fn number(id: JobId) -> Result<u128> {
    Ok(uuid::Uuid::parse_str(&id.to_string())?.as_u128())
}

pub(crate) fn write(path: &Path, ran: &[Ran]) -> Result<()> {
    let mut bytes = Vec::with_capacity(ran.len() * BYTES);
    for job in ran {
        bytes.extend(job.id.to_le_bytes());
        bytes.extend(job.tenant.to_le_bytes());
        for time in [job.created_us, job.started_us, job.ended_us] {
            bytes.extend(time.to_le_bytes());
        }
    }
    std::fs::write(path, bytes).context("cannot write what ran")
}

pub(crate) fn read(path: &Path) -> Result<Vec<Ran>> {
    let bytes = std::fs::read(path).context("cannot read what ran")?;
    ensure!(bytes.len() % BYTES == 0, "the list of what ran is cut off");
    bytes.chunks_exact(BYTES).map(parse).collect()
}

fn parse(bytes: &[u8]) -> Result<Ran> {
    let time = |at: usize| anyhow::Ok(i64::from_le_bytes(bytes[at..at + 8].try_into()?));
    Ok(Ran {
        id: u128::from_le_bytes(bytes[..16].try_into()?),
        tenant: u32::from_le_bytes(bytes[16..20].try_into()?),
        created_us: time(20)?,
        started_us: time(28)?,
        ended_us: time(36)?,
    })
}
