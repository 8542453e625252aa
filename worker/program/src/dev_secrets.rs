//! Secrets of a development system: generated once, kept in its data directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;
use api_thin::SecretSettings;
use jobs::envelope::StampKeys;
use secrecy::{ExposeSecret, SecretString};

const NAMES: [&str; 4] =
    ["TENANTRY_STAMP_KEYS", "TENANTRY_OPERATOR_KEY", "TENANTRY_JWT_SECRET", "TENANTRY_KEY_SECRET"];

/// The secrets that a production system takes from its environment.
#[derive(Debug, Clone)]
pub struct DevSecrets {
    /// Keys that sign stamps.
    pub stamp_keys: SecretString,
    /// The operator's API key.
    pub operator_key: SecretString,
    /// Key that signs and verifies user tokens.
    pub jwt_secret: SecretString,
    /// Key from which API keys are derived.
    pub key_secret: SecretString,
}

impl DevSecrets {
    /// Reads `secrets.env` in `dir`, or generates it. Only its owner can read the file.
    ///
    /// # Errors
    /// When the file cannot be read or written, or lacks a secret.
    pub fn load_or_create(dir: &Path) -> anyhow::Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("TENANTRY_DATA_DIR: {} cannot be made", dir.display()))?;
        let path = dir.join("secrets.env");
        if !path.exists() {
            create(&path)
                .with_context(|| format!("TENANTRY_DATA_DIR: {} cannot be written", path.display()))?;
        }
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("TENANTRY_DATA_DIR: {} cannot be read", path.display()))?;
        let found: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let secret = |name: &str| {
            let missing = || {
                let path = path.display();
                format!(
                    "TENANTRY_DATA_DIR: {path} has no {name}: restore the file, or delete it, which ends every key"
                )
            };
            found.get(name).map(|value| SecretString::from(*value)).with_context(missing)
        };
        Ok(Self {
            stamp_keys: secret(NAMES[0])?,
            operator_key: secret(NAMES[1])?,
            jwt_secret: secret(NAMES[2])?,
            key_secret: secret(NAMES[3])?,
        })
    }
}

impl DevSecrets {
    /// These secrets, with those that are set in `settings` replaced.
    #[must_use]
    pub fn or_given(self, given: &SecretSettings) -> Self {
        Self {
            stamp_keys: given.stamp_keys().unwrap_or(self.stamp_keys),
            operator_key: given.operator_key().unwrap_or(self.operator_key),
            jwt_secret: given.jwt_secret().unwrap_or(self.jwt_secret),
            key_secret: given.key_secret().unwrap_or(self.key_secret),
        }
    }
}

fn create(path: &Path) -> std::io::Result<()> {
    let random = || hex::encode(rand::random::<[u8; 32]>());
    let stamp_keys = StampKeys::generate("dev");
    let values = [stamp_keys.expose_secret().to_owned(), format!("op_{}", random()), random(), random()];
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    NAMES.iter().zip(values).try_for_each(|(name, value)| writeln!(file, "{name}={value}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn secrets_stay_the_same_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = DevSecrets::load_or_create(dir.path()).unwrap();
        let again = DevSecrets::load_or_create(dir.path()).unwrap();
        assert_eq!(first.operator_key.expose_secret(), again.operator_key.expose_secret());
        assert!(StampKeys::parse(&first.stamp_keys).is_ok());
        let mode = fs::metadata(dir.path().join("secrets.env")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
