//! The schemas of the description. What is sent and what is answered are described apart, because a field that a
//! request may leave out is always there in an answer: clients need not ask for it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::{Contract, SchemaSettings};
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Where schemas are that have a name.
pub(super) const NAMED: &str = "#/components/schemas/";
/// Ends the name of a schema whose answers differ from its requests, in requests.
const SENT: &str = "Input";

/// What makes the schemas of one direction.
pub(super) fn generator(contract: Contract) -> SchemaGenerator {
    let settings = SchemaSettings::draft07().with(|settings| {
        NAMED.clone_into(settings.definitions_path.to_mut());
        settings.contract = contract;
    });
    settings.with_transform(RecursiveTransform(simpler as fn(&mut Schema))).into_generator()
}

/// A schema as generators of clients understand it best: one list of names instead of a choice between constants, no
/// format that is known to Rust alone, no links of Rust's documentation.
fn simpler(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some((names, texts)) =
        object.get("oneOf").and_then(Value::as_array).and_then(|choices| constants(choices))
    {
        object.remove("oneOf");
        object.insert("type".to_owned(), "string".into());
        object.insert("enum".to_owned(), names.into());
        let says = object.get("description").and_then(Value::as_str).unwrap_or_default();
        let says = [&[says.to_owned()], texts.as_slice()].concat().join("\n");
        object.insert("description".to_owned(), says.into());
    }
    // A generated client would send a default where its caller says nothing, which is what leaves a setting as it is.
    if let Some(Value::Number(default)) = object.remove("default") {
        let says = object.get("description").and_then(Value::as_str).unwrap_or_default();
        let says = format!("{says} {default} by default.").trim_start().to_owned();
        object.insert("description".to_owned(), says.into());
    }
    if object.get("format").is_some_and(|format| format == "uint") {
        object.insert("format".to_owned(), "uint64".into());
    }
    if let Some(Value::String(says)) = object.get_mut("description") {
        *says = says.replace("[`", "`").replace("`]", "`").replace("\n ", "\n");
    }
}

/// What a merge patch of an object is: every field may be left out, or be null.
pub(super) fn patch_of(whole: &Schema) -> Schema {
    let mut patch = whole.clone();
    patch.remove("required");
    let says = "A merge patch (RFC 7396): what is left out stays as it is, null brings the default back.";
    patch.insert("description".to_owned(), says.into());
    let fields =
        patch.ensure_object().get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    for (_, field) in fields {
        let Some(field) = field.as_object_mut() else { continue };
        match field.remove("type") {
            Some(Value::Array(types)) => field.insert("type".to_owned(), types.into()),
            Some(only) => field.insert("type".to_owned(), vec![only, "null".into()].into()),
            None => {
                let reference = field.remove("$ref").map(|reference| json!({ "$ref": reference }));
                let choices = reference.map(|reference| json!([reference, { "type": "null" }]));
                choices.and_then(|choices| field.insert("anyOf".to_owned(), choices))
            }
        };
    }
    patch
}

/// The names that a choice is between, and what is said of each, if all are texts.
fn constants(choices: &[Value]) -> Option<(Vec<Value>, Vec<String>)> {
    let name = |choice: &Value| choice.get("const").filter(|name| name.is_string()).cloned();
    let names: Vec<Value> = choices.iter().map(name).collect::<Option<_>>()?;
    let said = choices.iter().zip(&names).filter_map(|(choice, name)| {
        let (says, name) = (choice["description"].as_str()?, name.as_str()?);
        (says.trim_matches('`') != name).then(|| format!("- `{name}`: {says}"))
    });
    let said = said.collect();
    Some((names, said))
}

/// One description out of two: parameters and bodies as they are sent, responses as they are answered.
pub(super) fn joined(mut requests: Value, mut answers: Value) -> Value {
    let (sent, answered) = (named(&mut requests), named(&mut answers));
    let mut used = BTreeSet::new();
    let mut sides = Vec::new();
    for_operations(&mut requests, |place, operation| {
        let side: Map<_, _> =
            ["parameters", "requestBody"].iter().filter_map(|part| operation.remove_entry(*part)).collect();
        side.values().for_each(|part| references(part, &mut used));
        sides.push((place, side));
    });
    let sent = reachable(&sent, used);
    let mut used = BTreeSet::new();
    for_operations(&mut answers, |_, operation| references(&operation["responses"], &mut used));
    references(&answers["components"]["responses"], &mut used);
    let answered = reachable(&answered, used);
    let differing = differing(&sent, &answered);
    let mut sides: BTreeMap<_, _> = sides.into_iter().collect();
    for_operations(&mut answers, |place, operation| {
        operation.remove("parameters");
        operation.remove("requestBody");
        for (part, mut value) in sides.remove(&place).unwrap_or_default() {
            rename(&mut value, &differing);
            operation.insert(part, value);
        }
        // That no credentials are needed has to be said.
        operation.entry("security").or_insert_with(|| Value::Array(Vec::new()));
    });
    let mut schemas = answered;
    for (name, mut schema) in sent {
        rename(&mut schema, &differing);
        let name = if differing.contains(&name) { format!("{name}{SENT}") } else { name };
        schemas.insert(name, schema);
    }
    answers["components"]["schemas"] = Value::Object(schemas.into_iter().collect());
    answers
}

