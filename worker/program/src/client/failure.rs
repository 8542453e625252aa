//! Why a command could not do its work: what it says on standard error, and the exit code for scripts.

use std::fmt::Write as _;

use api_thin::program::Ending;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use super::output::plain;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The command line, the environment or the profile cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The work was done, and some of it ended badly.
    #[error("{0}")]
    Failed(String),
    /// There was no answer, or none of this API.
    #[error("{url} {reason}")]
    Unreachable { url: String, reason: String },
    /// The API refused.
    #[error("{}", .0.title)]
    Refused(Box<Problem>),
}

/// A refusal of the API (RFC 9457).
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) title: String,
    pub(super) detail: String,
    pub(super) code: String,
    #[serde(skip)]
    pub(super) retry_after_s: Option<u64>,
    #[serde(skip)]
    request_id: Option<String>,
}

/// Work that ended badly, or a fault of the API.
const FAILED: u8 = 1;
/// The same that a mistyped flag ends with.
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const REFUSED: u8 = 4;
const UNREACHABLE: u8 = 5;
/// The same command may succeed later.
const LATER: u8 = 6;

impl Failure {
    /// Reads an answer that is no success.
    pub(super) fn of_answer(url: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let retry_after_s = header(RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
        if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
            let request_id = header("x-request-id").map(str::to_owned);
            Self::Refused(Box::new(Problem { retry_after_s, request_id, ..problem }))
        } else {
            let reason = format!("answers HTTP {}, and not as Tenantry's API does", status.as_u16());
            Self::Unreachable { url: url.to_owned(), reason }
        }
    }

    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Failed(_) => FAILED,
            Self::Unreachable { .. } => UNREACHABLE,
            Self::Refused(problem) => match problem.status {
                404 => NOT_FOUND,
                429 => LATER,
                500 => FAILED,
                502..=504 => UNREACHABLE,
                _ => REFUSED,
            },
        }
    }

    /// After how many seconds the same request may succeed, if that is soon.
    pub(super) fn passes_in_s(&self) -> Option<u64> {
        match self {
            Self::Unreachable { .. } => Some(1),
            Self::Refused(problem) => problem.retry_after_s.filter(|seconds| *seconds <= 60),
            Self::Usage(_) | Self::Failed(_) => None,
        }
    }

    /// What happened, and what to do.
    fn text(&self) -> String {
        let mut text = format!("error: {}", plain(&self.to_string()));
        let mut line = |name: &str, said: &str| {
            let _ = write!(text, "\n  {name:<7} {}", plain(said));
        };
        match self {
            Self::Usage(_) | Self::Failed(_) => {}
            Self::Unreachable { .. } => line(
                "to do",
                "start it (`tenantry dev` or `tenantry api`), or correct the URL: --url, TENANTRY_URL or \
                 `tenantry profile set`",
            ),
            Self::Refused(problem) => {
                line("detail", &problem.detail);
                line("code", &format!("{} (HTTP {})", problem.code, problem.status));
                if let Some(to_do) = problem.to_do() {
                    line("to do", &to_do);
                }
                if let Some(id) = &problem.request_id {
                    line("request", id);
                }
            }
        }
        text
    }
}

impl Problem {
    /// What to do at the command line, where the detail does not say it already.
    fn to_do(&self) -> Option<String> {
        let to_do = match self.code.as_str() {
            "credentials_missing" => "give a key: --key, TENANTRY_KEY or `tenantry profile set NAME --key -`",
            "credentials_invalid" => {
                "the key is mistyped, revoked, expired or of another installation: `tenantry profile set NAME \
                 --key -` stores another"
            }
            "tenant_mismatch" => "use a key of that tenant or the operator's, or leave out --tenant",
            "tenant_required" => "name the tenant: --tenant, or `tenantry profile set NAME --tenant TENANT`",
            "forbidden" => {
                "use credentials that allow it: the operator's, or of a role that does (`tenantry keys create`)"
            }
            "not_found" => {
                "see what there is with `list` in place of this command; another tenant's things are not"
            }
            "unknown_route" => "the API is older than this program: `tenantry doctor` compares them",
            "tenant_not_ready" => "wait until `tenantry tenants show` says active",
            "internal" => "look for the request in the API's log",
            "unavailable" | "busy" => "`tenantry doctor` says which server is away",
            _ => return self.retry_after_s.map(|seconds| format!("try again in {seconds} s")),
        };
        Some(to_do.to_owned())
    }
}

/// How a program ends that failed with any error.
#[must_use]
pub fn ending(error: &anyhow::Error) -> Ending {
    match error.downcast_ref::<Failure>() {
        Some(failure) => Ending { text: failure.text(), code: failure.code() },
        None => Ending::of(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Failure {
        let body =
            format!(r#"{{"status":{status},"title":"No","detail":"not\u001b[2J now","code":"{code}"}}"#);
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        headers.insert("x-request-id", "r-1".parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        Failure::of_answer("http://here", status, &headers, body.as_bytes())
    }

    #[test]
    fn exit_codes_tell_scripts_what_to_do() {
        let codes = [(404, 3), (401, 4), (403, 4), (409, 4), (429, 6), (500, 1), (503, 5)];
        for (status, code) in codes {
            assert_eq!(refused(status, "x").code(), code, "{status}");
        }
        let page = Failure::of_answer("http://here", StatusCode::NOT_FOUND, &HeaderMap::new(), b"<html>");
        assert_eq!(page.code(), 5, "{page}");
    }

    #[test]
    fn a_refusal_says_what_happened_and_what_to_do_and_nothing_to_the_terminal() {
        let text = refused(429, "rate_limited").text();
        assert_eq!(
            text,
            "error: No\n  detail  not\\u{1b}[2J now\n  code    rate_limited (HTTP 429)\n  to do   try again in 7 s\n  \
             request r-1"
        );
        assert!(refused(403, "forbidden").text().contains("`tenantry keys create`"));
    }
}
