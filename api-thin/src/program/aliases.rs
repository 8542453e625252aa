//! Variables of other multi-tenant systems that are read as settings of ours, so that their environment files work.
//!
//! [`ALIASES`] is all there is to know about them. One that asks for something that is not done here stops the start:
//! it would otherwise be ignored by a person who relies on it.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use clap::Command;

use crate::auth::ShortSecret;

/// A variable of another system.
#[derive(Debug, Clone, Copy)]
pub struct Alias {
    /// Its name.
    pub theirs: &'static str,
    /// The setting of ours that it is read as. A program that does not read that one does not read the alias.
    pub ours: &'static str,
    /// What a value asks for.
    read: fn(&str) -> Result<Asked, String>,
    /// Whether a value must not be shown.
    is_secret: bool,
}

/// What an alias asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    /// This value of our setting.
    Value(String),
    /// What holds anyway, for this reason.
    Given(&'static str),
}

const fn alias(theirs: &'static str, ours: &'static str, read: fn(&str) -> Result<Asked, String>) -> Alias {
    Alias { theirs, ours, read, is_secret: false }
}

/// Every alias there is. `api-thin/README.md` shows them as a table.
pub const ALIASES: &[Alias] = &[
    alias("ENABLE_MULTI_TENANTS", "TENANTRY_MULTI_TENANT", switch),
    alias("MULTI_TENANCY_ENABLED", "TENANTRY_MULTI_TENANT", switch),
    alias("LIGHTRAG_MULTI_TENANT_STRICT", "TENANTRY_STRICT_TENANT", switch),
    alias("LIGHTRAG_REQUIRE_USER_AUTH", "TENANTRY_REQUIRE_AUTH", switch),
    alias("LIGHTRAG_SUPER_ADMIN_USERS", "TENANTRY_SUPER_ADMINS", list),
    Alias { is_secret: true, ..alias("TOKEN_SECRET", "TENANTRY_JWT_SECRET", secret) },
    alias("JWT_ALGORITHM", "TENANTRY_JWT_SECRET", algorithm),
    alias("TOKEN_EXPIRE_HOURS", "TENANTRY_TOKEN_HOURS", same),
    alias("TENANT_ISOLATION_STRATEGY", "TENANTRY_PLANS", isolation),
    alias("TENANT_DATABASE_PREFIX", "TENANTRY_PLANS", database_prefix),
    alias("TENANT_ID_SOURCE", "TENANTRY_TENANT_SOURCES", sources),
    alias("TENANT_AUTO_PROVISION", "TENANTRY_AUTO_PROVISION", switch),
    alias("TENANT_DEFAULT_PLAN", "TENANTRY_DEFAULT_PLAN", same),
    alias("TENANT_MAX_USERS", "TENANTRY_DEFAULT_MAX_MEMBERS", same),
    alias("TENANT_MAX_STORAGE_GB", "TENANTRY_DEFAULT_MAX_STORAGE_GB", same),
    alias("TENANT_MAX_MESSAGES_PER_DAY", "TENANTRY_DEFAULT_MAX_CALLS_PER_DAY", same),
];

/// Our setting has the same values; what is none is said where the setting is read.
#[expect(clippy::unnecessary_wraps, reason = "one of the functions of a table")]
fn same(value: &str) -> Result<Asked, String> {
    Ok(Asked::Value(value.trim().to_owned()))
}

fn switch(value: &str) -> Result<Asked, String> {
    let on = match value.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => "on",
        "false" | "0" | "no" | "off" => "off",
        _ => return Err("expected true or false".to_owned()),
    };
    Ok(Asked::Value(on.to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "one of the functions of a table")]
fn list(value: &str) -> Result<Asked, String> {
    let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
    Ok(Asked::Value(items.collect::<Vec<_>>().join(",")))
}

fn sources(value: &str) -> Result<Asked, String> {
    let value = value.to_ascii_lowercase();
    let is_known = |source: &str| matches!(source.trim(), "subdomain" | "header" | "path" | "claim");
    if value.split(',').all(is_known) {
        return list(&value);
    }
    Err("expected subdomain, header or path, or several of them, separated by commas".to_owned())
}

