//! The interface of extractors.

use std::time::Duration;

use async_trait::async_trait;
use stores::model::Extraction;
use worker::compute::{Stopped, TenantCompute};

/// Finds the entities and relations of a chunk.
#[async_trait]
pub trait Extractor: Send + Sync {
    /// The entities and relations that the chunk names, within LightRAG's limits: at most 40 entities, 100 records
    /// in all. CPU-bound work runs in `compute`, never on the thread that polls this future.
    ///
    /// # Errors
    /// [`ExtractError`] says whether a retry can help.
    async fn extract(&self, chunk: &str, compute: &TenantCompute) -> Result<Extraction, ExtractError>;

    /// Whether an answer costs money or much time, so that it has to be stored at once.
    fn is_costly(&self) -> bool {
        true
    }

    /// A stable name, such as `rules`.
    fn name(&self) -> &'static str;
}

/// Why a chunk was not extracted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExtractError {
    /// The endpoint is busy or away, whatever it is asked: the same request may succeed later.
    #[error("{reason}")]
    Busy {
        /// A stable name in `snake_case`.
        code: &'static str,
        /// What happened, without the text of the chunk.
        reason: String,
        /// How long the endpoint asks us to wait.
        retry_after: Option<Duration>,
    },
    /// The answer to this request is of no use; another one may be.
    #[error("{reason}")]
    Retry {
        /// A stable name in `snake_case`.
        code: &'static str,
        /// What happened, without the text of the chunk.
        reason: String,
    },
    /// The endpoint refuses this chunk, and may take others.
    #[error("{reason}")]
    Chunk {
        /// A stable name in `snake_case`.
        code: &'static str,
        /// What happened, without the text of the chunk.
        reason: String,
    },
    /// The same request fails again until an operator or user changes something.
    #[error("{reason}")]
    Fail {
        /// A stable name in `snake_case`.
        code: &'static str,
        /// What has to be changed.
        reason: String,
    },
}

impl ExtractError {
    pub(super) fn retry(code: &'static str, reason: impl Into<String>) -> Self {
        Self::Retry { code, reason: reason.into() }
    }

    pub(super) fn busy(code: &'static str, reason: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self::Busy { code, reason: reason.into(), retry_after }
    }

    pub(super) fn chunk(code: &'static str, reason: impl Into<String>) -> Self {
        Self::Chunk { code, reason: reason.into() }
    }

    pub(super) fn fail(code: &'static str, reason: impl Into<String>) -> Self {
        Self::Fail { code, reason: reason.into() }
    }

    /// A stable name in `snake_case`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy { code, .. }
            | Self::Retry { code, .. }
            | Self::Chunk { code, .. }
            | Self::Fail { code, .. } => code,
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Retry { .. })
    }

    /// Minimum wait before the next attempt, if the endpoint asked for one.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            Self::Retry { .. } | Self::Chunk { .. } | Self::Fail { .. } => None,
        }
    }
}

impl From<Stopped> for ExtractError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Cancelled => Self::retry("interrupted", "the extraction was interrupted"),
            Stopped::TooLong(_) => {
                Self::chunk("too_complex", format!("extracting from a chunk of the document: {stopped}"))
            }
            Stopped::Panicked => Self::chunk(
                "extraction_failed",
                "a chunk of the document could not be read; report it as a bug",
            ),
        }
    }
}
