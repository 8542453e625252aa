//! Which settings the programs read.

use std::collections::BTreeSet;

use api_thin::program::{CLIENT_VARIABLES, WORKER_VARIABLES};
use tests::program::output;

/// `tenantry dev` keeps data in files.
const NOT_FOR_DEV: [&str; 5] =
    ["MONGO_URL", "NEO4J_URL", "POSTGRES_URL", "TENANTRY_DOCUMENTS", "TENANTRY_GRAPH"];

fn help(program: &str, command: &[&str]) -> BTreeSet<String> {
    let arguments = [command, &["--help"]].concat();
    let text = String::from_utf8(output(program, &arguments, &[]).stdout).unwrap();
    let names = text.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next());
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    assert!(!names.is_empty(), "{text}");
    names
}

/// The names in the first column of a table of settings.
fn table(readme: &str) -> BTreeSet<String> {
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    let names = rows.filter_map(|row| row.split('|').nth(1)).flat_map(|names| names.split('`'));
    names.filter(|name| name.starts_with("TENANTRY_")).map(str::to_owned).collect()
}

#[test]
fn dev_reads_every_setting_of_the_api() {
    let (api, dev) = (help("api-thin", &[]), help("tenantry", &["dev"]));
    let missing: Vec<_> = api.difference(&dev).map(String::as_str).collect();
    assert_eq!(missing, NOT_FOR_DEV, "a setting of the API belongs into `ApiSettings`");
}

#[test]
fn tenantry_api_reads_the_settings_of_api_thin() {
    assert_eq!(help("tenantry", &["api"]), help("api-thin", &[]));
}

#[test]
fn the_readme_has_every_setting_of_the_api_and_no_other() {
    let names = help("api-thin", &[]).into_iter().filter(|name| name.starts_with("TENANTRY_"));
    assert_eq!(table(include_str!("../../../api-thin/README.md")), names.collect());
}

#[test]
fn a_setting_of_the_worker_is_known_to_the_api() {
    let mut worker: BTreeSet<String> = BTreeSet::new();
    for command in [["worker"].as_slice(), &["dev"], &["demo"], &["shards"], &["users", "import"]] {
        worker.extend(help("tenantry", command));
    }
    let api = help("api-thin", &[]);
    let own: Vec<_> = worker.difference(&api).filter(|name| name.starts_with("TENANTRY_")).collect();
    assert_eq!(own, WORKER_VARIABLES, "api_thin::program::WORKER_VARIABLES lists them");
}

#[test]
fn a_setting_of_the_clients_is_known_to_all() {
    for command in ["tenants", "jobs", "top", "doctor"] {
        let names = help("tenantry", &[command]);
        assert_eq!(
            names,
            CLIENT_VARIABLES.map(str::to_owned).into(),
            "api_thin::program::CLIENT_VARIABLES lists them"
        );
    }
}

#[test]
fn a_variable_that_is_no_setting_is_named_with_the_nearest_one() {
    let mistyped = [("TENANTRY_SIGN_UP", "on"), ("TENANTRY_CONCURENCY", "4")];
    for (program, arguments) in [
        ("tenantry", ["dev", "--listen", "192.0.2.1:1"].as_slice()),
        ("tenantry", &["demo", "--docs", "/nowhere"]),
        ("tenantry", &["keygen"]),
        ("api-thin", &[]),
    ] {
        let data = tempfile::tempdir().unwrap();
        let mut settings = vec![("TENANTRY_DATA_DIR", data.path().to_str().unwrap())];
        settings.push(("REDIS_URL", "redis://127.0.0.1:1"));
        settings.extend(mistyped);
        let said = String::from_utf8(output(program, arguments, &settings).stderr).unwrap();
        for (name, nearest) in
            [("TENANTRY_SIGN_UP", "TENANTRY_SIGNUP"), ("TENANTRY_CONCURENCY", "TENANTRY_CONCURRENCY")]
        {
            let expected = format!("{name} is no setting and is ignored: did you mean {nearest}?");
            assert!(said.contains(&expected), "{program} {arguments:?}: {said}");
        }
        assert_eq!(said.matches("is no setting").count(), 2, "{said}");
    }
}