fn secret(value: &str) -> Result<Asked, String> {
    let found_bytes = value.len();
    if found_bytes < ShortSecret::MIN_BYTES {
        return Err(format!("{}; make one with `openssl rand -hex 32`", ShortSecret { found_bytes }));
    }
    Ok(Asked::Value(value.to_owned()))
}

fn algorithm(value: &str) -> Result<Asked, String> {
    if value.trim() == "HS256" {
        return Ok(Asked::Given("tokens are signed with HS256 and nothing else"));
    }
    Err("tokens are signed with HS256 and nothing else: set HS256, or unset it; RS256 and ES256 are taken from the \
         issuer that TENANTRY_OIDC_ISSUER names"
        .to_owned())
}

fn isolation(value: &str) -> Result<Asked, String> {
    match value.trim().to_ascii_lowercase().as_str() {
        "shared" => Ok(Asked::Given("tenants share tables, each row behind row-level security")),
        "schema" | "database" => {
            Err("tenants share tables here, each row behind row-level security, and have no schema or database of \
                 their own: set shared, or unset it, if that is enough for you"
                .to_owned())
        }
        _ => Err("expected shared".to_owned()),
    }
}

fn database_prefix(value: &str) -> Result<Asked, String> {
    if value.trim() == "tenant_" {
        return Ok(Asked::Given("tenants share one database, so that no name begins with it"));
    }
    Err("names databases of single tenants, which there are none of, because tenants share one: unset it"
        .to_owned())
}

/// Whether two values of one setting differ. What holds anyway differs from nothing.
fn contradict(one: &Asked, other: &Result<Asked, String>) -> bool {
    matches!(one, Asked::Value(_)) && !matches!(other, Ok(Asked::Given(_))) && other.as_ref() != Ok(one)
}

/// The aliases that are set.
#[derive(Debug, Default)]
pub(super) struct Aliases(Vec<Found>);

#[derive(Debug)]
struct Found {
    alias: Alias,
    value: String,
    outcome: Result<Asked, String>,
}

impl Found {
    /// The sentence that refuses it.
    fn refused(&self, problem: &str) -> String {
        let Self { alias: Alias { theirs, is_secret, .. }, value, .. } = self;
        if *is_secret {
            return format!("{theirs}: {problem}");
        }
        format!("{theirs}: {value:?} cannot be used: {problem}")
    }
}

impl Aliases {
    /// Reads them. An empty one counts as not set.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut found: Vec<Found> = Vec::new();
        for alias in ALIASES {
            let Some(value) = set(alias.theirs) else { continue };
            let outcome = (alias.read)(&value).and_then(|asked| {
                let own = set(alias.ours).map(|own| (alias.ours, (alias.read)(&own)));
                let others = found.iter().filter(|other| other.alias.ours == alias.ours);
                let others = others.map(|other| (other.alias.theirs, other.outcome.clone()));
                match own.into_iter().chain(others).find(|(_, other)| contradict(&asked, other)) {
                    Some((other, _)) => Err(format!("{other} says something else: unset one of the two")),
                    None => Ok(asked),
                }
            });
            found.push(Found { alias: *alias, value, outcome });
        }
        Self(found)
    }

    /// The command, which takes from aliases what no flag and no variable of ours says.
    pub(super) fn apply(&self, command: Command) -> Command {
        let command = command.mut_args(|arg| {
            let name = arg.get_env().map(|name| name.to_string_lossy().into_owned());
            match name.and_then(|name| self.value(&name)) {
                // Of the environment there is one, so that this is little, once.
                Some(value) => arg.default_value(&*value.to_owned().leak()).hide_default_value(true),
                None => arg,
            }
        });
        command.mut_subcommands(|command| self.apply(command))
    }

    fn of(&self, ours: &str) -> impl Iterator<Item = (&Found, &str)> {
        let of = self.0.iter().filter(move |found| found.alias.ours == ours);
        of.filter_map(|found| match &found.outcome {
            Ok(Asked::Value(value)) => Some((found, value.as_str())),
            _ => None,
        })
    }

    /// The value that an alias gives to a setting of ours.
    fn value(&self, ours: &str) -> Option<&str> {
        self.of(ours).next().map(|(_, value)| value)
    }

    /// The alias that a setting of ours has this value from.
    pub(super) fn named(&self, ours: &str, value: &str) -> Option<&'static str> {
        let mut of = self.of(ours).filter(|(_, said)| said.contains(value));
        of.next().map(|(found, _)| found.alias.theirs)
    }

    /// What a program with these settings is to say of its aliases: a line for each.
    ///
    /// # Errors
    /// When one cannot be used, with the sentence that names it and the fix.
    pub(super) fn check(&self, settings: &BTreeSet<String>) -> Result<Vec<String>, String> {
        let concerned = self.0.iter().filter(|found| settings.contains(found.alias.ours));
        let said = concerned.map(|found| match &found.outcome {
            Err(problem) => Err(found.refused(problem)),
            Ok(Asked::Value(_)) => Ok(format!("{} is read as {}", found.alias.theirs, found.alias.ours)),
            Ok(Asked::Given(why)) => Ok(format!("{} changes nothing: {why}", found.alias.theirs)),
        });
        said.collect()
    }
}

