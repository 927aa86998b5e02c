//! The usual scene: a gateway, one tenant with API keys, one upstream.

use serde_json::{Value, json};

use crate::admin::{Admin, Tenant, binding};
use crate::gateway::Gateway;
use crate::mcp::{Era, Peer};
use crate::upstreams::Upstream;

/// The tenant.
pub const TENANT: &str = "acme";
/// Its server, whose one upstream is `demo`.
pub const SERVER: &str = "acme-tools";

/// A gateway that serves one tenant.
pub struct Stage {
    /// The gateway.
    pub gateway: Gateway,
    /// The demo server behind the upstream `demo`.
    pub upstream: Upstream,
    /// `name@version` of `api-key-auth`.
    pub api_key_auth: String,
    /// An API key of the subject `alice`, team `search`, role `admin`.
    pub alice: String,
    /// An API key of the subject `bob`, team `search`, without roles.
    pub bob: String,
}

impl Stage {
    /// Sets the scene with default settings.
    pub async fn set() -> Self {
        Self::on(Gateway::start().await).await
    }

    /// Sets the scene on a gateway that runs.
    pub async fn on(gateway: Gateway) -> Self {
        let upstream = Upstream::example("demo").await;
        let admin = gateway.admin();
        let api_key_auth = admin.push("api-key-auth").await;
        let tenant = admin.tenant(TENANT).await;
        tenant.upstream("demo", upstream.spec()).await;
        tenant.server(SERVER, &["demo"]).await;
        let alice = tenant
            .key_spec(
                json!({ "name": "a", "subject": "alice", "team": "search", "roles": ["admin"] }),
            )
            .await;
        let bob = tenant
            .key_spec(json!({ "name": "b", "subject": "bob", "team": "search" }))
            .await;
        let stage = Self {
            gateway,
            upstream,
            api_key_auth,
            alice,
            bob,
        };
        stage.chain(&tenant, &[]).await;
        stage
    }

    /// Makes a chain live that begins with `api-key-auth`; its revision.
    pub async fn chain(&self, tenant: &Tenant, rest: &[Value]) -> u64 {
        let mut bindings = vec![self.by_key()];
        bindings.extend(rest.iter().cloned());
        tenant.chain(&bindings).await
    }

    /// The binding that recognises API keys.
    #[must_use]
    pub fn by_key(&self) -> Value {
        binding(&self.api_key_auth, &["keys"], json!({}))
    }

    /// A client of the admin API, for the test that asks.
    #[must_use]
    pub fn admin(&self) -> Admin {
        self.gateway.admin()
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> Tenant {
        self.admin().existing(TENANT)
    }

    /// Another tenant of its own for a test that changes policies: a server `<name>-tools` over the same upstream, a
    /// chain that recognises API keys, and the key of `alice`.
    pub async fn guest_tenant(&self, name: &str) -> (Tenant, String) {
        let tenant = self.admin().tenant(name).await;
        tenant.upstream("demo", self.upstream.spec()).await;
        tenant.server(&format!("{name}-tools"), &["demo"]).await;
        let alice = tenant
            .key_spec(
                json!({ "name": "a", "subject": "alice", "team": "search", "roles": ["admin"] }),
            )
            .await;
        self.chain(&tenant, &[]).await;
        (tenant, alice)
    }

    /// Where clients of the tenant connect.
    #[must_use]
    pub fn url(&self) -> String {
        self.gateway.mcp(SERVER)
    }

    /// A client of `alice`.
    pub async fn alice(&self, era: Era) -> Peer {
        Peer::connect(era, &self.url(), &self.alice).await
    }
}
