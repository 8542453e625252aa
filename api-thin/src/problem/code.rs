use std::fmt;

use axum::http::StatusCode;
use jobs::plan::Quota;

macro_rules! codes {
    ($($variant:ident = $text:literal, $status:ident, $title:literal;)+) => {
        /// Why a request was refused, for programs. Texts may be reworded, codes may not.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $text, "`: ", $title)] $variant),+
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it stands in the answer.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The status of the answer.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),+ }
            }

            /// What kind of problem this is, in words that do not depend on the request.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

codes! {
    MalformedRequest = "malformed_request", BAD_REQUEST, "The request cannot be read";
    MalformedJson = "malformed_json", BAD_REQUEST, "The body is not JSON";
    UnknownField = "unknown_field", BAD_REQUEST, "The request has a field that is not known";
    InvalidField = "invalid_field", BAD_REQUEST, "A field is missing or cannot be used";
    InvalidQuery = "invalid_query", BAD_REQUEST, "A query parameter cannot be used";
    InvalidIdempotencyKey = "invalid_idempotency_key", BAD_REQUEST, "The Idempotency-Key cannot be used";
    InvalidBatchId = "invalid_batch_id", BAD_REQUEST, "The Batch-Id cannot be used";
    InvalidLane = "invalid_lane", BAD_REQUEST, "The Lane cannot be used";
    InvalidAuditReason = "invalid_audit_reason", BAD_REQUEST, "The Audit-Reason cannot be used";
    MalformedMultipart = "malformed_multipart", BAD_REQUEST, "The body is not multipart/form-data";
    TenantRequired = "tenant_required", BAD_REQUEST, "The request does not say which tenant it is about";
    TenantConflict = "tenant_conflict", BAD_REQUEST, "Path and headers name different tenants";
    InvalidHost = "invalid_host", BAD_REQUEST, "The host name cannot be read";
    ForwardedHostUntrusted =
        "forwarded_host_untrusted", BAD_REQUEST, "The host name is forwarded by a peer that is not trusted";
    KbRequired = "kb_required", BAD_REQUEST, "The request does not say which knowledge base it is about";
    KbConflict = "kb_conflict", BAD_REQUEST, "Path and headers name different knowledge bases";
    InvalidDocumentName = "invalid_document_name", BAD_REQUEST, "The document's name cannot be used";
    EmptyDocument = "empty_document", BAD_REQUEST, "The document is empty";
    NotUtf8 = "not_utf8", BAD_REQUEST, "The text is not UTF-8";
    NoDocuments = "no_documents", BAD_REQUEST, "The request has no documents";
    TooManyDocuments = "too_many_documents", BAD_REQUEST, "The request has too many documents";
    DuplicateDocument = "duplicate_document", BAD_REQUEST, "Two documents of the request have the same name";
    InvalidCron = "invalid_cron", BAD_REQUEST, "The cron expression cannot be used";
    InvalidTimeZone = "invalid_time_zone", BAD_REQUEST, "The time zone is not known";
    ScheduleTooFrequent = "schedule_too_frequent", BAD_REQUEST, "The schedule fires too often";
    InvalidSlug = "invalid_slug", BAD_REQUEST, "The slug cannot be part of a host name";
    ReservedSlug = "reserved_slug", BAD_REQUEST, "The slug is reserved";
    CredentialsMissing = "credentials_missing", UNAUTHORIZED, "The request has no credentials";
    CredentialsInvalid = "credentials_invalid", UNAUTHORIZED, "The credentials are not valid";
    LoginFailed = "login_failed", UNAUTHORIZED, "The user name or the password is wrong";
    Forbidden = "forbidden", FORBIDDEN, "The credentials do not allow this";
    NoMembership = "no_membership", FORBIDDEN, "The user is not a member of the tenant";
    TenantMismatch = "tenant_mismatch", FORBIDDEN, "The credentials are for another tenant";
    TenantSuspended = "tenant_suspended", FORBIDDEN, "The tenant is suspended";
    NotFound = "not_found", NOT_FOUND, "There is no such thing";
    InvitationInvalid = "invitation_invalid", NOT_FOUND, "The invitation is not open";
    UnknownRoute = "unknown_route", NOT_FOUND, "There is no such route";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The route does not know this method";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "The request took too long";
    TenantNotReady = "tenant_not_ready", CONFLICT, "The tenant is still being prepared";
    TenantExists = "tenant_exists", CONFLICT, "The tenant exists already";
    SlugTaken = "slug_taken", CONFLICT, "Another tenant is called so";
    MemberExists = "member_exists", CONFLICT, "The tenant has this member already";
    InvitationExists = "invitation_exists", CONFLICT, "The tenant has an open invitation for this subject";
    LastAdmin = "last_admin", CONFLICT, "The tenant would be left without an ADMIN";
    ApiKeyExists = "api_key_exists", CONFLICT, "The tenant has an API key of this name already";
    ApiKeyExpired = "api_key_expired", CONFLICT, "The API key has expired";
    WebhookDisabled = "webhook_disabled", CONFLICT, "The webhook is disabled";
    UserExists = "user_exists", CONFLICT, "The user exists already";
    KbExists = "kb_exists", CONFLICT, "The knowledge base exists already";
    UploadConflict = "upload_conflict", CONFLICT, "The same document is being uploaded by others";
    NotPartial = "not_partial", CONFLICT, "The document is not partial";
    BatchCancelled = "batch_cancelled", CONFLICT, "The batch was cancelled";
    UniqueKeyTaken = "unique_key_taken", CONFLICT, "Another job has the unique key of this one";
    PreconditionFailed = "precondition_failed", PRECONDITION_FAILED, "It was changed meanwhile";
    DocumentTooLarge = "document_too_large", PAYLOAD_TOO_LARGE, "The document is too large";
    RequestTooLarge = "request_too_large", PAYLOAD_TOO_LARGE, "The request is too large";
    UnsupportedMediaType =
        "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "Documents of this type cannot be read";
    UnsupportedContentType =
        "unsupported_content_type", UNSUPPORTED_MEDIA_TYPE, "The route does not take this content type";
    IdempotencyKeyReused =
        "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The Idempotency-Key stands for another request";
    LimitReached = "limit_reached", TOO_MANY_REQUESTS, "The tenant has as much in the queue as it may";
    DocumentsLimitReached =
        "documents_limit_reached", TOO_MANY_REQUESTS, "The tenant has as many documents as it may";
    StorageLimitReached = "storage_limit_reached", TOO_MANY_REQUESTS, "The tenant stores as much as it may";
    KbsLimitReached =
        "kbs_limit_reached", TOO_MANY_REQUESTS, "The tenant has as many knowledge bases as it may";
    EntitiesLimitReached =
        "entities_limit_reached", TOO_MANY_REQUESTS, "The knowledge base has as many entities as it may";
    RelationsLimitReached =
        "relations_limit_reached", TOO_MANY_REQUESTS, "The knowledge base has as many relations as it may";
    MembersLimitReached =
        "members_limit_reached", TOO_MANY_REQUESTS, "The tenant has as many members as it may";
    InvitationsLimitReached =
        "invitations_limit_reached", TOO_MANY_REQUESTS, "The tenant has as many open invitations as it may";
    DailyJobsLimitReached =
        "daily_jobs_limit_reached", TOO_MANY_REQUESTS, "The tenant asked for as many jobs today as it may";
    SchedulesLimitReached =
        "schedules_limit_reached", TOO_MANY_REQUESTS, "The tenant has as many schedules as it may";
    ApiKeysLimitReached =
        "api_keys_limit_reached", TOO_MANY_REQUESTS, "The tenant has as many API keys as it may";
    WebhooksLimitReached = "webhooks_limit_reached", TOO_MANY_REQUESTS, "The tenant has as many webhooks as it may";
    IdempotencyKeysLimitReached =
        "idempotency_keys_limit_reached", TOO_MANY_REQUESTS, "The tenant has as many Idempotency-Keys as it may";
    ApiCallsLimitReached =
        "api_calls_limit_reached", TOO_MANY_REQUESTS, "The tenant sent as many requests today or this month as it may";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "The tenant sends requests faster than it may";
    QueriesLimitReached =
        "queries_limit_reached", TOO_MANY_REQUESTS, "The tenant runs as many queries at once as it may";
    ListenersLimitReached =
        "listeners_limit_reached", TOO_MANY_REQUESTS, "The tenant has as many listeners as it may";
    TooManyAttempts = "too_many_attempts", TOO_MANY_REQUESTS, "Too many attempts";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "A server that we need does not answer";
    Busy = "busy", SERVICE_UNAVAILABLE, "Too much at once";
}

