//! The choice of stores, which is configuration only.

use std::path::PathBuf;

use secrecy::SecretString;

/// Which stores to use, and where they are.
#[derive(Debug, Clone)]
pub struct StoresConfig {
    /// The catalog, documents and index.
    pub backends: Backends,
    /// Where originals are stored: `s3://bucket/prefix`, or `None` for `blobs/` in the data directory.
    pub blobs_url: Option<String>,
    /// Local data: SQLite files and local blobs.
    pub data_dir: PathBuf,
    /// Redis, for the cache and for invalidation messages to directory caches.
    pub redis_url: SecretString,
}

impl StoresConfig {
    /// Embedded stores: files in `data_dir`, and the Redis at `redis_url` for the cache.
    #[must_use]
    pub const fn embedded(data_dir: PathBuf, redis_url: SecretString) -> Self {
        Self { backends: Backends::Embedded, blobs_url: None, data_dir, redis_url }
    }

    /// Refuses a choice that this program was not built for.
    ///
    /// # Errors
    /// When it needs a driver that was not compiled in.
    pub fn check_drivers(&self) -> Result<(), InvalidStores> {
        Drivers::COMPILED_IN.check(self)
    }
}

/// The drivers that a program has, by the names of their features.
#[derive(Debug)]
struct Drivers<'a>(&'a [&'a str]);

impl Drivers<'_> {
    /// Those of this program.
    const COMPILED_IN: Self = Self(&[
        #[cfg(feature = "postgres")]
        "postgres",
        #[cfg(feature = "mongo")]
        "mongo",
        #[cfg(feature = "neo4j")]
        "neo4j",
        #[cfg(feature = "s3")]
        "s3",
    ]);

    fn check(&self, config: &StoresConfig) -> Result<(), InvalidStores> {
        let (postgres, mongo, neo4j) = match &config.backends {
            Backends::Embedded => (false, false, false),
            Backends::Servers { mongo_url, neo4j_url, .. } => {
                (true, mongo_url.is_some(), neo4j_url.is_some())
            }
        };
        for (setting, feature, is_chosen) in [
            ("POSTGRES_URL", "postgres", postgres),
            ("MONGO_URL", "mongo", mongo),
            ("NEO4J_URL", "neo4j", neo4j),
            ("TENANTRY_BLOBS_URL", "s3", config.blobs_url.is_some()),
        ] {
            if is_chosen && !self.0.contains(&feature) {
                return Err(InvalidStores::not_compiled_in(setting, feature));
            }
        }
        Ok(())
    }
}

/// The kind of stores for catalog, documents and index.
#[derive(Debug, Clone)]
pub enum Backends {
    /// SQLite files in the data directory: one for the catalog, one for each tenant.
    Embedded,
    /// Servers: PostgreSQL alone, or with others beside it.
    Servers {
        /// The catalog, chunks, and what no other server has. The role must neither own the tables nor bypass row
        /// level security.
        postgres_url: SecretString,
        /// Texts and extractions; `None`: in PostgreSQL.
        mongo_url: Option<SecretString>,
        /// Entities and relations: `bolt://user:password@host:port`, the user part being optional; `None`: in
        /// PostgreSQL.
        neo4j_url: Option<SecretString>,
    },
}

/// The settings about servers, as given.
#[derive(Debug, Clone, Default)]
pub struct ServerSettings {
    /// `POSTGRES_URL`
    pub postgres_url: Option<String>,
    /// `MONGO_URL`
    pub mongo_url: Option<String>,
    /// `NEO4J_URL`
    pub neo4j_url: Option<String>,
    /// `TENANTRY_DOCUMENTS`: `sql` or `mongo`; unset, `mongo` if its URL is given.
    pub documents: Option<String>,
    /// `TENANTRY_GRAPH`: `sql` or `neo4j`; unset, `neo4j` if its URL is given.
    pub graph: Option<String>,
}

impl ServerSettings {
    /// Whether any server is configured.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.postgres_url.is_some() || self.mongo_url.is_some() || self.neo4j_url.is_some()
    }

    /// Embedded stores when no server is configured, else PostgreSQL with the other configured servers.
    ///
    /// # Errors
    /// When a server is configured without PostgreSQL, or a URL and a choice contradict each other.
    pub fn backends(&self) -> Result<Backends, InvalidStores> {
        let mongo_url =
            chosen(("TENANTRY_DOCUMENTS", &self.documents), "mongo", ("MONGO_URL", &self.mongo_url))?;
        let neo4j_url = chosen(("TENANTRY_GRAPH", &self.graph), "neo4j", ("NEO4J_URL", &self.neo4j_url))?;
        match &self.postgres_url {
            Some(url) => Ok(Backends::Servers { postgres_url: url.clone().into(), mongo_url, neo4j_url }),
            None if mongo_url.is_none() && neo4j_url.is_none() => Ok(Backends::Embedded),
            None => Err(setting(
                "POSTGRES_URL",
                "not set: set it, because MONGO_URL and NEO4J_URL name servers beside PostgreSQL, or unset those two \
                 for embedded stores",
            )),
        }
    }
}

