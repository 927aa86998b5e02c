//! What a decision point is told of a message: OPA's `{"input": …}`.

use portcullis_sdk::{Call, Identity};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One thing that it may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Tenant,
    Server,
    Method,
    Target,
    /// Subject, team, roles and scopes.
    Identity,
    /// What else its token said.
    Claims,
    Session,
    Peer,
    Arguments,
}

/// What it is told unless the configuration says otherwise.
pub(crate) fn usual() -> Vec<Part> {
    use Part::{Arguments, Identity, Method, Server, Target, Tenant};
    vec![Tenant, Server, Method, Target, Identity, Arguments]
}

/// The body of the request, as JSON text. The same message gives the same text.
pub(crate) fn question(call: &Call, parts: &[Part], headers: &[String]) -> String {
    let mut input = Map::new();
    input.insert("from_upstream".to_owned(), call.is_from_upstream().into());
    for part in parts {
        let (name, value) = match part {
            Part::Tenant => ("tenant", call.tenant().into()),
            Part::Server => ("server", call.server().into()),
            Part::Method => ("method", call.method().into()),
            Part::Target => ("target", call.target().into()),
            Part::Identity => ("identity", call.identity().map_or(Value::Null, who)),
            Part::Claims => ("claims", call.identity().map_or(Value::Null, claims)),
            Part::Session => ("session", call.session().into()),
            Part::Peer => ("peer", call.peer().into()),
            Part::Arguments => ("arguments", arguments(call)),
        };
        input.insert(name.to_owned(), value);
    }
    if !headers.is_empty() {
        let told = headers
            .iter()
            .map(|name| (name.clone(), call.header(name).into()));
        input.insert("headers".to_owned(), Value::Object(told.collect()));
    }
    json!({ "input": input }).to_string()
}

fn who(identity: Identity) -> Value {
    json!({
        "subject": identity.subject,
        "team": identity.team,
        "roles": identity.roles,
        "scopes": identity.scopes,
    })
}

fn claims(identity: Identity) -> Value {
    serde_json::from_str(&identity.claims).unwrap_or_default()
}

fn arguments(call: &Call) -> Value {
    let text = call.arguments();
    let parsed = text.and_then(|text| serde_json::from_str(&text).ok());
    parsed.unwrap_or_default()
}
