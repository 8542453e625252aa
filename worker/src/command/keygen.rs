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
    #[expect(clippy::print_stdout, reason = "the key is the command's output")]
    pub(super) fn run(self) {
        println!("{}", StampKeys::generate(&self.id).expose_secret());
    }
}
