//! Reads bodies and queries strictly: a struct is an object and nothing else, and errors name the path of the value.
//!
//! serde accepts a list instead of any struct, with the values in the order of the fields. Unknown and duplicate
//! fields could not be refused that way, and adding a field would change the meaning of such a body.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer as _, MapAccess,
    SeqAccess, Visitor,
};

use crate::problem::{Code, Problem, shown};

/// Reads a `T`.
///
/// # Errors
/// The error of `deserializer`, and where it was met.
pub(crate) fn read<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, Misfit<D::Error>> {
    let place = Place::default();
    let read = T::deserialize(Strict { inner: deserializer, place: &place });
    read.map_err(|error| Misfit { error, place: place.text() })
}

/// Why a value could not be read.
#[derive(Debug)]
pub(crate) struct Misfit<E> {
    pub(crate) error: E,
    /// Such as `documents[1].text`; empty for the value as a whole.
    place: String,
}

impl<E: fmt::Display> Misfit<E> {
    /// The problem, with `code` unless a field is not known and `unknown` says so.
    pub(crate) fn problem(&self, code: Code, unknown: Code) -> Problem {
        let text = self.error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
        if let Some((name, known)) = named(text, "unknown field `") {
            let known = known.strip_prefix(", ").unwrap_or("it takes no fields");
            let field = self.below(name);
            return Problem::new(unknown, format!("`{field}` is not known: {known}")).field(field);
        }
        if let Some((name, _)) = named(text, "missing field `") {
            let field = self.below(name);
            return Problem::new(code, format!("`{field}` is missing")).field(field);
        }
        if let Some((name, _)) = named(text, "duplicate field `") {
            let field = self.below(name);
            return Problem::new(code, format!("`{field}` comes twice")).field(field);
        }
        let detail = expectation(text);
        if self.place.is_empty() {
            return Problem::new(code, detail);
        }
        Problem::new(code, format!("`{}`: {detail}", self.place)).field(self.place.clone())
    }

    fn below(&self, name: &str) -> String {
        if self.place.is_empty() { shown(name) } else { format!("{}.{}", self.place, shown(name)) }
    }
}

/// The name in backticks after `start`, and what follows it.
fn named<'a>(text: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    // The name may have backticks itself, what follows has them in pairs.
    let rest = text.strip_prefix(start)?;
    let end = rest.find("`, ").or_else(|| rest.rfind('`'))?;
    Some((&rest[..end], &rest[end + 1..]))
}

/// What serde says about a value, in the words of JSON.
fn expectation(text: &str) -> String {
    if let Some((name, known)) = named(text, "unknown variant `") {
        return format!("{}, not `{}`", known.trim_start_matches(", "), shown(name));
    }
    let kinds = ["invalid type: ", "invalid value: ", "invalid length "];
    let met = kinds
        .iter()
        .find_map(|kind| text.strip_prefix(kind))
        .and_then(|rest| rest.rsplit_once(", expected "));
    let Some((met, expected)) = met else { return text.to_owned() };
    format!("expected {}, not {}", kind_of(expected), value_of(met))
}

fn kind_of(expected: &str) -> &str {
    match expected {
        "a map" => "an object",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

fn value_of(met: &str) -> String {
    let inside = |start: &str| met.strip_prefix(start).and_then(|rest| rest.strip_suffix('`'));
    match met {
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        "unit value" => "null".to_owned(),
        _ => {
            let number = inside("integer `").or_else(|| inside("floating point `"));
            let value = number.or_else(|| inside("boolean `"));
            shown(value.unwrap_or(met))
        }
    }
}

/// Where reading failed, filled in on the way out, so innermost first.
#[derive(Default)]
struct Place(RefCell<Vec<Step>>);

enum Step {
    Name(String),
    At(usize),
}

impl Place {
    fn within(&self, step: Step) {
        self.0.borrow_mut().push(step);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for step in self.0.borrow().iter().rev() {
            match step {
                Step::Name(name) if text.is_empty() => text.push_str(&shown(name)),
                Step::Name(name) => {
                    text.push('.');
                    text.push_str(&shown(name));
                }
                Step::At(index) => text.extend(["[", &index.to_string(), "]"]),
            }
        }
        text
    }
}

/// A deserializer, visitor, seed or access whose structs are objects.
struct Strict<'p, T> {
    inner: T,
    place: &'p Place,
}

macro_rules! forward {
    ($($method:ident($($name:ident: $kind:ty),*);)+) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $kind,)* visitor: V) -> Result<V::Value, Self::Error> {
            self.inner.$method($($name,)* Strict { inner: visitor, place: self.place })
        })+
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<'_, D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.inner.deserialize_map(Strict { inner: visitor, place: self.place })
    }

    forward! {
        deserialize_any(); deserialize_bool(); deserialize_i8(); deserialize_i16(); deserialize_i32();
        deserialize_i64(); deserialize_i128(); deserialize_u8(); deserialize_u16(); deserialize_u32();
        deserialize_u64(); deserialize_u128(); deserialize_f32(); deserialize_f64(); deserialize_char();
        deserialize_str(); deserialize_string(); deserialize_bytes(); deserialize_byte_buf();
        deserialize_option(); deserialize_unit(); deserialize_seq(); deserialize_map();
        deserialize_identifier(); deserialize_ignored_any();
        deserialize_unit_struct(name: &'static str); deserialize_newtype_struct(name: &'static str);
        deserialize_tuple(length: usize); deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($kind:ty);)+) => {
        $(fn $method<E: Error>(self, value: $kind) -> Result<Self::Value, E> {
            self.inner.$method(value)
        })+
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.inner.expecting(formatter)
    }

    visit! {
        visit_bool(bool); visit_i64(i64); visit_i128(i128); visit_u64(u64); visit_u128(u128); visit_f64(f64);
        visit_char(char); visit_str(&str); visit_borrowed_str(&'de str); visit_string(String);
        visit_bytes(&[u8]); visit_borrowed_bytes(&'de [u8]); visit_byte_buf(Vec<u8>);
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Strict { inner, place: self.place })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Strict { inner, place: self.place })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Items { inner, place: self.place, at: 0 })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Fields { inner, place: self.place, name: String::new() })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(access)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Strict { inner, place: self.place })
    }
}

