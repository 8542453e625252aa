use aide::openapi::{MediaType, SchemaObject};
use schemars::Schema;

/// A schema where the description wants one.
pub(super) fn shape(json_schema: Schema) -> SchemaObject {
    SchemaObject { json_schema, external_docs: None, example: None }
}

/// What a body of one media type is. Fits wherever the description wants a map.
pub(super) fn content<Map: FromIterator<(String, MediaType)>>(media_type: &str, schema: Schema) -> Map {
    let described = MediaType { schema: Some(shape(schema)), ..MediaType::default() };
    [(media_type.to_owned(), described)].into_iter().collect()
}
