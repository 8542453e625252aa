use std::collections::HashSet;

use api_thin::accounts::Passwords;
use api_thin::auth::ApiKey;
use jobs::tenant::TenantId;
use serde::Deserialize;
use stores::model::{User, UserName};

/// A `users.json` that was read and checked.
#[derive(Debug)]
pub struct UsersFile {
    pub(super) entries: Vec<Entry>,
}

/// One user of a file.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) user: User,
    pub(super) workspace: Option<TenantId>,
    pub(super) api_key: ImportedKey,
}

/// The API key of an entry.
#[derive(Debug)]
pub(super) enum ImportedKey {
    None,
    /// One of ours.
    Ours(ApiKey),
    /// One that does not say whose it is, so that nobody could look it up.
    Foreign,
}

/// Why a file is not taken. Repeats neither hashes nor keys.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUsers {
    /// It is not what was expected.
    #[error("expected a JSON array of objects with username, password_hash, workspace and api_key")]
    Json(#[source] serde_json::Error),
    /// An entry cannot be used.
    #[error("entry {number}: {problem}")]
    Entry {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    username: String,
    password_hash: String,
    #[serde(default)]
    api_key: Option<String>,
    #[serde(default)]
    workspace: Option<String>,
}

impl UsersFile {
    /// Reads a file and checks every entry.
    ///
    /// # Errors
    /// When one entry cannot be used, and which.
    pub fn read(json: &[u8]) -> Result<Self, InvalidUsers> {
        let lines: Vec<Line> = serde_json::from_slice(json).map_err(InvalidUsers::Json)?;
        let mut seen = HashSet::new();
        let mut entries = Vec::with_capacity(lines.len());
        for (line, number) in lines.into_iter().zip(1..) {
            let invalid = |problem| InvalidUsers::Entry { number, problem };
            let entry = line.entry().map_err(invalid)?;
            if !seen.insert(entry.user.name.clone()) {
                return Err(invalid(format!("{} is there twice", entry.user.name)));
            }
            entries.push(entry);
        }
        Ok(Self { entries })
    }
}

impl Line {
    fn entry(self) -> Result<Entry, String> {
        let name: UserName = self.username.parse().map_err(|error| format!("username: {error}"))?;
        if !Passwords::takes(&self.password_hash) {
            let expected = "an argon2 PHC string of at most 256 MiB and 16 rounds, $argon2id$v=19$…";
            return Err(format!("password_hash: expected {expected}"));
        }
        let present = |text: Option<String>| text.filter(|text| !text.is_empty());
        let workspace: Option<TenantId> = present(self.workspace)
            .map(|id| id.parse().map_err(|error| format!("workspace: {error}")))
            .transpose()?;
        let api_key = match present(self.api_key) {
            None => ImportedKey::None,
            Some(text) => text.parse().map_or(ImportedKey::Foreign, ImportedKey::Ours),
        };
        if let ImportedKey::Ours(key) = &api_key
            && workspace.as_ref() != Some(&key.tenant)
        {
            return Err("api_key: it is a key of another tenant than the workspace".to_owned());
        }
        Ok(Entry { user: User { name, password_hash: self.password_hash }, workspace, api_key })
    }
}
