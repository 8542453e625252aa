//! Where webhooks may go: the same for the API, which takes their URLs, and the workers, which send them.

use clap::Args;
use jobs::webhook::TargetRules;

use super::api::InvalidConfig;
use super::identity::Switch;

/// Where webhooks may go, as flags and environment variables.
#[derive(Debug, Clone, Args)]
pub struct WebhookSettings {
    /// Ports that the URL of a webhook may name, separated by commas.
    #[arg(long, env = "TENANTRY_WEBHOOK_PORTS", default_value = "443,8443", value_name = "PORTS")]
    pub webhook_ports: String,
    /// Let webhooks go to this machine itself, at any port and without TLS: for development. API and workers need the
    /// same.
    #[arg(long, env = "TENANTRY_WEBHOOK_LOOPBACK", default_value = "off", value_name = "on|off")]
    pub webhook_loopback: Switch,
}

impl WebhookSettings {
    /// The rules.
    ///
    /// # Errors
    /// When a port is none.
    pub fn targets(&self) -> Result<TargetRules, InvalidConfig> {
        let read = |text: &str| text.trim().parse().ok().filter(|port: &u16| *port > 0);
        let ports: Option<Vec<u16>> = self.webhook_ports.split(',').map(read).collect();
        let invalid = || {
            let problem = format!("expected ports such as 443,8443, found '{}'", self.webhook_ports);
            InvalidConfig::new("TENANTRY_WEBHOOK_PORTS", problem)
        };
        let ports = ports.ok_or_else(invalid)?;
        Ok(TargetRules { ports, loopback: self.webhook_loopback == Switch::On })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_rules_are_those_of_a_start_without_flags() {
        let settings =
            |ports: &str| WebhookSettings { webhook_ports: ports.to_owned(), webhook_loopback: Switch::Off };
        assert_eq!(settings("443,8443").targets().unwrap(), TargetRules::default());
        assert_eq!(settings("443, 9000").targets().unwrap().ports, [443, 9000]);
        for bad in ["", "443,", "https", "0", "70000"] {
            let error = settings(bad).targets().unwrap_err();
            assert_eq!(error.setting, "TENANTRY_WEBHOOK_PORTS", "{bad}");
        }
    }
}