/// The URL of the server, if it is chosen; `None` when SQL is.
fn chosen(
    (choice_name, choice): (&'static str, &Option<String>),
    server: &str,
    (url_name, url): (&'static str, &Option<String>),
) -> Result<Option<SecretString>, InvalidStores> {
    match (choice.as_deref(), url) {
        (Some("sql") | None, None) => Ok(None),
        (Some(chosen), Some(url)) if chosen == server => Ok(Some(url.clone().into())),
        (None, Some(url)) => Ok(Some(url.clone().into())),
        (Some("sql"), Some(_)) => {
            Err(setting(choice_name, &format!("is sql, but {url_name} is set: unset one of them")))
        }
        (Some(chosen), None) if chosen == server => {
            Err(setting(url_name, &format!("not set: set it, because {choice_name} is {server}")))
        }
        (Some(other), _) => {
            Err(setting(choice_name, &format!("{other:?} is no choice: expected sql or {server}")))
        }
    }
}

fn setting(setting: &'static str, problem: &str) -> InvalidStores {
    InvalidStores::Setting { setting, problem: problem.to_owned() }
}

/// Why the stores cannot be opened: one sentence with the setting, its value without credentials, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum InvalidStores {
    /// A setting is missing or cannot be read.
    #[error("{setting}: {problem}")]
    Setting {
        /// The environment variable.
        setting: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The store that a setting points to does not answer, or refuses the connection.
    #[error("{setting}: {problem}")]
    Unreachable {
        /// The environment variable.
        setting: &'static str,
        /// Which store, its error, and what to do.
        problem: String,
    },
    /// The start-up self-test saw one tenant's row as another tenant.
    #[error("{setting}: tenants are not isolated: {what}; refusing to start")]
    NotIsolated {
        /// The environment variable.
        setting: &'static str,
        /// What leaked.
        what: String,
    },
}

impl InvalidStores {
    /// The error for a setting that needs a driver that was not compiled in.
    #[must_use]
    pub fn not_compiled_in(name: &'static str, feature: &str) -> Self {
        let problem = format!(
            "this program was built without the feature `{feature}`, which this setting needs: build it with \
             `--features {feature}`, or unset the setting"
        );
        setting(name, &problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(urls: [bool; 3], documents: Option<&str>, graph: Option<&str>) -> ServerSettings {
        let [postgres_url, mongo_url, neo4j_url] = urls.map(|is_set| is_set.then(|| "url".to_owned()));
        let (documents, graph) = (documents.map(str::to_owned), graph.map(str::to_owned));
        ServerSettings { postgres_url, mongo_url, neo4j_url, documents, graph }
    }

    #[test]
    fn each_supported_set_can_be_chosen() {
        let servers = |settings: ServerSettings| match settings.backends().unwrap() {
            Backends::Embedded => None,
            Backends::Servers { mongo_url, neo4j_url, .. } => {
                Some((mongo_url.is_some(), neo4j_url.is_some()))
            }
        };
        assert_eq!(servers(settings([false; 3], None, None)), None);
        assert_eq!(servers(settings([false; 3], Some("sql"), Some("sql"))), None);
        assert_eq!(servers(settings([true, false, false], None, None)), Some((false, false)));
        assert_eq!(servers(settings([true, true, false], Some("mongo"), Some("sql"))), Some((true, false)));
        assert_eq!(servers(settings([true, false, true], None, None)), Some((false, true)));
        assert_eq!(servers(settings([true; 3], Some("mongo"), Some("neo4j"))), Some((true, true)));
    }

    /// Goal: a program without a driver names the setting that needs it, and what to do.
    /// Method: check each choice against every combination of drivers.
    #[test]
    fn a_choice_without_its_driver_is_refused() {
        let config = |urls: [bool; 3], blobs: bool| {
            let backends = settings(urls, None, None).backends().unwrap();
            let blobs_url = blobs.then(|| "s3://bucket/prefix".to_owned());
            StoresConfig { backends, blobs_url, ..StoresConfig::embedded(".data".into(), "redis".into()) }
        };
        for bits in 0..16_u8 {
            let all = ["postgres", "mongo", "neo4j", "s3"].into_iter().enumerate();
            let some: Vec<&str> = all.filter(|(bit, _)| bits & 1 << bit != 0).map(|(_, name)| name).collect();
            let drivers = Drivers(&some);
            drivers.check(&config([false; 3], false)).expect("files need no driver");
            for (config, setting, feature) in [
                (config([true, false, false], false), "POSTGRES_URL", "postgres"),
                (config([true, true, false], false), "MONGO_URL", "mongo"),
                (config([true, false, true], false), "NEO4J_URL", "neo4j"),
                (config([false; 3], true), "TENANTRY_BLOBS_URL", "s3"),
            ] {
                let checked = drivers.check(&config).map_err(|refused| refused.to_string());
                if matches!(config.backends, Backends::Servers { .. }) && !some.contains(&"postgres") {
                    assert!(checked.unwrap_err().starts_with("POSTGRES_URL: "), "{drivers:?}");
                } else if some.contains(&feature) {
                    checked.unwrap_or_else(|refused| panic!("{drivers:?}: {refused}"));
                } else {
                    let said = checked.unwrap_err();
                    assert!(said.starts_with(&format!("{setting}: ")), "{said}");
                    assert!(said.contains(&format!("--features {feature}")), "{said}");
                }
            }
        }
    }

    #[test]
    fn what_contradicts_itself_is_named() {
        let named = |settings: ServerSettings| match settings.backends().unwrap_err() {
            InvalidStores::Setting { setting, .. } => setting,
            other => panic!("{other:?}"),
        };
        assert_eq!(named(settings([false, true, true], None, None)), "POSTGRES_URL");
        assert_eq!(named(settings([true, true, false], Some("sql"), None)), "TENANTRY_DOCUMENTS");
        assert_eq!(named(settings([true, false, true], None, Some("sql"))), "TENANTRY_GRAPH");
        assert_eq!(named(settings([true, false, false], Some("mongo"), None)), "MONGO_URL");
        assert_eq!(named(settings([true, false, false], None, Some("neo4j"))), "NEO4J_URL");
        assert_eq!(named(settings([true; 3], Some("neo4j"), None)), "TENANTRY_DOCUMENTS");
    }
}
