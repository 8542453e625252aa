//! Reading flags and variables.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Args, Command, Parser};

use super::aliases::{Aliases, note_aliases};
use super::console::{flush, say};

/// The exit code of a program that was started in a way it does not know.
const USAGE: u8 = 2;

/// Reads the flags and variables of a program, and the variables of other systems that stand for ours. An empty
/// variable counts as not set. A value that cannot be used is reported on one line that names the setting, its value
/// and the expected values.
///
/// # Errors
/// With the code to exit with, after help, version or the line was shown.
pub fn parse<P: Parser>() -> Result<P, ExitCode> {
    let command = P::command();
    note_unknown_variables(&command);
    let aliases = Aliases::read(variable);
    let parsed = aliases.apply(without_empty(command.clone())).try_get_matches();
    let refused = |line: String| {
        say(format!("error: {line}"));
        flush(Duration::from_secs(1));
        ExitCode::from(USAGE)
    };
    let read = parsed.and_then(|matches| Ok((P::from_arg_matches(&matches)?, matches)));
    let (program, matches) = read.map_err(|error| {
        if let Some(line) = explain(&command, &error, variable, &aliases) {
            return refused(line);
        }
        drop(error.print());
        flush(Duration::from_secs(1));
        if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
    })?;
    let said = aliases.check(&variables_of(chosen(&command, &matches))).map_err(refused)?;
    note_aliases(aliases, said);
    Ok(program)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The command that the arguments chose: one of the innermost subcommands.
fn chosen<'a>(command: &'a Command, matches: &ArgMatches) -> &'a Command {
    let subcommand = matches.subcommand();
    let found = subcommand.and_then(|(name, matches)| Some((command.find_subcommand(name)?, matches)));
    found.map_or(command, |(subcommand, matches)| chosen(subcommand, matches))
}

/// Reads the settings of a command from the environment alone, as the command would without flags.
///
/// # Errors
/// With the line that the command would end with.
pub fn from_environment<A: Args>() -> Result<A, String> {
    let command = A::augment_args(Command::new("settings"));
    let aliases = Aliases::read(variable);
    aliases.check(&variables_of(&command))?;
    let parsed = aliases.apply(without_empty(command.clone())).try_get_matches_from(["settings"]);
    parsed.and_then(|matches| A::from_arg_matches(&matches)).map_err(|error| {
        let said = explain(&command, &error, variable, &aliases);
        said.unwrap_or_else(|| error.to_string())
    })
}

fn without_empty(command: Command) -> Command {
    let empty = |arg: &Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|arg| if empty(&arg) { arg.env(None::<&str>) } else { arg });
    command.mut_subcommands(without_empty)
}

/// One line for the errors that a wrong setting causes.
fn explain(
    command: &Command,
    error: &clap::Error,
    variable: impl Fn(&str) -> Option<String>,
    aliases: &Aliases,
) -> Option<String> {
    // Names of arguments are known when it is built.
    let mut command = command.clone();
    command.build();
    let command = &command;
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let (flag, value) =
                (text(error, ContextKind::InvalidArg)?, text(error, ContextKind::InvalidValue)?);
            let arg = find(command, flag);
            let is_set = |name: &String| variable(name).is_some_and(|set| set.contains(value));
            let name = arg.and_then(setting).and_then(|name| {
                let alias = aliases.named(&name, value).map(str::to_owned);
                Some(name).filter(is_set).or(alias)
            });
            let name = name.unwrap_or_else(|| flag.split(' ').next().unwrap_or(flag).to_owned());
            Some(format!("{name}: {value:?} cannot be used: {}", expected(error, arg)))
        }
        ErrorKind::MissingRequiredArgument => {
            let Some(ContextValue::Strings(flags)) = error.get(ContextKind::InvalidArg) else { return None };
            let missing = |flag: &String| match find(command, flag).and_then(setting) {
                Some(name) => format!("{name} is not set: set it, or give {flag}"),
                None => format!("{flag} is missing: give it"),
            };
            Some(flags.iter().map(missing).collect::<Vec<_>>().join("; "))
        }
        _ => None,
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

