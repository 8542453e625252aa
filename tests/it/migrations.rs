//! A migration that may have run somewhere never changes: a database that ran it refuses the program with another one.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

/// In the format of `sha256sum`, so that it can be checked, and added to, without a program of ours.
const NOTED: &str = include_str!("../../worker/stores/migrations/SHA256SUMS");

#[test]
fn what_may_have_run_is_as_it_was() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../worker/stores/migrations");
    let mut found = BTreeMap::new();
    for entry in WalkDir::new(&folder).into_iter().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|extension| extension == "sql") {
            let name = entry.path().strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
            found.insert(name, hex::encode(Sha256::digest(std::fs::read(entry.path()).unwrap())));
        }
    }
    let noted = NOTED.lines().map(|line| line.split_once("  ").unwrap());
    let noted: BTreeMap<_, _> = noted.map(|(hash, name)| (name.to_owned(), hash.to_owned())).collect();
    for (name, hash) in &noted {
        assert_eq!(
            found.get(name),
            Some(hash),
            "{name} was released: add a migration instead of changing it"
        );
    }
    for (name, hash) in found {
        assert!(noted.contains_key(&name), "add to worker/stores/migrations/SHA256SUMS: {hash}  {name}");
    }
}