static USED: OnceLock<Aliases> = OnceLock::new();
static SAID: OnceLock<Vec<String>> = OnceLock::new();

/// Remembers the aliases of this process, and what is to be said of them.
pub(super) fn note_aliases(aliases: Aliases, said: Vec<String>) {
    let _ = (USED.set(aliases), SAID.set(said));
}

/// Logs what [`note_aliases`] was given.
pub(super) fn tell_of_aliases() {
    for line in SAID.get().into_iter().flatten() {
        tracing::info!(target: super::arguments::SETTINGS_TARGET, "{line}");
    }
}

/// The alias that gave a setting its value in this process.
pub(super) fn alias_of(setting: &str) -> Option<&'static str> {
    USED.get()?.of(setting).next().map(|(found, _)| found.alias.theirs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::{Arg, Parser};

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Aliases {
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        Aliases::read(|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    /// What a program that has every setting says of these variables.
    fn said(variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
        read(variables).check(&ALIASES.iter().map(|alias| alias.ours.to_owned()).collect())
    }

    #[test]
    fn values_are_translated() {
        for (theirs, value, ours, expected) in [
            ("ENABLE_MULTI_TENANTS", "true", "TENANTRY_MULTI_TENANT", "on"),
            ("MULTI_TENANCY_ENABLED", "False", "TENANTRY_MULTI_TENANT", "off"),
            ("LIGHTRAG_SUPER_ADMIN_USERS", "admin, root", "TENANTRY_SUPER_ADMINS", "admin,root"),
            ("TENANT_ID_SOURCE", "Header", "TENANTRY_TENANT_SOURCES", "header"),
            ("TENANT_MAX_USERS", " 100 ", "TENANTRY_DEFAULT_MAX_MEMBERS", "100"),
        ] {
            let found = read(&[(theirs, value)]);
            assert_eq!(found.value(ours), Some(expected), "{theirs}={value}");
            assert_eq!(said(&[(theirs, value)]), Ok(vec![format!("{theirs} is read as {ours}")]));
        }
    }

    #[test]
    fn what_is_not_done_here_is_refused_by_name() {
        for (theirs, value, expected) in [
            ("TENANT_ISOLATION_STRATEGY", "database", "set shared, or unset it"),
            ("TENANT_ISOLATION_STRATEGY", "planet", "expected shared"),
            ("TENANT_DATABASE_PREFIX", "customer_", "unset it"),
            ("JWT_ALGORITHM", "none", "HS256 and nothing else"),
            ("MULTI_TENANCY_ENABLED", "perhaps", "expected true or false"),
            ("TENANT_ID_SOURCE", "cookie", "expected subdomain, header or path"),
        ] {
            let refused = said(&[(theirs, value)]).unwrap_err();
            assert!(refused.starts_with(&format!("{theirs}: {value:?} cannot be used: ")), "{refused}");
            assert!(refused.contains(expected), "{refused}");
        }
        let short = said(&[("TOKEN_SECRET", "hunter2")]).unwrap_err();
        assert!(short.starts_with("TOKEN_SECRET: ") && !short.contains("hunter2"), "{short}");
        for (theirs, value) in [
            ("TENANT_ISOLATION_STRATEGY", "shared"),
            ("TENANT_DATABASE_PREFIX", "tenant_"),
            ("JWT_ALGORITHM", "HS256"),
        ] {
            assert!(said(&[(theirs, value)]).unwrap()[0].starts_with(&format!("{theirs} changes nothing: ")));
        }
    }

    #[test]
    fn a_contradiction_is_refused_and_agreement_is_not() {
        let (alias, ours) = ("LIGHTRAG_MULTI_TENANT_STRICT", "TENANTRY_STRICT_TENANT");
        assert!(said(&[(alias, "true"), (ours, "on")]).is_ok());
        assert_eq!(
            said(&[(alias, "true"), (ours, "off")]),
            Err(format!(
                "{alias}: \"true\" cannot be used: {ours} says something else: unset one of the two"
            ))
        );
        let two = said(&[("ENABLE_MULTI_TENANTS", "true"), ("MULTI_TENANCY_ENABLED", "false")]).unwrap_err();
        assert!(
            two.starts_with("MULTI_TENANCY_ENABLED: ") && two.contains("ENABLE_MULTI_TENANTS says"),
            "{two}"
        );
        let (one, other) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
        let secrets = said(&[("TOKEN_SECRET", one), ("TENANTRY_JWT_SECRET", other)]).unwrap_err();
        assert_eq!(secrets, "TOKEN_SECRET: TENANTRY_JWT_SECRET says something else: unset one of the two");
        let algorithm =
            said(&[("JWT_ALGORITHM", "HS256"), ("TENANTRY_JWT_SECRET", one), ("TOKEN_SECRET", one)]);
        assert!(algorithm.is_ok(), "{algorithm:?}");
        assert_eq!(said(&[(alias, ""), (ours, "off")]), Ok(Vec::new()), "an empty one is not set");
    }

    #[test]
    fn a_program_without_the_setting_does_not_mind() {
        let found = read(&[("TOKEN_SECRET", "hunter2"), ("TENANT_AUTO_PROVISION", "true")]);
        let settings = BTreeSet::from(["TENANTRY_AUTO_PROVISION".to_owned()]);
        let expected = "TENANT_AUTO_PROVISION is read as TENANTRY_AUTO_PROVISION";
        assert_eq!(found.check(&settings), Ok(vec![expected.to_owned()]));
        assert_eq!(found.check(&BTreeSet::new()), Ok(Vec::new()));
    }

    #[derive(Debug, Parser)]
    struct Program {
        #[arg(
            long,
            env = "TENANTRY_TENANT_SOURCES",
            value_delimiter = ',',
            default_value = "subdomain,claim"
        )]
        tenant_sources: Vec<String>,
    }

    #[test]
    fn a_command_takes_what_no_flag_says() {
        use clap::{CommandFactory as _, FromArgMatches as _};
        let aliases = read(&[("TENANT_ID_SOURCE", "header,path")]);
        let parsed = |flags: &[&str]| {
            let command = aliases.apply(Program::command());
            let arguments = std::iter::once(&"program").chain(flags);
            Program::from_arg_matches(&command.get_matches_from(arguments)).unwrap().tenant_sources
        };
        assert_eq!(parsed(&[]), ["header", "path"]);
        assert_eq!(parsed(&["--tenant-sources", "claim"]), ["claim"]);
        assert_eq!(aliases.named("TENANTRY_TENANT_SOURCES", "path"), Some("TENANT_ID_SOURCE"));
        let secret = read(&[("TOKEN_SECRET", "0123456789abcdef0123456789abcdef")]);
        let command = Command::new("p").arg(Arg::new("jwt").long("jwt").env("TENANTRY_JWT_SECRET"));
        let help = secret.apply(command).render_long_help().to_string();
        assert!(!help.contains("0123456789abcdef"), "{help}");
    }

    /// The names in the first two columns of the table in the README.
    fn row(line: &str) -> Option<(String, String)> {
        let mut cells =
            line.strip_prefix("| `")?.split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
        let (theirs, ours) = (cells.next()?, cells.next()?);
        (ours.starts_with("TENANTRY_") && !ours.contains(' ')).then_some((theirs, ours))
    }

    #[test]
    fn the_readme_lists_every_alias() {
        let listed: BTreeSet<_> = include_str!("../../README.md").lines().filter_map(row).collect();
        let known = ALIASES.iter().map(|alias| (alias.theirs.to_owned(), alias.ours.to_owned()));
        assert_eq!(listed, known.collect(), "the table of aliases in api-thin/README.md is not ALIASES");
    }
}
