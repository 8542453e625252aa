//! Which API to speak to, and with which key: a file of profiles in the user's home, and the commands that change it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, ErrorKind, IsTerminal as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use console::Term;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::failure::Failure;
use super::output::{As, Column, Format, Output};

/// The profiles of a user.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profiles {
    /// The one that counts when none is named.
    current: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
}

/// An API, the credentials for it, and what commands are usually about.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    pub(super) url: String,
    #[serde(serialize_with = "key_as_text", default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<SecretString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kb: Option<String>,
}

#[expect(clippy::ref_option, reason = "serde passes the field as it is")]
fn key_as_text<S: serde::Serializer>(key: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.as_ref().map(SecretString::expose_secret).unwrap_or_default())
}

impl Profiles {
    /// `$XDG_CONFIG_HOME/tenantry/profiles.toml`, which is below `~/.config` unless that is set.
    pub(super) fn path() -> Result<PathBuf, Failure> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
        let config =
            config.ok_or_else(|| Failure::Usage("HOME is not set: set it, or XDG_CONFIG_HOME".into()))?;
        Ok(config.join("tenantry/profiles.toml"))
    }

    /// Reads the file; there are none without one.
    pub(super) fn read() -> Result<Self, Failure> {
        let path = Self::path()?;
        let shown = path.display();
        let unusable = |reason: String| Failure::Usage(format!("{shown} cannot be used: {reason}"));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unusable(jobs::error::plain_io(&error))),
        };
        let mode = fs::metadata(&path).map_err(|error| unusable(jobs::error::plain_io(&error)))?;
        if mode.permissions().mode() & 0o077 != 0 {
            return Err(unusable(format!("other users may read the keys in it: run `chmod 600 {shown}`")));
        }
        // The parser's own text would show the line, and so a key.
        let mistake = |error: toml::de::Error| unusable(format!("{}: correct it", error.message()));
        toml::from_str(&text).map_err(mistake)
    }

    fn write(&self) -> Result<(), Failure> {
        let path = Self::path()?;
        let folder = path.parent().expect("the file is in a folder");
        let text = toml::to_string(self).expect("texts are always TOML");
        let written = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).and_then(|()| {
            // Readable by its owner alone, and there whole or not at all.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.persist(&path).map_err(|error| error.error)
        });
        written.map(drop).map_err(|error| {
            let reason = jobs::error::plain_io(&error);
            Failure::Failed(format!("{} cannot be written: {reason}", path.display()))
        })
    }

    /// The named profile, else the current one with its name.
    pub(super) fn take(mut self, name: Option<&str>) -> Result<Option<(String, Profile)>, Failure> {
        let Some(name) = name.map(str::to_owned).or(self.current) else { return Ok(None) };
        match self.profiles.remove(&name) {
            Some(profile) => Ok(Some((name, profile))),
            None => Err(unknown(&name, &self.profiles)),
        }
    }
}

fn unknown(name: &str, profiles: &BTreeMap<String, Profile>) -> Failure {
    let names: Vec<_> = profiles.keys().map(String::as_str).collect();
    let there = if names.is_empty() {
        "there are none yet".to_owned()
    } else {
        format!("there are {}", names.join(", "))
    };
    Failure::Usage(format!(
        "there is no profile {name}: {there}; `tenantry profile set {name} --url URL` makes it"
    ))
}

/// A URL of an API, without what all of its paths begin with.
pub(super) fn url(text: &str) -> Result<String, String> {
    let expected =
        "expected the API's address, such as https://tenantry.example.com or http://localhost:8080";
    let parsed: Url = text.trim().parse().map_err(|_| expected.to_owned())?;
    let is_server = matches!(parsed.scheme(), "http" | "https") && parsed.has_host();
    if !is_server || !parsed.username().is_empty() || parsed.query().is_some() || parsed.fragment().is_some()
    {
        return Err(expected.to_owned());
    }
    let path = parsed.path().trim_end_matches('/').trim_end_matches("/api/v1");
    let end = parsed.as_str().len() - parsed.path().len();
    Ok(format!("{}{path}", &parsed.as_str()[..end]))
}

/// What may be shown of a key: whose it is, and which.
fn shown(key: &SecretString) -> String {
    match key.expose_secret().split('_').collect::<Vec<_>>().as_slice() {
        ["tk", tenant, id, ..] => format!("tk_{tenant}_{id}_…"),
        _ => "set".to_owned(),
    }
}

/// Profiles: which API commands speak to, and with which key.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry profile set work --url http://localhost:8080 --key -
  tenantry profile set work --tenant acme --kb default
  tenantry profile use work
  tenantry profile list")]
