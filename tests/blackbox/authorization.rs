//! The gateway as an OAuth client of its upstreams, against a real authorization server and an MCP server that takes
//! nothing but its tokens.

use std::sync::Arc;

use portcullis_tests::admin::{Admin, Tenant};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::Peer;
use portcullis_tests::oauth::{AuthorizationServer, Guarded};
use portcullis_tests::shared::Shared;
use portcullis_tests::show::Answer;
use portcullis_tests::stage::Stage;
use serde_json::{Value, json};

mod changes;
mod consent;
mod exchange;
mod machine;
mod refusals;
mod secrets;

static STAGE: Shared<Stage> = Shared::new();

/// A gateway whose log would show what must not be shown.
async fn stage() -> Arc<Stage> {
    let talkative = || async { Stage::on(Gateway::with(&["--log-level", "trace"]).await).await };
    STAGE.get(talkative).await
}

/// A tenant of its own with one upstream, which is guarded by an authorization server.
struct Scene {
    server: AuthorizationServer,
    guarded: Guarded,
    tenant: Tenant,
    admin: Admin,
    url: String,
    alice: String,
}

impl Scene {
    /// Under the tenant's name; `auth` is what its upstream has for `oauth`.
    async fn set(stage: &Stage, name: &str, oauth: Value) -> Self {
        let server = AuthorizationServer::start().await;
        let guarded = Guarded::start(&server).await;
        let (tenant, alice) = stage.guest_tenant(name).await;
        let scene = Self {
            server,
            guarded,
            tenant,
            admin: stage.admin(),
            url: stage.gateway.mcp(&format!("{name}-guarded")),
            alice,
        };
        scene.authorize_with(oauth).await;
        scene
            .tenant
            .server(&format!("{name}-guarded"), &["guarded"])
            .await;
        scene
    }

    /// With a client that is registered by hand, and acts on its own.
    async fn of_machine(stage: &Stage, name: &str) -> Self {
        let scene = Self::set(stage, name, machine()).await;
        scene.server.client("gateway", "the client's secret");
        scene
    }

    /// With a client that registers itself, and asks people.
    async fn of_people(stage: &Stage, name: &str) -> Self {
        Self::set(stage, name, json!({ "grant": "authorization-code" })).await
    }

    /// After the gateway was started again, elsewhere.
    fn move_to(&mut self, stage: &Stage, name: &str) {
        self.admin = stage.admin();
        self.tenant = self.admin.existing(name);
        self.url = stage.gateway.mcp(&format!("{name}-guarded"));
    }

    /// Gives the upstream another definition.
    async fn authorize_with(&self, oauth: Value) {
        let spec = json!({ "url": self.guarded.url(), "auth": { "oauth": oauth } });
        self.tenant.upstream("guarded", spec).await;
    }

    async fn alice(&self) -> Peer {
        Peer::session(&self.url, &self.alice).await
    }

    /// What a call of a tool comes to: its text, or the code and text of its error.
    async fn call(&self, tool: &str) -> Result<String, String> {
        let reply = self
            .alice()
            .await
            .call(&format!("guarded__{tool}"), json!({}))
            .await;
        let message = reply.messages().pop().expect("an answer");
        match message["error"]["message"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(reply.text_content()),
        }
    }

    /// A call that is served.
    async fn served(&self, tool: &str) {
        let said = self.call(tool).await;
        assert!(
            said.as_ref().is_ok_and(|said| said.starts_with(tool)),
            "{said:?}"
        );
    }

    fn path(&self) -> String {
        self.tenant.path("/upstreams/guarded/authorization")
    }

    async fn view(&self) -> Value {
        self.admin.get(&self.path()).await.ok()
    }

    /// What a person has to open.
    async fn page(&self) -> String {
        let asked = self.admin.post(&self.path(), &Value::Null).await;
        assert_eq!(asked.status, 201, "{}", asked.shown());
        asked.json()["authorization_url"]
            .as_str()
            .expect("a URL")
            .to_owned()
    }

    /// A person's consent, brought back by a browser.
    async fn consent(&self) -> Answer {
        open(&self.page().await).await
    }

    /// How often the server was asked for tokens in that way.
    fn tokens(&self, grant_type: &str) -> usize {
        let asked = self.server.asked("/token");
        asked
            .iter()
            .filter(|asked| asked.params["grant_type"] == grant_type)
            .count()
    }
}

fn machine() -> Value {
    json!({ "grant": "client-credentials", "client": { "id": "gateway", "secret": "the client's secret" } })
}

/// What a browser gets to see in the end.
async fn open(page: &str) -> Answer {
    let browser = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a browser");
    Answer::of(browser.get(page)).await
}