impl Code {
    /// The code of a quota that is used up.
    #[must_use]
    pub const fn of_quota(quota: Quota) -> Self {
        match quota {
            Quota::MaxDocuments => Self::DocumentsLimitReached,
            Quota::StorageBytes => Self::StorageLimitReached,
            Quota::ConcurrentQueries => Self::QueriesLimitReached,
            Quota::ApiCallsPerDay | Quota::ApiCallsPerMonth => Self::ApiCallsLimitReached,
            Quota::RequestsPerMinute => Self::RateLimited,
            Quota::Kbs => Self::KbsLimitReached,
            Quota::EntitiesPerKb => Self::EntitiesLimitReached,
            Quota::RelationsPerKb => Self::RelationsLimitReached,
            Quota::Members => Self::MembersLimitReached,
            Quota::DailyJobs => Self::DailyJobsLimitReached,
            Quota::MaxSchedules => Self::SchedulesLimitReached,
            Quota::MaxApiKeys => Self::ApiKeysLimitReached,
            Quota::MaxWebhooks => Self::WebhooksLimitReached,
            Quota::IdempotencyKeys => Self::IdempotencyKeysLimitReached,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_readme_lists_every_code_with_its_status() {
        let readme = include_str!("../../README.md");
        let listed: BTreeSet<_> = readme.lines().filter_map(row).collect();
        let known: BTreeSet<_> =
            Code::ALL.iter().map(|code| (code.as_str().to_owned(), code.status().as_u16())).collect();
        assert_eq!(known.len(), Code::ALL.len(), "two codes have the same text");
        assert_eq!(listed, known, "the table of codes in api-thin/README.md is not Code::ALL");
    }

    /// Reads "| `code` | 400 | … |". Settings, which are in capitals, have numbers there too.
    fn row(line: &str) -> Option<(String, u16)> {
        let (code, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        if code.chars().any(|letter| letter.is_ascii_uppercase()) {
            return None;
        }
        let (status, _) = rest.split_once(" |")?;
        Some((code.to_owned(), status.parse().ok()?))
    }
}
