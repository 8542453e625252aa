use api_thin::program::{print, start_log};
use clap::Args;
use jobs::envelope::StampKeys;
use secrecy::ExposeSecret;

/// Prints a new key for `TENANTRY_STAMP_KEYS`.
#[derive(Debug, Args)]
pub(super) struct Keygen {
    /// The key's id: letters, digits, - and _. To rotate, put the new key first and keep the old one behind a
    /// comma.
    #[arg(default_value = "k1")]
    id: String,
}

impl Keygen {
    pub(super) fn run(self) -> anyhow::Result<()> {
        start_log("warn");
        print(StampKeys::generate(&self.id).expose_secret())
    }
}
