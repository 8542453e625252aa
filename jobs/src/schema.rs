//! JSON schemas of types that serialize as text, for crates that describe an API with them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::id::{BatchId, DocumentId};
use crate::tenant::{Actor, ApiKeyId, Identity, KbId, Subject, TenantId};
use crate::webhook::{EventId, EventType, WebhookId};

macro_rules! texts {
    ($($name:ident: $description:literal, $key:literal = $value:literal, $example:literal;)+) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": $description,
                    $key: $value,
                    "examples": [$example],
                })
            }
        })+

        #[cfg(test)]
        const EXAMPLES: &[(fn(&str) -> bool, &str)] =
            &[$((|text| text.parse::<$name>().is_ok(), $example)),+];
    };
}

texts! {
    TenantId: "Names a tenant: a DNS label.",
        "pattern" = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "acme";
    KbId: "Names a knowledge base inside its tenant: a DNS label.",
        "pattern" = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "default";
    DocumentId: "Names a document: `doc-` and the MD5 of its name.",
        "pattern" = "^doc-[0-9a-f]{32}$", "doc-d41d8cd98f00b204e9800998ecf8427e";
    BatchId: "Names a batch: a UUID of version 7.",
        "format" = "uuid", "0190b5a8-7c00-7000-8000-00000000ba7c";
    ApiKeyId: "Names an API key. Not secret.",
        "pattern" = "^[a-z0-9]{8,32}$", "0123456789abcdef";
    Subject: "Names an account.",
        "pattern" = "^[a-z0-9][a-z0-9._@+-]{0,127}$", "ann@example.com";
    Actor: "Who did something.",
        "pattern" = "^((local|product|user|api_key|schedule|webhook):.+|issuer:.+#.+|operator)$", "local:ann";
    Identity: "A person: an account (`local:NAME`), whom an OpenID issuer names (`issuer:URL#SUB`), or whom the product \
        that signs tokens names (`product:SUB`). `user:NAME` is from before identities named their provider.",
        "pattern" = "^((local|product|user):.+|issuer:[^#]+#.+)$", "issuer:https://id.example.com/#ann";
    WebhookId: "Names an endpoint for webhooks.",
        "pattern" = "^wh_[0-9a-f]{24}$", "wh_0123456789abcdef01234567";
    EventId: "Names an event: what receivers get as `webhook-id`.",
        "pattern" = "^evt_[0-9a-f-]{36}_[0-9]{1,9}$", "evt_0190a1b2-c3d4-7000-8000-000000000000_1";
}

impl JsonSchema for EventType {
    fn schema_name() -> Cow<'static, str> {
        "EventType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
        json_schema!({ "type": "string", "description": "What happened.", "enum": names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_what_they_stand_for() {
        assert!(EXAMPLES.iter().all(|(reads, example)| reads(example)));
    }
}
