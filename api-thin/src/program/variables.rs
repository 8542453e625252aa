//! Variables that look like settings and are none.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::sync::OnceLock;

use clap::Command;

/// What the warnings are logged as, so that every filter lets them through.
pub(super) const TARGET: &str = "settings";

/// Names that are ours.
const PREFIX: &str = "TENANTRY_";
/// Below this similarity, a known name is no help.
const SIMILAR: f64 = 0.8;

/// The settings that only the `worker` program has: one file of variables serves all programs.
pub const WORKER_VARIABLES: [&str; 6] = [
    "TENANTRY_CONCURRENCY",
    "TENANTRY_HEALTH_LISTEN",
    "TENANTRY_LEASE_S",
    "TENANTRY_READ_MEMORY_MIB",
    "TENANTRY_READ_S",
    "TENANTRY_STOP_S",
];

/// What the compose file and this project's own tests read.
const OTHERS: [&str; 4] = [
    "TENANTRY_MODEL_FIRST_SEED",
    "TENANTRY_MODEL_SEEDS",
    "TENANTRY_PORT",
    "TENANTRY_TEST_POSTGRES_SUPERUSER_URL",
];

static UNKNOWN: OnceLock<Vec<String>> = OnceLock::new();

/// Remembers what in the environment is no setting of any program, `command` being this one.
pub(super) fn look(command: &Command) {
    let mut known: BTreeSet<String> = of(command);
    known.extend(WORKER_VARIABLES.into_iter().chain(OTHERS).map(str::to_owned));
    let _ = UNKNOWN.set(warnings(std::env::vars_os().map(|(name, _)| name), &known));
}

/// Logs what [`look`] found.
pub(super) fn warn_of_unknown() {
    for warning in UNKNOWN.get().into_iter().flatten() {
        tracing::warn!(target: TARGET, "{warning}");
    }
}

/// The variables that `command` and its subcommands read.
pub(super) fn of(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(clap::Arg::get_env);
    let mut names: BTreeSet<String> = own.map(|name| name.to_string_lossy().into_owned()).collect();
    names.extend(command.get_subcommands().flat_map(of));
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
    use super::*;

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
