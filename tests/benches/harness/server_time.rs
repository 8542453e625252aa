//! What Redis itself says its calls took.

use anyhow::Result;

use super::redis_child::RedisChild;

/// Since the statistics were last reset.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServerTime {
    /// In queue functions, microseconds.
    pub(crate) functions_us: f64,
    /// How often a queue function was called.
    pub(crate) calls: f64,
    /// One queue function: 99th percentile and longest, microseconds.
    pub(crate) p99_us: f64,
    pub(crate) longest_us: f64,
}

impl ServerTime {
    pub(crate) async fn read(server: &RedisChild) -> Result<Self> {
        let (totals, percentiles) = (server.info("commandstats").await?, server.info("latencystats").await?);
        let total = |name: &str| field(&totals, "cmdstat_fcall:", name).unwrap_or(0.0);
        let latency =
            |place: &str| field(&percentiles, "latency_percentiles_usec_fcall:", place).unwrap_or(0.0);
        Ok(Self {
            functions_us: total("usec"),
            calls: total("calls"),
            p99_us: latency("p99"),
            longest_us: latency("p100"),
        })
    }
}

fn field(text: &str, line: &str, name: &str) -> Option<f64> {
    let fields = text.lines().find_map(|candidate| candidate.strip_prefix(line))?;
    fields.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('=')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_line_and_name() {
        let text = "# Commandstats\r\ncmdstat_fcall:calls=5,usec=70,usec_per_call=14.00\r\n";
        assert_eq!(field(text, "cmdstat_fcall:", "usec"), Some(70.0));
        assert_eq!(field(text, "cmdstat_hmget:", "usec"), None);
    }
}
