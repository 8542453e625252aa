use std::collections::BTreeMap;

use serde::Deserialize;

use crate::extract::answer::repair_delimiters;
use crate::extract::names::{description, entity_name, entity_type, keywords};

#[derive(Deserialize)]
struct Reference {
    entity_name: BTreeMap<String, String>,
    entity_type: BTreeMap<String, Option<String>>,
    delimiters: BTreeMap<String, String>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../testdata/normalise.json")).expect("json")
}

#[test]
fn names_are_cleaned_like_lightrag_cleans_them() {
    for (raw, name) in reference().entity_name {
        assert_eq!(entity_name(&raw).unwrap_or_default(), name, "{raw:?}");
    }
}

#[test]
fn types_are_cleaned_like_lightrag_cleans_them() {
    for (raw, kind) in reference().entity_type {
        assert_eq!(entity_type(&raw), kind, "{raw:?}");
    }
}

#[test]
fn damaged_delimiters_are_repaired_like_lightrag_repairs_them() {
    for (raw, repaired) in reference().delimiters {
        assert_eq!(repair_delimiters(&raw), repaired, "{raw:?}");
    }
}

#[test]
fn names_are_one_line_of_limited_length() {
    assert_eq!(entity_name("Marie\n Curie"), Some("Marie Curie".to_owned()));
    assert_eq!(entity_name("a<SEP>b"), Some("a b".to_owned()));
    assert_eq!(entity_name("<SEP>"), None);
    assert_eq!(entity_name(&"n".repeat(300)).map(|name| name.len()), Some(256));
    assert_eq!(entity_name(&"居".repeat(300)).map(|name| name.chars().count()), Some(170));
    assert_eq!(
        entity_name("\u{1}\u{202e}x\u{7f}").map(|name| name.chars().any(char::is_control)),
        Some(false)
    );
}

#[test]
fn descriptions_never_hold_the_separator() {
    assert_eq!(description("one<SEP>two"), Some("one two".to_owned()));
    assert_eq!(description("<SE<SEP>P>"), Some("<SE P>".to_owned()));
    assert_eq!(description(" \n"), None);
}

#[test]
fn keywords_are_parted_by_commas_of_either_width() {
    assert_eq!(keywords("工作，居住, , work"), ["工作", "居住", "work"]);
    assert_eq!(keywords(""), Vec::<String>::new());
}