/// The argument that clap writes as `flag`, such as `--listen <ADDRESS>`.
fn find<'a>(command: &'a Command, flag: &str) -> Option<&'a Arg> {
    let own = command.get_arguments().find(|arg| arg.to_string() == flag);
    own.or_else(|| command.get_subcommands().find_map(|command| find(command, flag)))
}

fn setting(arg: &Arg) -> Option<String> {
    arg.get_env().map(|name| name.to_string_lossy().into_owned())
}

fn expected(error: &clap::Error, arg: Option<&Arg>) -> String {
    if let Some(ContextValue::Strings(allowed)) = error.get(ContextKind::ValidValue)
        && !allowed.is_empty()
    {
        return format!("expected one of {}", allowed.join(", "));
    }
    let said = std::error::Error::source(error).map(jobs::error::sentence).unwrap_or_default();
    let usual = arg.and_then(|arg| arg.get_default_values().first()).map(|value| value.to_string_lossy());
    match (said.as_str(), usual) {
        ("invalid digit found in string" | "cannot parse integer from empty string", Some(usual)) => {
            format!("expected a whole number such as {usual}")
        }
        ("invalid digit found in string" | "cannot parse integer from empty string", None) => {
            "expected a whole number".to_owned()
        }
        (said, Some(usual)) if !said.contains("such as") => format!("{said}; the default is {usual}"),
        (said, _) => said.to_owned(),
    }
}

/// What the warnings are logged as, so that every filter lets them through.
pub(super) const SETTINGS_TARGET: &str = "settings";

/// Names that are ours.
const PREFIX: &str = "TENANTRY_";
/// Below this similarity, a known name is no help.
const SIMILAR: f64 = 0.8;

/// The settings that only the `worker` program has: one file of variables serves all programs.
pub const WORKER_VARIABLES: [&str; 9] = [
    "TENANTRY_CONCURRENCY",
    "TENANTRY_HEALTH_LISTEN",
    "TENANTRY_LEASE_S",
    "TENANTRY_READ_MEMORY_MIB",
    "TENANTRY_READ_S",
    "TENANTRY_RECONCILE_S",
    "TENANTRY_STOP_S",
    "TENANTRY_WAIT_MAX_S",
    "TENANTRY_WEBHOOK_CONCURRENCY",
];

/// The settings of the commands of `tenantry` that are clients of the API.
pub const CLIENT_VARIABLES: [&str; 3] = ["TENANTRY_KEY", "TENANTRY_PROFILE", "TENANTRY_URL"];

/// What the compose file and this project's own tests read.
const OTHERS: [&str; 4] = [
    "TENANTRY_MODEL_FIRST_SEED",
    "TENANTRY_MODEL_SEEDS",
    "TENANTRY_PORT",
    "TENANTRY_TEST_POSTGRES_SUPERUSER_URL",
];

static UNKNOWN: OnceLock<Vec<String>> = OnceLock::new();

/// Remembers what in the environment is no setting of any program, `command` being this one.
pub(super) fn note_unknown_variables(command: &Command) {
    let mut known: BTreeSet<String> = variables_of(command);
    known.extend(WORKER_VARIABLES.into_iter().chain(CLIENT_VARIABLES).chain(OTHERS).map(str::to_owned));
    let _ = UNKNOWN.set(warnings(std::env::vars_os().map(|(name, _)| name), &known));
}

/// What in the environment is no setting, with the nearest one that is: a line for each.
#[must_use]
pub fn unknown_variables() -> &'static [String] {
    UNKNOWN.get().map(Vec::as_slice).unwrap_or_default()
}

/// Logs what [`note_unknown_variables`] found.
pub(super) fn warn_of_unknown_variables() {
    for warning in unknown_variables() {
        tracing::warn!(target: SETTINGS_TARGET, "{warning}");
    }
}

