use aide::openapi::{
    HeaderStyle, OpenApi, Operation, Parameter, ParameterData, ParameterSchemaOrContent, PathStyle,
    ReferenceOr,
};
use schemars::{Schema, json_schema};

use super::content::shape;
use super::document::{API_KEY, BEARER};
use super::responses::refusals_of;
use crate::routes::{Access, ROUTES, Route, Scope};

/// Adds to each operation what the table of routes says of it.
pub(super) fn describe(api: &mut OpenApi) {
    for route in ROUTES {
        for place in route.places() {
            if let Some(operation) = operation(api, &place, route.method) {
                complete(operation, route, &place);
            }
        }
    }
}

fn operation<'a>(api: &'a mut OpenApi, path: &str, method: &str) -> Option<&'a mut Operation> {
    let ReferenceOr::Item(item) = api.paths.as_mut()?.paths.get_mut(path)? else { return None };
    match method {
        "get" => item.get.as_mut(),
        "put" => item.put.as_mut(),
        "post" => item.post.as_mut(),
        "patch" => item.patch.as_mut(),
        "delete" => item.delete.as_mut(),
        _ => None,
    }
}

fn complete(operation: &mut Operation, route: &Route, place: &str) {
    let named_elsewhere = route.scope == Scope::Tenant && !place.contains("{tenant}");
    let id = route.handler.replace("::", "_");
    operation.operation_id = Some(if named_elsewhere { format!("own_{id}") } else { id });
    operation.summary = Some(route.summary.to_owned());
    operation.description = who(route.access);
    operation.tags = vec![tag(route, named_elsewhere)];
    operation.parameters.splice(0..0, missing_parameters(operation, place));
    if named_elsewhere {
        operation.parameters.push(tenant_header());
    }
    operation.security = match route.access {
        Access::Everybody => Vec::new(),
        _ => [BEARER, API_KEY].map(|name| [(name.to_owned(), Vec::new())].into_iter().collect()).to_vec(),
    };
    let responses = operation.responses.get_or_insert_default();
    responses.default = None;
    responses.responses.extend(refusals_of(route));
}

/// Who may ask, in words.
fn who(access: Access) -> Option<String> {
    match access {
        Access::Everybody => None,
        Access::Credentials => Some("Whoever has good credentials.".to_owned()),
        Access::Operator => Some("The operator.".to_owned()),
        Access::Members(None) => Some("Members of the tenant, and the operator.".to_owned()),
        Access::Members(Some(permission)) => Some(format!("Needs the permission `{permission}`.")),
    }
}

fn tag(route: &Route, named_elsewhere: bool) -> String {
    let module = route.handler.split("::").next().unwrap_or_default().replace('_', " ");
    if named_elsewhere { format!("{module}, of the caller's tenant") } else { module }
}

/// The groups of operations, in the order of the table; those that name the tenant in the path first.
pub(super) fn tags() -> Vec<String> {
    let mut tags = Vec::new();
    for named_elsewhere in [false, true] {
        let routes = ROUTES.iter().filter(|route| !named_elsewhere || route.scope == Scope::Tenant);
        for tag in routes.map(|route| tag(route, named_elsewhere)) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    tags
}

/// The parameters of a path that its handler leaves to the extractors that let the caller in.
fn missing_parameters(operation: &Operation, place: &str) -> Vec<ReferenceOr<Parameter>> {
    let known = |name: &str| {
        let data = |parameter: &ReferenceOr<Parameter>| {
            parameter.as_item().is_some_and(|parameter| parameter.parameter_data_ref().name == name)
        };
        operation.parameters.iter().any(data)
    };
    let names = place.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.filter(|name| !known(name)).map(path_parameter).collect()
}

fn path_parameter(name: &str) -> ReferenceOr<Parameter> {
    let schema = match name {
        "tenant" => json_schema!({ "$ref": "#/components/schemas/TenantId" }),
        "kb" => json_schema!({ "$ref": "#/components/schemas/KbId" }),
        _ => json_schema!({ "type": "string" }),
    };
    let parameter_data = parameter(name, true, None, schema);
    ReferenceOr::Item(Parameter::Path { parameter_data, style: PathStyle::default() })
}

fn tenant_header() -> ReferenceOr<Parameter> {
    let description = "Which tenant is meant, where the credentials do not say so. They must not contradict.";
    let schema = json_schema!({ "$ref": "#/components/schemas/TenantId" });
    let parameter_data = parameter("X-Tenant-ID", false, Some(description), schema);
    ReferenceOr::Item(Parameter::Header { parameter_data, style: HeaderStyle::default() })
}

fn parameter(name: &str, required: bool, description: Option<&str>, schema: Schema) -> ParameterData {
    ParameterData {
        name: name.to_owned(),
        description: description.map(str::to_owned),
        required,
        deprecated: None,
        format: ParameterSchemaOrContent::Schema(shape(schema)),
        example: None,
        examples: [].into(),
        explode: None,
        extensions: [].into(),
    }
}
