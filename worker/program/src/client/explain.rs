//! Why a job does not run, in a sentence, and what would help, as commands.

use serde_json::{Value, json};

use super::connection::Session;
use super::failure::Failure;
use super::output::{plain, text};

/// Explains a job of a tenant as the API shows it.
pub(super) fn explain(session: &Session, tenant: &str, job: &Value) -> Result<(), Failure> {
    let said = Said::of(tenant, job);
    session.output.report(&said.json(job), &said.lines())
}

/// What there is to say of a job.
struct Said {
    sentence: String,
    waits: Vec<Wait>,
}

/// One reason that a job waits, and what would help.
struct Wait {
    code: String,
    text: String,
    help: Option<String>,
}

impl Said {
    fn of(tenant: &str, job: &Value) -> Self {
        let field = |name: &str| text(&job[name]);
        let (id, kind, state) = (field("id"), field("type"), field("state"));
        let waits = job["waits_for"].as_array().into_iter().flatten();
        let waits: Vec<Wait> = waits.map(|wait| Wait::of(tenant, job, wait)).collect();
        let error = || format!("{} ({})", text(&job["error"]["detail"]), text(&job["error"]["code"]));
        let what = match state.as_str() {
            "active" => format!("is running, its attempt {}", field("attempt")),
            "completed" => format!("is done since {}", field("finished_at")),
            "cancelled" => "was cancelled".to_owned(),
            "discarded" => format!(
                "failed for good: {}. `tenantry dead-letters retry {id} --tenant {tenant}` starts it again",
                error()
            ),
            "quarantined" => format!(
                "may not run: {}. `tenantry dead-letters show {id} --tenant {tenant}` shows it",
                error()
            ),
            "retryable" if job["error"]["code"] == "waits" => "found what it needs busy or away".to_owned(),
            "retryable" => format!("failed and is tried again: {}", error()),
            other => format!("is {other}"),
        };
        let reasons: Vec<_> = waits.iter().map(|wait| wait.text.as_str()).collect();
        let why =
            if reasons.is_empty() { String::new() } else { format!(" and waits: {}", reasons.join("; ")) };
        Self { sentence: format!("{id} ({kind}) of {tenant} {what}{why}"), waits }
    }

    fn lines(&self) -> String {
        let helps = self.waits.iter().filter_map(|wait| Some((&wait.code, wait.help.as_ref()?)));
        let helps = helps.map(|(code, help)| format!("- {}: {}", plain(code), plain(help)));
        std::iter::once(plain(&self.sentence)).chain(helps).collect::<Vec<_>>().join("\n")
    }

    fn json(&self, job: &Value) -> Value {
        let waits = self.waits.iter();
        let waits =
            waits.map(|Wait { code, text, help }| json!({ "code": code, "text": text, "help": help }));
        json!({ "id": job["id"], "state": job["state"], "sentence": self.sentence,
            "waits_for": waits.collect::<Vec<_>>() })
    }
}

impl Wait {
    fn of(tenant: &str, job: &Value, wait: &Value) -> Self {
        let (code, said) = (text(&wait["code"]), text(&wait["text"]));
        let (kind, queue) = (text(&job["type"]), text(&job["queue"]));
        let limits = format!("`tenantry tenants set {tenant} --limit");
        let help = match code.as_str() {
            "tenant_suspended" => format!("`tenantry tenants resume {tenant}` lifts the suspension"),
            "tenant_paused" => format!("`tenantry queues resume --tenant {tenant}` ends the pause"),
            "tenant_queue_paused" => {
                format!("`tenantry queues resume {queue} --tenant {tenant}` ends the pause")
            }
            "queue_paused" => format!("`tenantry queues resume {queue} --all-tenants` ends the pause"),
            "no_worker" => {
                format!(
                    "start a worker that runs {kind}: `tenantry worker`; `tenantry workers skills` shows those there are"
                )
            }
            "cap" => format!("a higher cap, {limits} cap=N`, or wait until a job of {tenant} ends"),
            "type_cap" => {
                format!("a higher cap, {limits} type_caps.{kind}=N`, or wait until such a job ends")
            }
            "rate" => format!("a shorter interval, {limits} interval_ms=N`, or wait"),
            "jobs_ahead" => "it comes up by itself; `tenantry jobs tail` follows those ahead".to_owned(),
            "turn" => "it comes up by itself: its knowledge base has its turn with the others".to_owned(),
            "bulk" => format!("it comes up by itself; a higher cap, {limits} cap=N`, makes the turns shorter"),
            "tenants_ahead" => format!("more workers, or a larger share: {limits} weight=N`"),
            "free_worker" => {
                "more workers (`tenantry worker`) or more jobs in each (TENANTRY_CONCURRENCY); `tenantry workers list` \
                 shows those that were told to stop fetching"
                    .to_owned()
            }
            "delivery" => "`tenantry doctor` says what is wrong with the queue".to_owned(),
            "scheduled" | "retry" | "service" => format!(
                "it starts by itself then; `tenantry jobs reschedule {} --in 0s --tenant {tenant}` starts it now",
                text(&job["id"])
            ),
            "parked" => {
                "it comes back by itself when the cause is gone; `tenantry doctor` looks for it".to_owned()
            }
            _ => return Self { code, text: said, help: None },
        };
        Self { code, text: said, help: Some(help) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes in the API's README.
    fn codes() -> Vec<&'static str> {
        let readme = include_str!("../../../../api-thin/README.md");
        let (_, list) = readme.split_once("The codes are `scheduled`").unwrap();
        let (list, _) = list.split_once("while the queue").unwrap();
        let codes: Vec<_> = list.split('`').skip(1).step_by(2).chain(["scheduled"]).collect();
        assert!(codes.len() > 10, "{codes:?}");
        codes
    }

    #[test]
    fn something_helps_with_every_reason_that_the_api_names() {
        for code in codes() {
            let job = json!({ "id": "1", "type": "a.b", "queue": "q", "state": "available",
                "waits_for": [{ "code": code, "text": "so" }] });
            let said = Said::of("acme", &job);
            assert!(said.waits[0].help.is_some(), "{code}");
            let start = format!("1 (a.b) of acme is available and waits: so\n- {code}: ");
            assert!(said.lines().starts_with(&start), "{}", said.lines());
        }
    }

    #[test]
    fn a_job_that_ended_says_how() {
        let job = json!({ "id": "1", "type": "a.b", "state": "discarded", "waits_for": [],
            "error": { "code": "too_complex", "detail": "split it" } });
        assert_eq!(
            Said::of("acme", &job).lines(),
            "1 (a.b) of acme failed for good: split it (too_complex). `tenantry dead-letters retry 1 --tenant acme` \
             starts it again"
        );
    }
}