/// The variables that `command` and its subcommands read.
pub(super) fn variables_of(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(clap::Arg::get_env);
    let mut names: BTreeSet<String> = own.map(|name| name.to_string_lossy().into_owned()).collect();
    names.extend(command.get_subcommands().flat_map(variables_of));
    names
}

fn warnings(names: impl Iterator<Item = OsString>, known: &BTreeSet<String>) -> Vec<String> {
    let names: BTreeSet<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let unknown = names.into_iter().filter(|name| name.starts_with(PREFIX) && !known.contains(name));
    unknown.map(|name| warning(&name, known)).collect()
}

fn warning(name: &str, known: &BTreeSet<String>) -> String {
    // Without the prefix, which makes all names alike.
    let end = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_owned();
    let alike = known.iter().map(|known| (strsim::jaro_winkler(&end(known), &end(name)), known));
    match alike.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((similarity, nearest)) if similarity >= SIMILAR => {
            format!("{name} is no setting and is ignored: did you mean {nearest}?")
        }
        _ => format!("{name} is no setting and is ignored: remove it, or look for its name in --help"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use clap::CommandFactory as _;

    use super::super::run::listen_address;
    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[arg(long, env = "TEST_LISTEN", value_parser = listen_address, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        #[arg(long, env = "TEST_TRIES", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
        tries: u16,
        #[arg(long, env = "TEST_URL", value_name = "URL")]
        url: String,
        #[arg(long, env = "TEST_MODE", value_parser = ["on", "off"], default_value = "on")]
        mode: String,
    }

    /// The line for arguments, some of which came from variables.
    fn line(arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let command = Program::command().mut_args(|arg| arg.env(None::<&str>));
        let arguments = ["program"].iter().chain(arguments);
        let error = command.try_get_matches_from(arguments).unwrap_err();
        let variable = |name: &str| {
            let found = variables.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        explain(&Program::command(), &error, variable, &Aliases::default()).unwrap()
    }

    #[test]
    fn what_cannot_be_used_is_named_as_it_was_given() {
        for (arguments, variables, expected) in [
            (
                ["--url=x", "--listen=nowhere"],
                [].as_slice(),
                "--listen: \"nowhere\" cannot be used: expected an address and a port, such as 127.0.0.1:8080, or \
                 0.0.0.0:8080 for every network",
            ),
            (
                ["--url=x", "--tries=many"],
                &[("TEST_TRIES", "many")],
                "TEST_TRIES: \"many\" cannot be used: expected a whole number such as 5",
            ),
            (
                ["--url=x", "--tries=0"],
                &[("TEST_TRIES", "0")],
                "TEST_TRIES: \"0\" cannot be used: 0 is not in 1..=65535; the default is 5",
            ),
            (
                ["--url=x", "--mode=maybe"],
                &[("TEST_MODE", "maybe")],
                "TEST_MODE: \"maybe\" cannot be used: expected one of on, off",
            ),
            (["--mode=on", "--tries=1"], &[], "TEST_URL is not set: set it, or give --url <URL>"),
        ] {
            assert_eq!(line(&arguments, variables), expected);
        }
    }

    #[test]
    fn a_name_that_is_no_setting_is_named_with_the_nearest_one() {
        let known = ["TENANTRY_SIGNUP", "TENANTRY_MAX_DOCUMENT_BYTES", "REDIS_URL"].map(str::to_owned).into();
        let names = ["TENANTRY_SIGN_UP", "TENANTRY_MAX_DOCUMENTS_BYTES", "TENANTRY_XYZ", "TENANTRY_SIGNUP"];
        let names = names.into_iter().chain(["REDIS_URI", "PATH"]).map(OsString::from);
        assert_eq!(
            warnings(names, &known),
            [
                "TENANTRY_MAX_DOCUMENTS_BYTES is no setting and is ignored: did you mean \
                 TENANTRY_MAX_DOCUMENT_BYTES?",
                "TENANTRY_SIGN_UP is no setting and is ignored: did you mean TENANTRY_SIGNUP?",
                "TENANTRY_XYZ is no setting and is ignored: remove it, or look for its name in --help",
            ]
        );
    }
}
