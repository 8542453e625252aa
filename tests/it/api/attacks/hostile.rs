//! Values that an attacker hopes will be misinterpreted.

use serde_json::{Value, json};

/// Texts. None is the name of anything but `acme-2`, which is another tenant's.
pub(super) fn texts() -> Vec<String> {
    let texts = [
        "",
        " ",
        "\0",
        "a\0b",
        "a\nb\r\n\r\nc",
        "\u{7f}",
        "\u{1b}[2J",
        "\u{202e}emca",
        "\u{fffe}",
        "аcme-2",
        "ａｃｍｅ-2",
        "acme-2\u{200b}",
        "ACME-2",
        "acme-2",
        "acme-2 ",
        "../../acme-2",
        "..%2f..%2facme-2",
        "t:acme-2:*",
        "*",
        "%",
        "_",
        "' OR '1'='1",
        "'; DROP TABLE tenants; --",
        "1) UNION SELECT secret_sha256 FROM api_keys--",
        "\"}) MATCH (n) DETACH DELETE n //",
        "n`) MATCH (m) RETURN m //",
        "{\"$gt\":\"\"}",
        "$where: 1",
        "${jndi:ldap://x}",
        "-1",
        "NaN",
        "18446744073709551616",
        "9999-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
    ];
    let long = ["x".repeat(10_000), "é".repeat(10_000), "../".repeat(3_333)];
    texts.into_iter().map(str::to_owned).chain(long).collect()
}

/// Values as they stand in a body; some cannot be written from a [`Value`].
pub(super) fn raw_values() -> Vec<String> {
    let values = [
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(f64::MAX),
        json!([]),
        json!({}),
        json!(["acme-2"]),
        json!([["acme-2"]]),
        json!({ "$gt": "" }),
        json!({ "$ne": null }),
        json!({ "a\0b": 1 }),
    ];
    let raw =
        [r#""\ud800""#, r#""\udc00\ud800""#, "1e400", "-1e400", "99999999999999999999999999", "01", "NaN"];
    let deep = "[".repeat(500) + &"]".repeat(500);
    let texts = texts().into_iter().map(Value::from);
    let values = texts.chain(values).map(|value| value.to_string());
    values.chain(raw.map(str::to_owned)).chain([deep]).collect()
}

/// Every path in a body: its fields, their fields, the members of its lists.
pub(super) fn places(body: &Value) -> Vec<String> {
    let below = |name: &str, value: &Value| {
        let name = name.replace('~', "~0").replace('/', "~1");
        let mut places = vec![format!("/{name}")];
        places.extend(self::places(value).into_iter().map(|place| format!("/{name}{place}")));
        places
    };
    match body {
        Value::Object(fields) => fields.iter().flat_map(|(name, value)| below(name, value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(at, value)| below(&at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    }
}

/// The body with `raw` at a path.
pub(super) fn with(body: &Value, place: &str, raw: &str) -> String {
    const MARK: &str = "what stands here is replaced";
    let mut body = body.clone();
    *body.pointer_mut(place).expect("the place is one of the body's") = json!(MARK);
    body.to_string().replace(&json!(MARK).to_string(), raw)
}

/// `text` as a part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let byte = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}