/// The schemas that have a name, which are taken out of the description.
fn named(description: &mut Value) -> BTreeMap<String, Value> {
    match description["components"]["schemas"].take() {
        Value::Object(schemas) => schemas.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

/// Calls `each` with path and method of every operation, and with the operation.
fn for_operations(description: &mut Value, mut each: impl FnMut((String, String), &mut Map<String, Value>)) {
    let paths = description["paths"].as_object_mut().into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_object_mut() {
                each((path.clone(), method.clone()), operation);
            }
        }
    }
}

/// Collects the names of the schemas that a value refers to.
fn references(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let name = object.get("$ref").and_then(|reference| reference.as_str()?.strip_prefix(NAMED));
            names.extend(name.map(str::to_owned));
            object.values().for_each(|part| references(part, names));
        }
        Value::Array(parts) => parts.iter().for_each(|part| references(part, names)),
        _ => {}
    }
}

/// These schemas, and those that they refer to.
fn reachable(all: &BTreeMap<String, Value>, names: BTreeSet<String>) -> BTreeMap<String, Value> {
    let (mut found, mut open) = (BTreeMap::new(), names);
    while let Some(name) = open.pop_first() {
        let Some(schema) = all.get(&name) else { continue };
        let mut next = BTreeSet::new();
        references(schema, &mut next);
        found.insert(name, schema.clone());
        open.extend(next.into_iter().filter(|name| !found.contains_key(name)));
    }
    found
}

/// The names that mean one thing in requests and another in answers, by themselves or by what they refer to.
fn differing(sent: &BTreeMap<String, Value>, answered: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let both = sent.iter().filter_map(|(name, schema)| Some((name, schema, answered.get(name)?)));
    let both: Vec<_> = both.collect();
    let unequal = both.iter().filter(|(_, sent, answered)| sent != answered);
    let mut differing: BTreeSet<String> = unequal.map(|(name, ..)| (*name).clone()).collect();
    loop {
        let before = differing.len();
        for (name, schema, _) in &both {
            let mut names = BTreeSet::new();
            references(schema, &mut names);
            if !names.is_disjoint(&differing) {
                differing.insert((*name).clone());
            }
        }
        if differing.len() == before {
            return differing;
        }
    }
}

/// Lets references to `differing` schemas mean what is sent.
fn rename(value: &mut Value, differing: &BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get_mut("$ref")
                && reference.strip_prefix(NAMED).is_some_and(|name| differing.contains(name))
            {
                reference.push_str(SENT);
            }
            object.values_mut().for_each(|part| rename(part, differing));
        }
        Value::Array(parts) => parts.iter_mut().for_each(|part| rename(part, differing)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(schemas: &Value) -> Value {
        let one = json!({ "$ref": "#/components/schemas/Outer" });
        json!({
            "paths": { "/": { "put": { "requestBody": { "schema": one }, "responses": { "200": one } } } },
            "components": { "schemas": schemas, "responses": {} },
        })
    }

    #[test]
    fn what_is_sent_has_a_name_of_its_own_where_it_differs() {
        let inner = json!({ "$ref": "#/components/schemas/Inner" });
        let outer =
            json!({ "properties": { "inner": inner, "same": { "$ref": "#/components/schemas/Same" } } });
        let same = json!({ "type": "string" });
        let sent = json!({ "Outer": outer, "Inner": { "required": [] }, "Same": same, "Unused": same });
        let answered = json!({ "Outer": outer, "Inner": { "required": ["a"] }, "Same": same });
        let joined = joined(description(&sent), description(&answered));
        let schemas = joined["components"]["schemas"].as_object().unwrap();
        let names: Vec<_> = schemas.keys().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect();
        assert_eq!(names, ["Inner", "InnerInput", "Outer", "OuterInput", "Same"]);
        let of = |name: &str| &schemas[name]["properties"]["inner"]["$ref"];
        assert_eq!(
            (of("Outer"), of("OuterInput")),
            (&json!(format!("{NAMED}Inner")), &json!(format!("{NAMED}InnerInput")))
        );
        let operation = &joined["paths"]["/"]["put"];
        assert_eq!(operation["requestBody"]["schema"]["$ref"], format!("{NAMED}OuterInput"));
        assert_eq!(operation["responses"]["200"]["$ref"], format!("{NAMED}Outer"));
        assert_eq!(operation["security"], json!([]));
    }

    #[test]
    fn a_patch_may_leave_out_and_reset_everything() {
        let whole = schemars::json_schema!({
            "type": "object",
            "properties": {
                "count": { "type": "integer" },
                "name": { "type": ["string", "null"] },
                "inner": { "$ref": "#/components/schemas/Inner", "description": "It." },
            },
            "required": ["count"],
        });
        let patch = patch_of(&whole).to_value();
        assert!(patch.get("required").is_none());
        let inner = json!({ "$ref": "#/components/schemas/Inner" });
        let expected = json!({
            "count": { "type": ["integer", "null"] },
            "name": { "type": ["string", "null"] },
            "inner": { "anyOf": [inner, { "type": "null" }], "description": "It." },
        });
        assert_eq!(patch["properties"], expected);
    }

    #[test]
    fn a_choice_between_constants_becomes_a_list() {
        let mut schema = schemars::json_schema!({
            "description": "How it is, see [`Other`].",
            "oneOf": [
                { "type": "string", "const": "on", "description": "It shines." },
                { "type": "string", "const": "off", "description": "`off`" },
            ],
        });
        simpler(&mut schema);
        let expected = json!({
            "description": "How it is, see `Other`.\n- `on`: It shines.", "type": "string", "enum": ["on", "off"],
        });
        assert_eq!(schema.to_value(), expected);
    }
}
