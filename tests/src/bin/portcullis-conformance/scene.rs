//! What the suite is sent to: a demo server, or a gateway in front of it whose tenant has a whole chain of policies; or
//! the gateway that is to be its client.
//!
//! The suite cannot present a token, so a forwarder between it and the gateway does that. `suite` comes next.

use portcullis_tests::admin::{Admin, Tenant, binding};
use portcullis_tests::forwarder::Forwarder;
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::Era;
use portcullis_tests::tokens;
use portcullis_tests::upstreams::Upstream;
use serde_json::json;

use crate::drive::UnderTest;
use crate::options::Way;

/// The tenant, and its server.
const NAME: &str = "conformance";
/// More calls in a second than the suite can make: they are counted, and none is refused.
const CALLS_PER_S: u32 = 1_000_000;

/// The running processes of one run. They end with it.
pub struct Scene {
    target: Target,
    _forwarder: Option<Forwarder>,
    _gateway: Option<Gateway>,
    _upstream: Option<Upstream>,
}

/// What the suite tests.
pub enum Target {
    /// The server at a URL.
    Server(String),
    /// A client.
    Client(UnderTest),
}

impl Scene {
    /// Starts everything that the suite for clients of this era needs.
    pub async fn set(way: Way, era: Era) -> Self {
        let spoken = match (way, era) {
            (Way::Direct | Way::Gateway, _) => "both",
            (Way::GatewayCrossed, Era::Session) => "stateless",
            (Way::GatewayCrossed, Era::Stateless) => "session",
            (Way::Client, _) => return Self::with_client().await,
        };
        let upstream = Upstream::example_with(NAME, &["--era", spoken]).await;
        match way {
            Way::Direct => Self {
                target: Target::Server(upstream.url().to_owned()),
                _forwarder: None,
                _gateway: None,
                _upstream: Some(upstream),
            },
            Way::Gateway | Way::GatewayCrossed | Way::Client => {
                Self::behind_gateway(upstream).await
            }
        }
    }

    async fn with_client() -> Self {
        let gateway = Gateway::start().await;
        Self {
            target: Target::Client(UnderTest::of(&gateway)),
            _forwarder: None,
            _gateway: Some(gateway),
            _upstream: None,
        }
    }

    async fn behind_gateway(upstream: Upstream) -> Self {
        let gateway = Gateway::start().await;
        let admin = gateway.admin();
        let tenant = admin.tenant(NAME).await;
        let issuer = json!({ "issuer": tokens::ISSUER, "secret": tokens::SECRET });
        tenant.issuer("login", issuer).await;
        tenant.upstream("demo", upstream.spec()).await;
        let server = json!({ "upstreams": [{ "name": "demo" }], "naming": "plain" });
        tenant.server_spec(NAME, server).await;
        guard(&admin, &tenant).await;

        let claims = json!({ "team": "conformance", "roles": ["admin"] });
        let token = tokens::token("suite", &claims);
        let forwarder = Forwarder::start(gateway.address(), &token).await;
        Self {
            target: Target::Server(gateway.mcp(NAME).replace(gateway.url(), &forwarder.url())),
            _forwarder: Some(forwarder),
            _gateway: Some(gateway),
            _upstream: Some(upstream),
        }
    }

    /// What the suite tests.
    pub fn target(&self) -> &Target {
        &self.target
    }
}

/// Gives the tenant the policies of `portcullis demo`, in its order, with limits that the suite does not reach.
async fn guard(admin: &Admin, tenant: &Tenant) {
    let rules = json!([
        { "effect": "allow", "tools": ["delete_*"], "roles": ["admin"] },
        { "effect": "deny", "tools": ["delete_*"], "message": "Only admins may delete customers." },
    ]);
    let limits = json!([
        { "name": "subject", "key": ["subject", "tool"], "rate": CALLS_PER_S, "period_ms": 1_000 },
        { "name": "team", "key": ["team"], "rate": CALLS_PER_S, "period_ms": 1_000 },
    ]);
    let jwt = json!({ "issuers": [tokens::ISSUER], "audiences": [tokens::AUDIENCE] });
    let chain = [
        ("jwt-auth", &["jwt"][..], jwt),
        (
            "access-control",
            &[],
            json!({ "default": "allow", "rules": rules }),
        ),
        ("rate-limit", &["quota"], json!({ "limits": limits })),
        ("smart-route", &[], json!({ "strategy": "least-in-flight" })),
        (
            "redact",
            &[],
            json!({ "patterns": ["email", "credit-card", "us-ssn"] }),
        ),
    ];
    let mut bindings = Vec::with_capacity(chain.len());
    for (plugin, grants, config) in chain {
        bindings.push(binding(&admin.push(plugin).await, grants, config));
    }
    tenant.chain(&bindings).await;
}
