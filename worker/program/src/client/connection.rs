//! Which API a command speaks to, as whom, and about which tenant and knowledge base.

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};

use super::api::{Api, segment};
use super::failure::Failure;
use super::output::{Format, Output};
use super::profiles::{Profile, Profiles, url};

/// The knowledge base that every tenant begins with.
const FIRST_KB: &str = "default";

/// Flags of every command that speaks to the API.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionSettings {
    /// The API's address. That of the profile by default.
    #[arg(long, env = "TENANTRY_URL", global = true, value_name = "URL", value_parser = url)]
    url: Option<String>,
    /// An API key, a token or the operator's key. That of the profile by default; other users of the machine can see a
    /// command line, so the variable is better.
    #[arg(long, env = "TENANTRY_KEY", hide_env_values = true, global = true, value_name = "KEY")]
    key: Option<SecretString>,
    /// The profile to use, of those that `tenantry profile set` made. The current one by default.
    #[arg(long, env = "TENANTRY_PROFILE", global = true, value_name = "NAME")]
    profile: Option<String>,
    /// The tenant. That of the key or of the profile by default.
    #[arg(long, global = true, value_name = "TENANT")]
    tenant: Option<String>,
    /// The knowledge base. That of the profile by default, else `default`; a list of jobs is of all of them unless
    /// this is given.
    #[arg(long, global = true, value_name = "KB")]
    kb: Option<String>,
    /// How to print.
    #[arg(long, short, global = true, value_enum, default_value_t)]
    output: Format,
}

/// An API, and what a command is about.
pub(super) struct Session {
    pub(super) api: Api,
    pub(super) output: Output,
    /// Where the URL comes from, for `doctor`.
    pub(super) source: String,
    pub(super) has_key: bool,
    tenant: Option<String>,
    /// As the command line says.
    pub(super) given_kb: Option<String>,
    kb: Option<String>,
}

impl ConnectionSettings {
    /// How to print, also when nothing can be reached.
    pub(super) fn output(&self) -> Output {
        Output { format: self.output }
    }

    /// Puts flags, variables and profile together.
    pub(super) fn open(self) -> Result<Session, Failure> {
        let is_complete = self.url.is_some() && self.key.is_some() && self.profile.is_none();
        let found = if is_complete { None } else { Profiles::read()?.take(self.profile.as_deref())? };
        let (name, profile) = found.unwrap_or_default();
        let (url, source) = match (self.url, profile.url.as_str()) {
            (Some(url), _) => (url, "--url or TENANTRY_URL".to_owned()),
            (None, "") => return Err(Failure::Usage(NO_URL.to_owned())),
            (None, url) => (url.to_owned(), format!("the profile {name}")),
        };
        let is_of_profile = url == profile.url;
        if !is_of_profile && self.key.is_none() && profile.key.is_some() {
            // The key of one installation is none of another's business.
            let text =
                format!("the key of the profile {name} is for {}: give --key or TENANTRY_KEY", profile.url);
            return Err(Failure::Usage(text));
        }
        let profile = if is_of_profile { profile } else { Profile::default() };
        let key = self.key.or(profile.key);
        let output = Output { format: self.output };
        let of_key = key.as_ref().and_then(tenant_of_key);
        Ok(Session {
            has_key: key.is_some(),
            api: Api::new(url, key)?,
            output,
            source,
            tenant: self.tenant.or(of_key).or(profile.tenant),
            kb: self.kb.clone().or(profile.kb),
            given_kb: self.kb,
        })
    }
}

const NO_URL: &str = "no API is known: give --url and --key, or TENANTRY_URL and TENANTRY_KEY, or make a profile with \
                      `tenantry profile set NAME --url URL --key -`";

/// An API key names its tenant: `tk_{tenant}_{id}_{secret}`.
fn tenant_of_key(key: &SecretString) -> Option<String> {
    let rest = key.expose_secret().strip_prefix("tk_")?;
    rest.split_once('_').map(|(tenant, _)| tenant.to_owned())
}

impl Session {
    /// The tenant that flags, key or profile name.
    pub(super) fn named_tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The tenant that the command is about.
    pub(super) async fn tenant(&self) -> Result<String, Failure> {
        if let Some(tenant) = &self.tenant {
            return Ok(tenant.clone());
        }
        let me = self.api.get("/auth/me").await?;
        let tenant = me["tenant_id"].as_str().map(str::to_owned);
        tenant.ok_or_else(|| Failure::Usage("no tenant is named: give --tenant TENANT".to_owned()))
    }

    /// Whether the credentials reach the whole installation.
    pub(super) async fn is_operator(&self) -> Result<bool, Failure> {
        Ok(self.api.get("/auth/me").await?["operator"] == true)
    }

    /// The named tenant, else that of the session.
    pub(super) async fn tenant_or(&self, named: Option<String>) -> Result<String, Failure> {
        match named {
            Some(tenant) => Ok(tenant),
            None => self.tenant().await,
        }
    }

    /// The path of a resource of the tenant. `rest` is encoded.
    pub(super) async fn tenant_path(&self, rest: &str) -> Result<String, Failure> {
        Ok(tenant_path(&self.tenant().await?, rest))
    }

    /// The knowledge base that the command is about.
    pub(super) fn kb(&self) -> &str {
        self.kb.as_deref().unwrap_or(FIRST_KB)
    }

    /// The path of a resource of the knowledge base. `rest` is encoded.
    pub(super) async fn kb_path(&self, rest: &str) -> Result<String, Failure> {
        self.tenant_path(&format!("kbs/{}/{rest}", segment(self.kb()))).await
    }
}

/// The path of a resource of a tenant. `rest` is encoded.
pub(super) fn tenant_path(tenant: &str, rest: &str) -> String {
    format!("/tenants/{}/{rest}", segment(tenant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_key_names_its_tenant() {
        let tenant = |key: &str| tenant_of_key(&key.to_owned().into());
        assert_eq!(tenant("tk_acme-2_9f86d081884c7d65_secret").as_deref(), Some("acme-2"));
        assert_eq!(tenant("op_0123"), None);
        assert_eq!(tenant("eyJhbGciOi"), None);
    }
}
