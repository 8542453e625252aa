//! How much one request may ask for.

use std::time::Duration;

use clap::Args;

use super::api::InvalidConfig;

/// How much one request may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLimits {
    /// The largest document, in bytes.
    pub document_bytes: usize,
    /// The largest request body, in bytes: several documents may come in one.
    pub request_bytes: usize,
    /// How many bytes of uploads may be in memory at once. Further uploads wait.
    pub uploads_bytes: usize,
    /// How long an upload waits at most for room in memory.
    pub upload_wait: Duration,
    /// How long nothing of a body may come; a body without good credentials is complete by then.
    pub body_idle_time: Duration,
    /// How long a request may take, its body included.
    pub request_time: Duration,
    /// The shortest time between two firings of a schedule.
    pub schedule_interval: Duration,
    /// How many listeners follow events at once.
    pub listeners: usize,
    /// How many of them one tenant may have.
    pub tenant_listeners: usize,
}

impl RequestLimits {
    /// The most documents in one request.
    pub const DOCUMENTS: usize = 100;
    /// The most items on one page of an answer.
    pub const PAGE: u32 = 1_000;
    /// The largest body of a request that uploads nothing.
    pub const BODY_BYTES: usize = 256 << 10;
    /// The largest body of a request without good credentials, such as a log-in.
    pub const UNAUTHENTICATED_BODY_BYTES: usize = 16 << 10;
}

impl Default for RequestLimits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            document_bytes: 20 * MIB,
            request_bytes: 64 * MIB,
            uploads_bytes: 512 * MIB,
            upload_wait: Duration::from_secs(10),
            body_idle_time: Duration::from_secs(15),
            request_time: Duration::from_secs(120),
            schedule_interval: Duration::from_secs(300),
            listeners: 2_000,
            tenant_listeners: 200,
        }
    }
}

const USUAL_REQUEST_BYTES: u32 = 64 << 20;

/// How much one request may ask for, as flags and environment variables.
#[derive(Debug, Clone, Args)]
pub struct LimitSettings {
    /// The largest document, in bytes.
    #[arg(long, env = "TENANTRY_MAX_DOCUMENT_BYTES", default_value_t = 20 << 20, value_name = "BYTES")]
    pub max_document_bytes: u32,
    /// The largest request, in bytes: several documents may come in one. By default 64 MiB, or two largest
    /// documents if that is more.
    #[arg(long, env = "TENANTRY_MAX_REQUEST_BYTES", value_name = "BYTES")]
    pub max_request_bytes: Option<u32>,
    /// How many bytes of uploads may be in memory at once. Further uploads wait.
    #[arg(long, env = "TENANTRY_MAX_UPLOADS_BYTES", default_value_t = 512 << 20, value_name = "BYTES")]
    pub max_uploads_bytes: u32,
    /// How long nothing of a body may come, in seconds. A body without good credentials is complete by then.
    #[arg(long, env = "TENANTRY_BODY_IDLE_TIMEOUT_S", default_value_t = 15, value_name = "SECONDS")]
    pub body_idle_timeout_s: u32,
    /// How long a request may take, its body included, in seconds.
    #[arg(long, env = "TENANTRY_REQUEST_TIMEOUT_S", default_value_t = 120, value_name = "SECONDS")]
    pub request_timeout_s: u32,
    /// The shortest time between two firings of a schedule, in seconds.
    #[arg(long, env = "TENANTRY_MIN_SCHEDULE_S", default_value_t = 300, value_name = "SECONDS")]
    pub min_schedule_s: u32,
    /// How many listeners follow events at once, in this process.
    #[arg(long, env = "TENANTRY_MAX_LISTENERS", default_value_t = 2_000, value_name = "LISTENERS")]
    pub max_listeners: u32,
    /// How many of them one tenant may have.
    #[arg(long, env = "TENANTRY_MAX_TENANT_LISTENERS", default_value_t = 200, value_name = "LISTENERS")]
    pub max_tenant_listeners: u32,
}

impl LimitSettings {
    /// The limits.
    ///
    /// # Errors
    /// When a limit is zero, or a request could not hold a document.
    pub fn limits(&self) -> Result<RequestLimits, InvalidConfig> {
        let positive = [
            ("TENANTRY_MAX_DOCUMENT_BYTES", self.max_document_bytes),
            ("TENANTRY_BODY_IDLE_TIMEOUT_S", self.body_idle_timeout_s),
            ("TENANTRY_REQUEST_TIMEOUT_S", self.request_timeout_s),
        ];
        if let Some((setting, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(InvalidConfig::new(setting, "must be at least 1"));
        }
        let usual = self.max_document_bytes.saturating_mul(2).max(USUAL_REQUEST_BYTES);
        let max_request_bytes = self.max_request_bytes.unwrap_or(usual);
        if max_request_bytes < self.max_document_bytes {
            let problem =
                format!("must be at least TENANTRY_MAX_DOCUMENT_BYTES ({})", self.max_document_bytes);
            return Err(InvalidConfig::new("TENANTRY_MAX_REQUEST_BYTES", problem));
        }
        let size = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        Ok(RequestLimits {
            document_bytes: size(self.max_document_bytes),
            request_bytes: size(max_request_bytes),
            uploads_bytes: size(self.max_uploads_bytes),
            body_idle_time: Duration::from_secs(self.body_idle_timeout_s.into()),
            request_time: Duration::from_secs(self.request_timeout_s.into()),
            schedule_interval: Duration::from_secs(self.min_schedule_s.into()),
            listeners: size(self.max_listeners),
            tenant_listeners: size(self.max_tenant_listeners),
            ..RequestLimits::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitSettings,
    }

    fn limits(arguments: &[&str]) -> Result<RequestLimits, InvalidConfig> {
        Line::parse_from(std::iter::once(&"x").chain(arguments)).limits.limits()
    }

    #[test]
    fn the_usual_limits_are_the_defaults() {
        assert_eq!(limits(&[]).unwrap(), RequestLimits::default());
    }

    #[test]
    fn larger_documents_make_room_in_the_request() {
        assert_eq!(limits(&["--max-document-bytes", "100000000"]).unwrap().request_bytes, 200_000_000);
    }

    #[test]
    fn limits_that_contradict_each_other_are_refused() {
        assert_eq!(
            limits(&["--max-document-bytes", "0"]).unwrap_err().setting,
            "TENANTRY_MAX_DOCUMENT_BYTES"
        );
        assert_eq!(limits(&["--max-request-bytes", "10"]).unwrap_err().setting, "TENANTRY_MAX_REQUEST_BYTES");
    }
}