pub(crate) struct ProfileCommand {
    #[command(subcommand)]
    command: Command,
    /// How to print.
    #[arg(long, short, global = true, value_enum, default_value_t)]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a profile, or changes what is given of it. The first one is the current one.
    Set(Set),
    /// Lists the profiles. Keys are not shown.
    List,
    /// Makes a profile the current one.
    Use {
        /// Its name.
        name: String,
    },
    /// Deletes a profile, and its key with it.
    Delete {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
struct Set {
    /// Its name.
    name: String,
    /// The API's address.
    #[arg(long, value_name = "ADDRESS", value_parser = url)]
    url: Option<String>,
    /// An API key, a token or the operator's key; `-` reads it from standard input, or asks for it without showing
    /// it. What is on a command line can be seen by other users of the machine.
    #[arg(long)]
    key: Option<SecretString>,
    /// The tenant that commands are about.
    #[arg(long)]
    tenant: Option<String>,
    /// The knowledge base that commands are about.
    #[arg(long)]
    kb: Option<String>,
}

impl ProfileCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let output = Output { format: self.output };
        let mut all = Profiles::read()?;
        match self.command {
            Command::Set(set) => return set.run(all, output),
            Command::List => return list(&all, output),
            Command::Use { name } => {
                if !all.profiles.contains_key(&name) {
                    return Err(unknown(&name, &all.profiles));
                }
                all.current = Some(name);
            }
            Command::Delete { name } => {
                if all.profiles.remove(&name).is_none() {
                    return Err(unknown(&name, &all.profiles));
                }
                all.current = all.current.filter(|current| *current != name);
            }
        }
        all.write()?;
        output.done(&json!({ "current": all.current }), &format!("current profile: {}", all.current_name()))
    }
}

impl Profiles {
    fn current_name(&self) -> &str {
        self.current.as_deref().unwrap_or("none")
    }
}

impl Set {
    fn run(self, mut all: Profiles, output: Output) -> Result<(), Failure> {
        let key = match self.key {
            Some(key) if key.expose_secret() == "-" => Some(asked_key()?),
            other => other,
        };
        let profile = all.profiles.entry(self.name.clone()).or_default();
        if self.url.as_ref().is_some_and(|url| !profile.url.is_empty() && *url != profile.url)
            && key.is_none()
        {
            // A key belongs to the API that it was given for.
            profile.key = None;
        }
        profile.url = self.url.unwrap_or_else(|| profile.url.clone());
        if profile.url.is_empty() {
            return Err(Failure::Usage(format!("--url is missing: {} is a new profile", self.name)));
        }
        profile.key = key.or_else(|| profile.key.take());
        profile.tenant = self.tenant.or_else(|| profile.tenant.take());
        profile.kb = self.kb.or_else(|| profile.kb.take());
        let url = profile.url.clone();
        all.current.get_or_insert_with(|| self.name.clone());
        all.write()?;
        output.done(
            &json!({ "name": self.name, "url": url }),
            &format!("profile {} speaks to {url}", self.name),
        )
    }
}

fn asked_key() -> Result<SecretString, Failure> {
    let unreadable =
        |error: io::Error| Failure::Usage(format!("no key was read: {}", jobs::error::plain_io(&error)));
    let mut line = String::new();
    if io::stdin().is_terminal() {
        let _ = write!(io::stderr(), "key: ");
        line = Term::stderr().read_secure_line().map_err(unreadable)?;
    } else {
        io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
    }
    match line.trim() {
        "" => Err(Failure::Usage("no key was given".to_owned())),
        key => Ok(key.to_owned().into()),
    }
}

const COLUMNS: [Column; 6] = [
    Column("NAME", "/name", As::Text),
    Column("CURRENT", "/current", As::Text),
    Column("URL", "/url", As::Text),
    Column("KEY", "/key", As::Text),
    Column("TENANT", "/tenant", As::Text),
    Column("KB", "/kb", As::Text),
];

fn list(all: &Profiles, output: Output) -> Result<(), Failure> {
    let rows = all.profiles.iter().map(|(name, profile)| {
        let Profile { url, key, tenant, kb } = profile;
        let current = all.current.as_ref() == Some(name);
        json!({ "name": name, "current": current, "url": url, "key": key.as_ref().map(shown), "tenant": tenant,
            "kb": kb })
    });
    output.list(&COLUMNS, &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_they_are_pasted() {
        for text in ["http://localhost:8080", "http://localhost:8080/", "http://localhost:8080/api/v1/"] {
            assert_eq!(url(text).unwrap(), "http://localhost:8080", "{text}");
        }
        assert_eq!(url("https://example.com/rag").unwrap(), "https://example.com/rag");
        for text in ["localhost:8080", "ftp://x", "https://user@x", "", "http://x/?a=b"] {
            assert!(url(text).unwrap_err().contains("such as"), "{text}");
        }
    }

    #[test]
    fn no_secret_of_a_key_is_shown() {
        assert_eq!(shown(&"tk_acme_9f86_secret".to_owned().into()), "tk_acme_9f86_…");
        assert_eq!(shown(&"op_secret".to_owned().into()), "set");
    }
}
