//! What a hook needs around it, all of it the gateway's own: a sandbox, the services of a tenant, a call.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderMap;
use portcullis_benches::{plan, report};
use portcullis_gateway::call::{self, Call, Message};
use portcullis_gateway::config::Settings;
use portcullis_gateway::model::{IssuerSpec, KeyRecord, KeySpec, Naming, Secret};
use portcullis_gateway::policy::Chain;
use portcullis_gateway::policy::services::{
    JwksTiming, ServicesParts, SharedServices, TenantServices,
};
use portcullis_gateway::router::CatalogueCell;
use portcullis_gateway::state::{Clock, StateBounds, StateRoom};
use portcullis_gateway::telemetry::{Metrics, RequestId};
use portcullis_gateway::tenancy::{Generation, Server};
use portcullis_protocol::revision::{Era, Revision};
use portcullis_protocol::{envelope, splice};
use portcullis_sandbox::{
    Binding, BindingSettings, CallView, Candidate, Grant, HookResult, Identity, InstanceClass,
    ReplyView, Sandbox, SandboxSettings, Scope,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const TENANT: &str = "bench";
const KEY: &str = "pk_benchmarks-have-a-key-of-their-own-too";

/// What a hook answered, or why it did not, for people.
pub type Outcome<T> = Result<T, String>;

/// Everything that is made once.
pub struct Bed {
    sandbox: Arc<Sandbox>,
    services: Arc<SharedServices>,
    tenant: Arc<TenantServices>,
    pub metrics: Arc<Metrics>,
    call: Call,
    plugins: PathBuf,
    _runtime: Runtime,
}

impl Bed {
    pub fn make() -> Result<Self, Box<dyn Error>> {
        let runtime = Runtime::new()?;
        let metrics = Metrics::new()?;
        let services = SharedServices::new(ServicesParts {
            state: Arc::new(StateRoom::new(
                StateBounds::default(),
                Clock::system(),
                metrics.registry(),
            )?),
            registry: metrics.registry().clone(),
            runtime: runtime.handle().clone(),
            tracker: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            jwks_timing: JwksTiming::default(),
        })?;
        let tenant = services.tenant(TENANT, &issuers(), &[key()])?;
        Ok(Self {
            sandbox: Sandbox::new(SandboxSettings {
                // Little enough address space for a profiler's.
                instances_max: 6,
                ..SandboxSettings::default()
            })?,
            call: tool_call(&metrics)?,
            services,
            tenant,
            metrics,
            plugins: report::folder()?.with_file_name("plugins"),
            _runtime: runtime,
        })
    }

    /// The call, as a guest sees it: its caller is known.
    pub fn view(&self) -> Arc<dyn CallView> {
        let call = self.call();
        let identity = Identity {
            subject: "user-1".into(),
            team: Some("support".into()),
            roles: vec!["reader".into()],
            scopes: vec!["tools:call".into(), "tools:list".into()],
            claims: json!({"sub": "user-1", "team": "support", "roles": ["reader"]}).to_string(),
        };
        call.identity.get_or_init(|| Arc::new(identity));
        Arc::new(call)
    }

    /// The call as it arrives.
    pub fn call(&self) -> Call {
        self.call.clone()
    }

    /// A shipped component.
    pub fn component(&self, plugin: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let path = self.plugins.join(plugin).with_extension("wasm");
        std::fs::read(&path).map_err(|error| {
            format!("{}: {error}; run scripts/build-guests.sh", path.display()).into()
        })
    }

    /// A shipped policy, warm, with the configuration of the plan.
    pub fn bind_plugin(&self, plugin: &str) -> Result<Binding, Box<dyn Error>> {
        self.bind(
            &self.component(plugin)?,
            &plan::config(plugin),
            InstanceClass::Warm,
        )
    }

    /// Any component, with every grant. The deadline is long: a noisy machine must not end a measurement.
    pub fn bind(
        &self,
        component: &[u8],
        config: &Value,
        class: InstanceClass,
    ) -> Result<Binding, Box<dyn Error>> {
        let plugin = self.sandbox.admit(component)?;
        let name = plugin.manifest().name.clone();
        let scope = Scope {
            tenant: TENANT.into(),
            plugin: name.clone(),
            binding: name,
        };
        let settings = BindingSettings {
            config: config.to_string(),
            grants: Grant::ALL.into_iter().collect(),
            deadline_ms: 1_000,
            memory_bytes_max: 16 << 20,
            output_bytes_max: 4 << 20,
            class,
            services: self.services.for_binding(&self.tenant, &scope),
            scope,
        };
        Ok(plugin.bind(settings)?)
    }
}

/// What the hook answered; a denial or a failure is none.
pub fn answer<T>(result: HookResult<T>) -> Outcome<T> {
    match result {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(denial)) => Err(format!("refused: {} ({})", denial.message, denial.code)),
        Err(failure) => Err(failure.to_string()),
    }
}

