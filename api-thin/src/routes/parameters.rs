//! Reading query parameters and fields of bodies: pages, names, slugs.

use std::fmt;
use std::str::FromStr;

use jobs::queue::ListCursor;
use jobs::tenant::TenantId;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::accounts::SlugFault;
use crate::config::RequestLimits;
use crate::problem::{Code, Problem, shown};
use crate::request::Distinct;
use crate::state::ApiState;

const USUAL: u32 = 100;

/// The number of items on a page.
pub(super) fn page_limit(asked: Option<&str>) -> Result<u32, Problem> {
    let Some(asked) = asked else { return Ok(USUAL) };
    let limit = asked.parse().ok().filter(|limit| (1..=RequestLimits::PAGE).contains(limit));
    limit.ok_or_else(|| {
        invalid_parameter("limit", &format!("expected 1 to {}, not `{}`", RequestLimits::PAGE, shown(asked)))
    })
}

/// A query parameter as a `T`, if it was sent.
pub(super) fn parameter<T>(name: &str, sent: Option<&str>) -> Result<Option<T>, Problem>
where
    T: FromStr<Err: fmt::Display>,
{
    sent.map(str::parse).transpose().map_err(|error: T::Err| invalid_parameter(name, &error.to_string()))
}

/// Where a page begins of a list that is read by key: `after` is the `next` of the page before.
pub(super) fn page_after<T: FromStr>(after: Option<&str>) -> Result<Option<T>, Problem> {
    let key = after.map(str::parse).transpose();
    key.map_err(|_| invalid_parameter("after", "expected the `next` of an earlier page"))
}

/// A query parameter that cannot be used.
pub(super) fn invalid_parameter(parameter: &str, problem: &str) -> Problem {
    Problem::new(Code::InvalidQuery, format!("`{parameter}`: {problem}")).field(parameter)
}

/// The page that a request asks for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Paging {
    /// The `next` of the page before.
    pub(super) after: Option<String>,
    /// How many to show: 1 to 1000, 100 by default.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    pub(super) limit: Option<String>,
}

impl Paging {
    /// A page of a short list that was read whole, in the order of its keys, and where the next one begins.
    pub(super) fn cut<T>(
        &self,
        mut items: Vec<T>,
        key: impl Fn(&T) -> String,
    ) -> Result<(Vec<T>, Option<String>), Problem> {
        let limit = usize::try_from(page_limit(self.limit.as_deref())?).unwrap_or(usize::MAX);
        items.sort_by_cached_key(&key);
        items.retain(|item| self.after.as_ref().is_none_or(|after| key(item) > *after));
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(key);
        Ok((items, next))
    }
}

/// Where a page of a tenant's jobs begins: `after` is the `next` of the page before, which only this tenant can use.
pub(super) fn jobs_after(
    app: &ApiState,
    tenant: &TenantId,
    after: Option<&str>,
) -> Result<Option<ListCursor>, Problem> {
    let Some(sealed) = after else { return Ok(None) };
    let cursor = app.key_derivation().unseal(&purpose(tenant), sealed).and_then(|text| text.parse().ok());
    cursor.map(Some).ok_or_else(|| invalid_parameter("after", "expected the `next` of an earlier page"))
}

/// The `next` of a page of jobs. It is sealed because it names the job at which the page ended, which the caller may
/// not be allowed to see.
pub(super) fn jobs_next(app: &ApiState, tenant: &TenantId, next: Option<ListCursor>) -> Option<String> {
    next.map(|cursor| app.key_derivation().seal(&purpose(tenant), &cursor.to_string()))
}

fn purpose(tenant: &TenantId) -> String {
    format!("where a page of the jobs of {tenant} ended")
}

pub(super) fn text(field: &str, value: String, max_chars: usize) -> Result<String, Problem> {
    let printable = !value.trim().is_empty() && !value.chars().any(char::is_control);
    if printable && value.chars().count() <= max_chars {
        Ok(value)
    } else {
        Err(invalid_field(field, format!("expected 1 to {max_chars} printable characters")))
    }
}

/// A field of a patch that is there, if only as `null`.
pub(super) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Distinct::deserialize(deserializer).map(|Distinct(value)| Some(value))
}

pub(super) fn invalid_field(field: &str, problem: String) -> Problem {
    Problem::new(Code::InvalidField, problem).field(field)
}

pub(super) fn refused_slug(field: &str, fault: SlugFault) -> Problem {
    let code = match fault {
        SlugFault::Shape => Code::InvalidSlug,
        SlugFault::Reserved => Code::ReservedSlug,
    };
    Problem::new(code, fault.to_string()).field(field)
}

/// The body of a request without fields: an empty object.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_list_is_cut_by_key() {
        let cut = |after: Option<&str>, limit: u32| {
            let paging = Paging { after: after.map(str::to_owned), limit: Some(limit.to_string()) };
            paging.cut(vec!["c", "a", "b"], |item| (*item).to_owned()).unwrap()
        };
        assert_eq!(cut(None, 2), (vec!["a", "b"], Some("b".to_owned())));
        assert_eq!(cut(Some("b"), 2), (vec!["c"], None));
        assert_eq!(cut(None, 3), (vec!["a", "b", "c"], None));
        assert_eq!(cut(Some("aa"), 1), (vec!["b"], Some("b".to_owned())), "a key that has gone");
        assert!(
            Paging { after: None, limit: Some("0".into()) }.cut(Vec::<String>::new(), String::clone).is_err()
        );
    }
}
