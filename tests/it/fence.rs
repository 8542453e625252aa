//! Only `worker/stores` may name a database driver: the compiler then keeps every other crate away from raw
//! connections.

use std::collections::BTreeMap;

use cargo_metadata::{CargoOpt, MetadataCommand};

const DRIVERS: [&str; 4] = ["sqlx", "mongodb", "neo4rs", "object_store"];

/// Which workspace member lists which driver in its manifest, under any kind of dependency.
fn drivers_by_member() -> BTreeMap<String, Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .no_deps()
        .exec()
        .expect("cargo metadata describes the workspace");
    let named = |package: &cargo_metadata::Package| {
        let names = package.dependencies.iter().map(|dependency| dependency.name.clone());
        let drivers = names.filter(|name| DRIVERS.iter().any(|driver| name.starts_with(driver)));
        (package.name.to_string(), drivers.collect())
    };
    metadata.packages.iter().map(named).collect()
}

/// Who depends on `fair-queue` could push what was not stamped for a tenant; everyone else has the door in
/// `jobs::queue`.
#[test]
fn only_jobs_and_tests_depend_on_the_queue() {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata describes the workspace");
    let depends = |package: &&cargo_metadata::Package| {
        package.dependencies.iter().any(|dependency| dependency.name == "fair-queue")
    };
    let mut found: Vec<_> =
        metadata.packages.iter().filter(depends).map(|package| package.name.to_string()).collect();
    found.sort_unstable();
    assert_eq!(found, ["fair-queue", "jobs", "tests"], "push through jobs::queue::Queue instead");
}

#[test]
fn only_stores_depends_on_a_driver() {
    let members = drivers_by_member();
    assert!(members["stores"].len() >= DRIVERS.len(), "the fence guards nothing: {members:?}");
    for (member, drivers) in &members {
        assert!(
            member == "stores" || drivers.is_empty(),
            "{member} depends on {drivers:?}: reach the data through stores::Stores instead"
        );
    }
}