struct Items<'p, A> {
    inner: A,
    place: &'p Place,
    at: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let item = self.inner.next_element_seed(Strict { inner: seed, place: self.place });
        let item = item.inspect_err(|_| self.place.within(Step::At(self.at)));
        self.at += 1;
        item
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct Fields<'p, A> {
    inner: A,
    place: &'p Place,
    name: String,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let Some(name) = self.inner.next_key::<String>()? else { return Ok(None) };
        let key = seed.deserialize(name.as_str().into_deserializer())?;
        self.name = name;
        Ok(Some(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let value = self.inner.next_value_seed(Strict { inner: seed, place: self.place });
        value.inspect_err(|_| self.place.within(Step::Name(std::mem::take(&mut self.name))))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the reading matters")]
    struct Batch {
        documents: Vec<Document>,
        owner: Option<Document>,
        caps: Option<BTreeMap<String, u32>>,
        colour: Option<Colour>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the reading matters")]
    struct Document {
        name: String,
        text: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        Red,
        Blue,
    }

    fn refusal(value: &Value) -> (Code, Option<String>, String) {
        let text = value.to_string();
        let problem =
            |misfit: Misfit<serde_json::Error>| misfit.problem(Code::InvalidField, Code::UnknownField);
        let read_text = read::<Batch, _>(&mut serde_json::Deserializer::from_str(&text)).map_err(problem);
        let read_value = read::<Batch, _>(value).map_err(problem);
        let (of_text, of_value) = (read_text.expect_err(&text), read_value.expect_err(&text));
        assert_eq!(of_text.detail(), of_value.detail());
        (of_text.code(), of_text.field_name().map(str::to_owned), of_text.detail().to_owned())
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let good = json!({ "name": "a" });
        for (bad, field, detail) in [
            (json!([[good]]), "", "expected an object, not a list"),
            (json!(null), "", "expected an object, not null"),
            (json!({ "documents": good }), "documents", "`documents`: expected a list, not an object"),
            (
                json!({ "documents": [good, ["b", "x"]] }),
                "documents[1]",
                "`documents[1]`: expected an object, not a list",
            ),
            (json!({ "documents": [], "owner": ["b"] }), "owner", "`owner`: expected an object, not a list"),
            (
                json!({ "documents": [good, { "name": "b", "text": 5 }] }),
                "documents[1].text",
                "`documents[1].text`: expected a string, not 5",
            ),
            (json!({ "documents": [{}] }), "documents[0].name", "`documents[0].name` is missing"),
            (
                json!({ "documents": [{ "name": "a", "x`y": 1 }] }),
                "documents[0].x`y",
                "`documents[0].x`y` is not known: expected `name` or `text`",
            ),
            (
                json!({ "documents": [], "caps": { "a.b": "two" } }),
                "caps.a.b",
                "`caps.a.b`: expected a whole number, not string \"two\"",
            ),
            (
                json!({ "documents": [], "caps": { "a": 1.5 } }),
                "caps.a",
                "`caps.a`: expected a whole number, not 1.5",
            ),
            (
                json!({ "documents": [], "colour": "green" }),
                "colour",
                "`colour`: expected `red` or `blue`, not `green`",
            ),
        ] {
            let (code, place, text) = refusal(&bad);
            assert_eq!((place.as_deref().unwrap_or_default(), text.as_str()), (field, detail));
            assert_eq!(
                code,
                if detail.contains("not known") { Code::UnknownField } else { Code::InvalidField }
            );
        }
        let long = "x".repeat(10_000);
        let (_, _, text) =
            refusal(&json!({ "documents": [{ "name": { "a": 1 } }], "colour": long, &long: 1 }));
        assert!(text.len() < 400, "{text}");
    }

    #[test]
    fn what_comes_twice_is_named() {
        let text = r#"{"documents":[{"name":"a","name":"b"}]}"#;
        let misfit = read::<Batch, _>(&mut serde_json::Deserializer::from_str(text)).unwrap_err();
        let problem = misfit.problem(Code::InvalidField, Code::UnknownField);
        assert_eq!(problem.detail(), "`documents[0].name` comes twice");
        assert_eq!(problem.field_name(), Some("documents[0].name"));
    }

    #[test]
    fn what_fits_is_read() {
        let good =
            json!({ "documents": [{ "name": "a", "text": null }], "caps": { "a.b": 2 }, "colour": "red" });
        let batch = read::<Batch, _>(&good).unwrap();
        assert!(matches!(batch.colour, Some(Colour::Red)));
        assert_eq!(batch.caps.unwrap()["a.b"], 2);
    }
}
