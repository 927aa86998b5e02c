//! What one scenario is about, as the suite tells it by variables, and what an operator would configure for it.

use std::env::VarError;

use portcullis_tests::mcp::Era;
use serde_json::{Value, json};

/// The URL that the suite expects as the id of a client that has one.
const METADATA_URL: &str = "https://conformance-test.local/client-metadata.json";

/// A scenario under way.
pub struct Task {
    name: String,
    /// The era that the caller speaks.
    pub era: Era,
    /// What else it says: credentials, calls to make.
    pub context: Value,
}

#[allow(clippy::disallowed_methods, reason = "the suite speaks by variables")]
pub fn variable(name: &str) -> Result<String, VarError> {
    std::env::var(name)
}

impl Task {
    /// The one that this process was started for.
    pub fn of_environment() -> Self {
        let text = |name: &str| variable(name).unwrap_or_default();
        let name = text("MCP_CONFORMANCE_SCENARIO");
        let is_stateless = text("MCP_CONFORMANCE_PROTOCOL_VERSION") == Era::Stateless.revision();
        // A caller with a session knows no such headers, so it is the gateway that has to write them.
        let is_about_headers =
            ["http-custom-headers", "http-invalid-tool-headers"].contains(&&*name);
        Self {
            era: if is_stateless && !is_about_headers {
                Era::Stateless
            } else {
                Era::Session
            },
            name,
            context: serde_json::from_str(&text("MCP_CONFORMANCE_CONTEXT")).unwrap_or_default(),
        }
    }

    /// Whether its server wants to be authorized.
    pub fn is_about_authorization(&self) -> bool {
        self.name.starts_with("auth/")
    }

    /// Whether its server asks the client for something on the stream that belongs to no reply.
    pub fn asks_outside_of_replies(&self) -> bool {
        self.era == Era::Session && self.name.starts_with("elicitation")
    }

    /// The upstream's definition.
    pub fn upstream(&self, url: &str) -> Value {
        let mut spec = json!({ "url": url });
        if self.is_about_authorization() {
            spec["auth"] = json!({ "oauth": self.oauth() });
        }
        spec
    }

    fn oauth(&self) -> Value {
        let context = &self.context;
        let with_secret = json!({ "id": context["client_id"], "secret": context["client_secret"] });
        let with_key =
            json!({ "id": context["client_id"], "private_key": context["private_key_pem"] });
        match self.name.as_str() {
            "auth/client-credentials-jwt" => {
                json!({ "grant": "client-credentials", "client": with_key })
            }
            "auth/client-credentials-basic" => {
                json!({ "grant": "client-credentials", "client": with_secret })
            }
            "auth/pre-registration" => {
                json!({ "grant": "authorization-code", "client": with_secret })
            }
            "auth/basic-cimd" => {
                json!({ "grant": "authorization-code", "client": { "metadata_url": METADATA_URL } })
            }
            _ => json!({ "grant": "authorization-code" }),
        }
    }
}
