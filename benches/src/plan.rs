//! The policies that the benchmarks bind, with configurations as a tenant would write them, and the call they judge.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The issuer that the bench tenants trust.
pub const ISSUER: &str = "https://issuer.bench.example";
/// The audience of its tokens.
pub const AUDIENCE: &str = "portcullis-bench";
/// Its shared secret. Nothing else knows or uses it.
pub const SECRET: &str = "a secret of the benchmarks, thirty-two bytes and more";
/// The tool that is called, by the upstream's own name.
pub const TOOL: &str = "lookup";
/// The mount's name, hence the prefix of its tools at the gateway.
pub const MOUNT: &str = "crm";
/// The four plugins of the whole walk, in the chain's order.
pub const CHAIN: [&str; 4] = ["jwt-auth", "rate-limit", "smart-route", "redact"];
/// Every plugin that ships.
pub const PLUGINS: [&str; 6] = [
    "jwt-auth",
    "api-key-auth",
    "rate-limit",
    "access-control",
    "smart-route",
    "redact",
];

/// Arguments of the call, as JSON text.
pub const ARGUMENTS: &str = r#"{"customer":{"id":"c-20417","region":"eu-west"},"fields":["name","plan","since"],"note":"asked for on the phone, please keep it short","limit":10}"#;

/// A limit that nothing reaches, so that it counts and never refuses.
const NEVER: u32 = 1_000_000_000;

const TOKEN_LIFE_S: u64 = 24 * 3_600;

/// A token of the issuer.
///
/// # Errors
/// The signer's.
pub fn token(subject: &str) -> Result<String, jsonwebtoken::errors::Error> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = since.unwrap_or_default().as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "team": "support", "roles": ["reader"],
        "scope": "tools:call tools:list", "iat": now_s, "exp": now_s + TOKEN_LIFE_S,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)
}

/// The configuration of a plugin that ships.
#[must_use]
pub fn config(plugin: &str) -> Value {
    match plugin {
        "jwt-auth" => json!({"issuers": [ISSUER], "audiences": [AUDIENCE]}),
        "api-key-auth" => json!({"headers": ["x-api-key"]}),
        "rate-limit" => json!({"limits": [
            {"name": "subject", "key": ["subject"], "rate": NEVER, "period_ms": 1_000},
            {"name": "team-tool", "key": ["team", "tool"], "rate": NEVER, "period_ms": 60_000},
        ]}),
        "access-control" => json!({"default": "deny", "rules": [
            {"effect": "deny", "tools": ["*__delete_*"], "message": "Deleting is for operators."},
            {"effect": "deny", "tools": ["crm__*"], "arguments": [{"pointer": "/limit", "min": 1_000}]},
            {"effect": "allow", "roles": ["reader", "writer"], "tools": ["crm__*"]},
        ]}),
        "redact" => json!({"keys": ["password", "secret"], "max_result_bytes": 1 << 20}),
        "smart-route" => json!({"strategy": "least-in-flight"}),
        _ => json!({}),
    }
}

/// The grants that a plugin's binding gives.
#[must_use]
pub fn grants(plugin: &str) -> &'static [&'static str] {
    match plugin {
        "jwt-auth" => &["jwt"],
        "api-key-auth" => &["keys"],
        "rate-limit" => &["quota"],
        "redact" => &["metrics"],
        _ => &[],
    }
}

/// A binding, as the admin API takes it.
#[must_use]
pub fn binding(plugin: &str, published: &str) -> Value {
    json!({"name": plugin, "plugin": published, "config": config(plugin), "grants": grants(plugin)})
}

/// Text of a result with nothing in it to redact.
pub const RESULT_PLAIN: &str = "Customer c-20417, Northwind Traders, plan business, since 2019, in eu-west. Two open tickets, none of them urgent.";
/// The same with something that has to go.
pub const RESULT_PERSONAL: &str = "Customer c-20417, Northwind Traders, plan business. Write to ana.lopez@northwind.example, and mind the open tickets.";

/// What the upstream answers to the call: about 300 bytes of JSON-RPC result.
#[must_use]
pub fn result() -> Value {
    result_with(RESULT_PLAIN, 0)
}

/// The same with another text, drawn out to a size in bytes of JSON.
#[must_use]
pub fn result_with(text: &str, bytes: usize) -> Value {
    let of = |text: &str| {
        json!({
            "content": [{"type": "text", "text": text}],
            "structuredContent": {"id": "c-20417", "name": "Northwind Traders", "plan": "business", "since": 2019, "tickets": [{"id": 7, "open": true}]},
            "isError": false,
        })
    };
    let missing = bytes.saturating_sub(of(text).to_string().len());
    let rest: String = " More of the same follows here."
        .chars()
        .cycle()
        .take(missing)
        .collect();
    of(&format!("{text}{rest}"))
}

/// Tools of an upstream that has many.
pub const MANY_TOOLS_LEN: usize = 100;

/// The tools of an upstream that has many, as it lists them.
#[must_use]
pub fn many_tools() -> Value {
    let named = |number| tool(&format!("lookup_{number}"), "Finds a customer by its id.");
    (0..MANY_TOOLS_LEN).map(named).collect()
}

fn tool(name: &str, description: &str) -> Value {
    json!({
        "name": name,
        "description": description,
        "inputSchema": {"type": "object", "properties": {
            "customer": {"type": "object"}, "fields": {"type": "array", "items": {"type": "string"}},
            "note": {"type": "string"}, "limit": {"type": "integer", "maximum": 100},
        }},
    })
}

/// The upstream's tools, as it lists them.
#[must_use]
pub fn tools() -> Value {
    json!([
        tool(TOOL, "Finds a customer by its id."),
        tool("metered", "Finds a customer, and costs."),
        tool("search", "Searches customers by text."),
        tool("delete_customer", "Deletes a customer."),
    ])
}