/// Two healthy upstreams.
pub fn candidates() -> Vec<Candidate> {
    let candidate = |in_flight, latency_us| Candidate {
        healthy: true,
        in_flight,
        latency_us,
    };
    vec![candidate(7, 900), candidate(5, 1_100)]
}

/// A result on its way back.
pub fn reply(json: String) -> Arc<dyn ReplyView> {
    Arc::new(Reply(json))
}

struct Reply(String);

impl ReplyView for Reply {
    fn is_error(&self) -> bool {
        splice::get_member(&self.0, "isError") == Some("true")
    }

    fn json(&self) -> &str {
        &self.0
    }

    fn get(&self, pointer: &str) -> Option<&str> {
        splice::get_pointer(&self.0, pointer)
    }
}

fn issuers() -> BTreeMap<String, IssuerSpec> {
    let issuer = IssuerSpec {
        issuer: plan::ISSUER.into(),
        jwks_url: None,
        jwks: None,
        secret: Some(Secret::new(plan::SECRET)),
    };
    BTreeMap::from([("bench".to_owned(), issuer)])
}

fn key() -> KeyRecord {
    let spec = KeySpec {
        name: "bench".into(),
        subject: "user-1".into(),
        team: Some("support".into()),
        roles: vec!["reader".into()],
        scopes: Vec::new(),
        expires_at_ms: None,
    };
    KeyRecord {
        id: "key-bench".into(),
        spec,
        sha256: Sha256::digest(KEY).into(),
        created_at_ms: 0,
    }
}

/// The message that the whole walk sends too, with a token and an API key.
fn tool_call(metrics: &Metrics) -> Result<Call, Box<dyn Error>> {
    let arguments: Value = serde_json::from_str(plan::ARGUMENTS)?;
    let tool = format!("{}__{}", plan::MOUNT, plan::TOOL);
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
    let text = call::text_of(Bytes::from(body.to_string()))?;
    let message = Message::of(&text, &envelope::parse_str(&text)?, None);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("host", "127.0.0.1:4444".to_owned()),
        ("content-type", "application/json".to_owned()),
        ("accept", "application/json, text/event-stream".to_owned()),
        (
            "authorization",
            format!("Bearer {}", plan::token("user-1")?),
        ),
        ("x-api-key", KEY.to_owned()),
    ] {
        headers.insert(name, value.parse()?);
    }
    let chain = Chain::new(Vec::new(), true);
    Ok(Call {
        request_id: RequestId::next(),
        generation: Arc::new(Generation {
            tenant: TENANT.into(),
            revision: 1,
            chain,
            samples: None,
        }),
        server: Arc::new(Server {
            name: TENANT.into(),
            naming: Naming::Prefixed,
            mounts: Vec::new(),
            catalogue: Arc::new(CatalogueCell::new(
                &[],
                Settings::default().catalogue.into(),
            )),
            metrics: metrics.server(TENANT, TENANT),
            gone: CancellationToken::new(),
        }),
        headers: Arc::new(headers),
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000)),
        channel: None,
        is_batched: false,
        message,
        is_from_upstream: false,
        era: Era::Session,
        revision: Revision::V2025_11_25,
        identity: OnceLock::new(),
        session: OnceLock::new(),
        offer: OnceLock::new(),
        rollout: None,
        witness: None,
    })
}
