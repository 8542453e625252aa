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

/// The demo has a directory, an address and a Redis of its own.
const NOT_FOR_DEMO: [&str; 5] =
    ["REDIS_URL", "TENANTRY_BLOBS_URL", "TENANTRY_DATA_DIR", "TENANTRY_LISTEN", "TENANTRY_SHARDS"];

#[test]
fn the_demo_reads_the_settings_of_dev() {
    let (dev, demo) = (help("tenantry", &["dev"]), help("tenantry", &["demo"]));
    assert_eq!(dev.difference(&demo).map(String::as_str).collect::<Vec<_>>(), NOT_FOR_DEMO);
    assert_eq!(demo.difference(&dev).count(), 0, "{demo:?}");
}

#[test]
fn api_and_worker_read_the_same_plans() {
    let (api, worker) = (help("tenantry", &["api"]), help("tenantry", &["worker"]));
    let plans = api.iter().filter(|name| *name == "TENANTRY_PLANS" || name.starts_with("TENANTRY_DEFAULT_"));
    let missing: Vec<_> = plans.filter(|name| !worker.contains(*name)).collect();
    assert_eq!(missing, ["TENANTRY_DEFAULT_TENANT"], "which requests name");
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

/// What a program says that cannot start for another reason, at the end.
fn said(program: &str, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let data = tempfile::tempdir().unwrap();
    let mut all =
        vec![("TENANTRY_DATA_DIR", data.path().to_str().unwrap()), ("REDIS_URL", "redis://127.0.0.1:1")];
    all.extend(settings);
    let output = output(program, arguments, &all);
    assert!(!output.status.success(), "{program} {arguments:?} started");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn names_of_other_systems_are_read_and_the_start_says_so() {
    let names = [
        ("TENANT_AUTO_PROVISION", "true"),
        ("TENANT_MAX_USERS", "5"),
        ("TENANT_ISOLATION_STRATEGY", "shared"),
    ];
    for (program, arguments) in [
        ("tenantry", ["dev", "--listen", "192.0.2.1:1"].as_slice()),
        ("tenantry", &["demo", "--docs", "/nowhere"]),
        ("tenantry", &["api"]),
        ("api-thin", &[]),
    ] {
        let said = said(program, arguments, &names);
        for (theirs, ours) in [
            ("TENANT_AUTO_PROVISION", "TENANTRY_AUTO_PROVISION"),
            ("TENANT_MAX_USERS", "TENANTRY_DEFAULT_MAX_MEMBERS"),
        ] {
            assert!(said.contains(&format!("{theirs} is read as {ours}")), "{program} {arguments:?}: {said}");
        }
        assert!(
            said.contains("TENANT_ISOLATION_STRATEGY changes nothing"),
            "{program} {arguments:?}: {said}"
        );
    }
    let stamp = ["worker", "--stamp-keys", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];
    let worker = said("tenantry", &stamp, &names);
    assert!(worker.contains("TENANT_MAX_USERS is read as"), "{worker}");
    assert!(!worker.contains("TENANT_AUTO_PROVISION"), "a worker makes no tenants: {worker}");
}

#[test]
fn names_of_other_systems_that_ask_for_what_is_not_done_stop_the_start() {
    let (secret, other) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
    for (settings, expected) in [
        (
            [("TENANT_ISOLATION_STRATEGY", "database")].as_slice(),
            "TENANT_ISOLATION_STRATEGY: \"database\" cannot be used",
        ),
        (
            &[("JWT_ALGORITHM", "none")],
            "JWT_ALGORITHM: \"none\" cannot be used: tokens are signed with HS256",
        ),
        (
            &[("TENANT_MAX_USERS", "many")],
            "TENANT_MAX_USERS: \"many\" cannot be used: expected a whole number",
        ),
        (&[("TOKEN_EXPIRE_HOURS", "0")], "TOKEN_EXPIRE_HOURS: \"0\" cannot be used: 0 is not in 1..=720"),
        (
            &[("MULTI_TENANCY_ENABLED", "false"), ("TENANTRY_MULTI_TENANT", "on")],
            "MULTI_TENANCY_ENABLED: \"false\" cannot be used: TENANTRY_MULTI_TENANT says something else: unset one",
        ),
        (
            &[("TOKEN_SECRET", secret), ("TENANTRY_JWT_SECRET", other)],
            "TOKEN_SECRET: TENANTRY_JWT_SECRET says something else: unset one of the two",
        ),
        (&[("LIGHTRAG_REQUIRE_USER_AUTH", "false")], "(it is set as LIGHTRAG_REQUIRE_USER_AUTH)"),
        (
            &[("TENANT_DEFAULT_PLAN", "gold")],
            "TENANTRY_DEFAULT_PLAN: there is no plan gold: choose one of enterprise,",
        ),
        (
            &[("TENANTRY_DEFAULT_MAX_MEMBERS", "2000000")],
            "TENANTRY_DEFAULT_MAX_MEMBERS: plan free: members: expected 1 to",
        ),
    ] {
        for program in ["dev", "demo"] {
            let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/demo");
            let arguments = if program == "dev" { vec!["dev"] } else { vec!["demo", "--samples", samples] };
            let arguments = [arguments, vec!["--listen", "192.0.2.1:1"]].concat();
            let said = said("tenantry", &arguments, settings);
            let lines: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
            assert_eq!(lines.len(), 1, "{said}");
            assert!(lines[0].contains(expected), "{program}: {said}");
            assert!(!said.contains(secret) && !said.contains(other), "{said}");
        }
    }
    let demo = said(
        "tenantry",
        &["demo", "--samples", concat!(env!("CARGO_MANIFEST_DIR"), "/../docker/demo")],
        &[("ENABLE_MULTI_TENANTS", "false")],
    );
    assert!(
        demo.contains("TENANTRY_MULTI_TENANT: off leaves one tenant")
            && demo.contains("ENABLE_MULTI_TENANTS"),
        "{demo}"
    );
    let keygen = output("tenantry", &["keygen"], &[("JWT_ALGORITHM", "none")]);
    assert!(keygen.status.success(), "it signs no tokens");
}
