//! Reading query parameters and fields of bodies: pages, names, slugs.

use std::fmt;
use std::str::FromStr;

use jobs::queue::ListCursor;
use jobs::tenant::TenantId;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

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

/// A page by its number, for clients that do not follow cursors. What comes and goes between two pages shifts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NumberedPage {
    /// 1 is the first.
    page: u32,
    pub(super) size: u32,
}

impl NumberedPage {
    /// `None` when the request asks for neither `page` nor `page_size`, so for a page by cursor.
    pub(super) fn asked(
        page: Option<&str>,
        page_size: Option<&str>,
        cursor: [Option<&str>; 2],
    ) -> Result<Option<Self>, Problem> {
        if page.is_none() && page_size.is_none() {
            return Ok(None);
        }
        if cursor.iter().any(Option::is_some) {
            let problem = "send page and page_size, or limit and after, and not both";
            return Err(invalid_parameter("page", problem));
        }
        let number = |name: &str, text: Option<&str>, usual: u32, most: u32| {
            let Some(text) = text else { return Ok(usual) };
            let number = text.parse().ok().filter(|number| (1..=most).contains(number));
            let expected = || format!("expected 1 to {most}, not `{}`", shown(text));
            number.ok_or_else(|| invalid_parameter(name, &expected()))
        };
        let size = number("page_size", page_size, USUAL, RequestLimits::PAGE)?;
        Ok(Some(Self { page: number("page", page, 1, MOST_PAGES)?, size }))
    }

    /// How many items the pages before it hold.
    pub(super) fn offset(self) -> u64 {
        u64::from(self.page - 1) * u64::from(self.size)
    }

    /// What the answer says of it.
    pub(super) fn of(self, total: u64) -> PageNumbers {
        PageNumbers { total, page: self.page, page_size: self.size }
    }

    /// The page of a short list that was read whole, in the order of its keys.
    pub(super) fn cut<T>(self, mut items: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, PageNumbers) {
        let numbers = self.of(items.len() as u64);
        items.sort_by_cached_key(&key);
        let offset = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        (items.into_iter().skip(offset).take(size).collect(), numbers)
    }
}

/// The number of the last page that can be asked for.
const MOST_PAGES: u32 = 1_000_000;

/// Where a page is in its list, for a request that asks by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct PageNumbers {
    /// How many there are in all.
    total: u64,
    page: u32,
    page_size: u32,
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

/// What people say of a thing: up to 2,000 characters, in several lines if need be; may be empty.
pub(super) fn description(value: String) -> Result<String, Problem> {
    let printable = value.chars().all(|letter| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t'));
    if printable && value.chars().count() <= DESCRIPTION {
        Ok(value)
    } else {
        let problem = format!("expected at most {DESCRIPTION} printable characters, line ends and tabs");
        Err(invalid_field("description", problem))
    }
}

const DESCRIPTION: usize = 2_000;

/// What is kept with a tenant: a JSON object, `null` for an empty one, of up to 16 KiB.
pub(super) fn metadata(value: Value) -> Result<Map<String, Value>, Problem> {
    let object = match value {
        Value::Object(object) => object,
        Value::Null => Map::new(),
        _ => return Err(invalid_field("metadata", "expected an object".to_owned())),
    };
    let bytes = serde_json::to_vec(&object).map_err(|error| Problem::internal(&error))?.len();
    if bytes > METADATA {
        let problem = format!("its {bytes} bytes as JSON are more than {METADATA}: keep a reference instead");
        return Err(invalid_field("metadata", problem));
    }
    Ok(object)
}

const METADATA: usize = 16 * 1_024;

/// The plan that metadata names, as some clients send it.
pub(super) fn plan_in(metadata: &Map<String, Value>) -> Result<Option<&str>, Problem> {
    match metadata.get("plan") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(plan)) => Ok(Some(plan)),
        Some(_) => Err(invalid_field("metadata.plan", "expected the name of a plan".to_owned())),
    }
}

/// Bytes in mebibytes, for people.
pub(super) fn megabytes(bytes: u64) -> f64 {
    const MEBIBYTE: f64 = 1_048_576.0;
    #[expect(clippy::cast_precision_loss, reason = "rounded to a thousandth all the same")]
    let rounded = (bytes as f64 / MEBIBYTE * 1_000.0).round() / 1_000.0;
    rounded
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
    fn a_page_by_number_is_within_bounds_and_has_no_cursor() {
        let asked =
            |page, size, cursor| NumberedPage::asked(page, size, cursor).map_err(|error| error.code());
        assert_eq!(asked(None, None, [Some("9"), Some("x")]), Ok(None));
        assert_eq!(asked(Some("3"), None, [None; 2]), Ok(Some(NumberedPage { page: 3, size: 100 })));
        assert_eq!(asked(None, Some("7"), [None; 2]), Ok(Some(NumberedPage { page: 1, size: 7 })));
        assert_eq!(NumberedPage { page: 3, size: 7 }.offset(), 14);
        for (page, size) in [("0", "1"), ("1", "0"), ("1", "1001"), ("x", "1"), ("-1", "1"), ("1000001", "1")]
        {
            assert_eq!(asked(Some(page), Some(size), [None; 2]), Err(Code::InvalidQuery), "{page} {size}");
        }
        assert_eq!(asked(Some("1"), None, [Some("9"), None]), Err(Code::InvalidQuery));
    }

    #[test]
    fn metadata_is_an_object_of_bounded_size() {
        let object = |length: usize| serde_json::json!({ "a": "x".repeat(length) });
        assert_eq!(metadata(Value::Null).unwrap(), Map::new());
        assert_eq!(Value::Object(metadata(object(METADATA - 8)).unwrap()), object(METADATA - 8));
        for bad in [object(METADATA - 7), serde_json::json!([1]), serde_json::json!("x")] {
            assert_eq!(metadata(bad).unwrap_err().field_name(), Some("metadata"));
        }
        let plan = |value: Value| plan_in(value.as_object().unwrap()).map(|plan| plan.map(str::to_owned));
        assert_eq!(plan(serde_json::json!({ "plan": "pro" })).unwrap().as_deref(), Some("pro"));
        assert_eq!(plan(serde_json::json!({ "plan": null })).unwrap(), None);
        assert_eq!(plan(serde_json::json!({ "plan": 3 })).unwrap_err().field_name(), Some("metadata.plan"));
        assert!((megabytes(1_572_864) - 1.5).abs() < f64::EPSILON);
    }

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
        let numbered = |page: u32, size: u32| {
            let cut = NumberedPage { page, size }.cut(vec!["c", "a", "b"], |item| (*item).to_owned());
            (cut.0.concat(), cut.1.total)
        };
        assert_eq!(
            (numbered(1, 2), numbered(2, 2), numbered(9, 2)),
            (("ab".into(), 3), ("c".into(), 3), (String::new(), 3))
        );
        assert!(
            Paging { after: None, limit: Some("0".into()) }.cut(Vec::<String>::new(), String::clone).is_err()
        );
    }
}
