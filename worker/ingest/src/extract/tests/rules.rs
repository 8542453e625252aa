use std::collections::BTreeMap;

use stores::model::{ExtractedEntity, Extraction};
use worker::compute::Turn;

use crate::extract::rules;

pub(super) async fn extract(chunk: &str) -> Extraction {
    rules::extract(chunk, &Turn::unlimited()).expect("without limits rules never fail")
}

async fn entities(chunk: &str) -> BTreeMap<String, ExtractedEntity> {
    extract(chunk).await.entities.into_iter().map(|entity| (entity.name.clone(), entity)).collect()
}

/// The names found in a text, in alphabetical order, with their types.
async fn named(chunk: &str) -> Vec<String> {
    entities(chunk).await.into_values().map(|entity| format!("{} ({})", entity.name, entity.kind)).collect()
}

const STORY: &str = "Halvard Freight was founded in Bergen in 1987 by Nora Lindqvist, a former ship's \
    engineer. In March 2021 Halvard Freight bought Larkspur Logistics. Lindqvist's brother Erik leads the \
    Rotterdam office, which uses the Beacon tracker. Beacon was built by Tomas Reyes at the University of \
    the Arts in Utrecht. Since then Dr. Amina Diallo has published three studies. \"We were \
    surprised,\" said Diallo. However, nothing changed.";

#[tokio::test]
async fn names_are_found_joined_and_typed() {
    assert_eq!(
        named(STORY).await,
        [
            "Amina Diallo (person)",
            "Beacon (concept)",
            "Bergen (location)",
            "Erik (person)",
            "Halvard Freight (organization)",
            "Larkspur Logistics (organization)",
            "Nora Lindqvist (person)",
            "Rotterdam (location)",
            "Tomas Reyes (person)",
            "University of the Arts (organization)",
            "Utrecht (location)",
        ]
    );
}

#[tokio::test]
async fn a_description_is_a_sentence_that_names_the_entity() {
    let entities = entities(STORY).await;
    let expected = "In March 2021 Halvard Freight bought Larkspur Logistics.";
    assert_eq!(entities["Larkspur Logistics"].description, expected);
    for entity in entities.values() {
        let last = entity.name.rsplit(' ').next().unwrap_or_default();
        assert!(entity.description.contains(last), "{entity:?}");
    }
}

#[tokio::test]
async fn relations_join_names_that_stand_close_together() {
    let extraction = extract(STORY).await;
    let relation = |source: &str, target: &str| {
        extraction.relations.iter().find(|relation| relation.source == source && relation.target == target)
    };
    let bought = relation("Halvard Freight", "Larkspur Logistics").expect("related");
    assert_eq!((bought.keywords.as_slice(), bought.weight), (["bought".to_owned()].as_slice(), 1.0));
    assert_eq!(bought.description, "In March 2021 Halvard Freight bought Larkspur Logistics.");
    assert!(relation("Nora Lindqvist", "Tomas Reyes").is_none(), "they share no sentence");
    assert!(extraction.relations.iter().all(|relation| relation.source < relation.target));
}

#[tokio::test]
async fn identifiers_acronyms_and_technologies_are_found() {
    let text = "The scheduler stores jobs in redis and in PostgreSQL. Call foo_bar or store::open, both from \
                tokio-util, over HTTP. The well-known re-export is async-aware and API-like. \
                APIs of AT&T use C++.";
    assert_eq!(
        named(text).await,
        [
            "API (technology)",
            "AT&T (technology)",
            "C++ (concept)",
            "HTTP (technology)",
            "PostgreSQL (technology)",
            "Redis (technology)",
            "foo_bar (technology)",
            "store::open (technology)",
            "tokio-util (technology)",
        ]
    );
}

#[tokio::test]
async fn words_that_only_begin_a_sentence_or_fill_a_heading_are_no_names() {
    let text = "# Getting Started With Your New Project\n\nInstall the crate. Running tests is easy. \
                However, Monday matters. This works in March. IMPORTANT: DO NOT USE THIS IN PUBLIC. The Acme \
                Corporation helps.\n\n\
                - Fast and simple\n- Reliable: it never fails\n\nVersion | Date\n1.0 | May 2020";
    assert_eq!(named(text).await, ["Acme Corporation (organization)", "crate (concept)"]);
}

#[tokio::test]
async fn spellings_of_one_name_are_one_entity() {
    let text = "We met Acme in Bergen. They say ACME's office is small. Then Acme moved. J. R. R. Tolkien \
                and Marks & Spencer stay.";
    assert_eq!(
        named(text).await,
        ["Acme (person)", "Bergen (location)", "J. R. R. Tolkien (person)", "Marks & Spencer (concept)"]
    );
}

#[tokio::test]
async fn code_only_confirms_what_the_text_names() {
    let text = "The Router type of Axum serves requests, and Tower adds layers to the Router.\n\n    let app \
                = Router::new().layer(TraceLayer::new_for_http());\n    axum::serve(listener, app).await?;";
    let names = named(text).await;
    assert!(names.iter().any(|name| name.starts_with("Router ")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("TraceLayer")), "{names:?}");
}

#[tokio::test]
async fn addresses_are_no_names() {
    let text =
        "See https://Example.com/Foo/Bar_baz and www.Acme.org, or write to Nora@Acme.org in Paris or Oslo.";
    assert_eq!(named(text).await, ["Oslo (location)", "Paris (location)"]);
}

#[tokio::test]
async fn the_separator_in_a_text_reaches_no_record() {
    let extraction =
        extract("Nora<SEP>Lindqvist met Erik Berg in Oslo<SEP>Paris, and Erik Berg left Oslo.").await;
    let joined = serde_json::to_string(&extraction).expect("json");
    assert!(!joined.contains("SEP>"), "{joined}");
}
