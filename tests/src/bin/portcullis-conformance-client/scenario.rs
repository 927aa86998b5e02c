//! What one scenario is about, as the suite tells it by variables, and what an operator would configure for it.

use serde_json::{Value, json};

/// The URL that the suite expects as the id of a client that has one.
const METADATA_URL: &str = "https://conformance-test.local/client-metadata.json";

/// A scenario under way.
pub(crate) struct Scenario {
    /// Its name.
    pub(crate) name: String,
    /// The revision that it speaks.
    pub(crate) revision: String,
    /// What else it says: credentials, calls to make.
    pub(crate) context: Value,
}

impl Scenario {
    /// The one that this process was started for.
    pub(crate) fn of_environment() -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        Self {
            name: variable("MCP_CONFORMANCE_SCENARIO"),
            revision: variable("MCP_CONFORMANCE_PROTOCOL_VERSION"),
            context: serde_json::from_str(&variable("MCP_CONFORMANCE_CONTEXT")).unwrap_or_default(),
        }
    }

    /// Whether its server wants to be authorized.
    pub(crate) fn is_about_authorization(&self) -> bool {
        self.name.starts_with("auth/")
    }

    /// The upstream's definition.
    pub(crate) fn upstream(&self, url: &str) -> Value {
        let mut spec = json!({ "url": url });
        if self.is_about_authorization() {
            spec["auth"] = json!({ "oauth": self.oauth() });
        }
        spec
    }

    fn oauth(&self) -> Value {
        let context = &self.context;
        let id = &context["client_id"];
        match self.name.as_str() {
            "auth/client-credentials-jwt" => json!({
                "grant": "client-credentials",
                "client": { "id": id, "private_key": context["private_key_pem"] },
            }),
            "auth/client-credentials-basic" => json!({
                "grant": "client-credentials",
                "client": { "id": id, "secret": context["client_secret"] },
            }),
            "auth/pre-registration" => json!({
                "grant": "authorization-code",
                "client": { "id": id, "secret": context["client_secret"] },
            }),
            "auth/basic-cimd" => json!({
                "grant": "authorization-code", "client": { "metadata_url": METADATA_URL },
            }),
            _ => json!({ "grant": "authorization-code" }),
        }
    }
}
