//! The demo's two tenants, made through the admin API as anybody would make them.

use std::collections::BTreeMap;
use std::path::Path;

use http::Method;
use serde_json::{Value, json};

use crate::model::Secret;

use super::super::client::{Client, Payload};
use super::super::output::text_of;
use super::callers::{self, Caller};
use super::error::DemoError;
use super::upstreams::Upstream;

const ACME_CHAIN: &str = include_str!("acme.json");
const GLOBEX_CHAIN: &str = include_str!("globex.json");

/// A tenant that is served.
#[derive(Debug)]
pub(super) struct Tenant {
    pub(super) name: &'static str,
    pub(super) callers: Vec<Caller>,
    /// As the admin API has it.
    pub(super) chain: Value,
}

/// The admin API of the demo's gateway, and the plugins that were published to it.
pub(super) struct Operator {
    client: Client,
    /// `name@version` by name.
    plugins: BTreeMap<String, String>,
}

impl Operator {
    /// Somebody with the admin token.
    pub(super) fn new(admin: &str, token: &Secret) -> Self {
        Self {
            client: Client::at(admin, token.clone()),
            plugins: BTreeMap::new(),
        }
    }

    /// Publishes a component, which compiles it.
    pub(super) async fn publish(&mut self, file: &Path) -> Result<(), DemoError> {
        let bytes = std::fs::read(file).map_err(|source| DemoError::File {
            path: file.to_owned(),
            source,
        })?;
        let info = self
            .send(Method::POST, "plugins", Payload::Wasm(bytes))
            .await?;
        let name = text_of(&info, "/name");
        let reference = format!("{name}@{}", text_of(&info, "/version"));
        self.plugins.insert(name, reference);
        Ok(())
    }

    /// `acme`: people with tokens, two interchangeable upstreams, and every kind of hook.
    pub(super) async fn acme(&self, upstreams: &[Upstream]) -> Result<Tenant, DemoError> {
        let secret = callers::issuer_secret();
        let issuer = json!({"issuer": callers::ISSUER, "secret": secret});
        self.put(
            "tenants/acme",
            json!({"description": "JWTs, roles, two replicas"}),
        )
        .await?;
        self.put("tenants/acme/issuers/login", issuer).await?;
        self.serve("acme", upstreams).await?;
        let callers = callers::ACME.map(|person| person.with_token(&secret));
        Ok(Tenant {
            name: "acme",
            callers: callers.into_iter().collect::<Result<_, _>>()?,
            chain: self.bind("acme", ACME_CHAIN).await?,
        })
    }

    /// `globex`: programs with API keys, one upstream, other limits and other patterns.
    pub(super) async fn globex(&self, upstreams: &[Upstream]) -> Result<Tenant, DemoError> {
        self.put(
            "tenants/globex",
            json!({"description": "API keys, limits by team"}),
        )
        .await?;
        self.serve("globex", upstreams).await?;
        let mut callers = Vec::new();
        for person in callers::GLOBEX {
            let payload = Payload::Json(person.key());
            let made = self
                .send(Method::POST, "tenants/globex/keys", payload)
                .await?;
            callers.push(Caller {
                person,
                token: text_of(&made, "/key"),
            });
        }
        Ok(Tenant {
            name: "globex",
            callers,
            chain: self.bind("globex", GLOBEX_CHAIN).await?,
        })
    }

    /// A server of the tenant's name, over upstreams that offer the same tools.
    async fn serve(&self, tenant: &str, upstreams: &[Upstream]) -> Result<(), DemoError> {
        for upstream in upstreams {
            let path = format!("tenants/{tenant}/upstreams/{}", upstream.name);
            self.put(&path, json!({"url": upstream.url})).await?;
        }
        let replicas: Vec<&str> = upstreams.iter().map(|upstream| upstream.name).collect();
        let server =
            json!({"upstreams": [{"name": "crm", "replicas": replicas}], "naming": "plain"});
        self.put(&format!("tenants/{tenant}/servers/{tenant}"), server)
            .await
    }

    /// Puts a chain, with plugins named as they were published.
    async fn bind(&self, tenant: &'static str, chain: &str) -> Result<Value, DemoError> {
        let mut chain: Value =
            serde_json::from_str(chain).map_err(|source| DemoError::Chain { tenant, source })?;
        let bindings = chain.get_mut("bindings").and_then(Value::as_array_mut);
        for plugin in bindings
            .into_iter()
            .flatten()
            .filter_map(|binding| binding.get_mut("plugin"))
        {
            if let Some(published) = plugin.as_str().and_then(|name| self.plugins.get(name)) {
                *plugin = json!(published);
            }
        }
        self.put(&format!("tenants/{tenant}/policies"), chain.clone())
            .await?;
        Ok(chain)
    }

    async fn put(&self, path: &str, document: Value) -> Result<(), DemoError> {
        self.send(Method::PUT, path, Payload::Json(document))
            .await
            .map(drop)
    }

    async fn send(&self, method: Method, path: &str, payload: Payload) -> Result<Value, DemoError> {
        let reply = self
            .client
            .send(method.clone(), &format!("/api/v1/{path}"), payload, None)
            .await;
        match reply {
            Ok(reply) => Ok(reply.body),
            Err(source) => Err(DemoError::Refused {
                what: format!("{method} /api/v1/{path}"),
                source,
            }),
        }
    }
}

impl Tenant {
    /// The chain after the swap that the demo proposes: anybody may delete, and `echo` gets a larger allowance.
    pub(super) fn relaxed_chain(&self) -> Value {
        let mut chain = self.chain.clone();
        let bindings = chain.get_mut("bindings").and_then(Value::as_array_mut);
        for binding in bindings.into_iter().flatten() {
            if let Some(rules) = binding.pointer_mut("/config/rules") {
                *rules = json!([]);
            }
            if let Some(rate) = binding.pointer_mut("/config/limits/0/rate") {
                *rate = json!(50);
            }
        }
        chain
    }

    /// The names of its policies, in order.
    pub(super) fn policies(&self) -> Vec<&str> {
        let bindings = self.chain.get("bindings").and_then(Value::as_array);
        bindings
            .into_iter()
            .flatten()
            .filter_map(|binding| binding.get("plugin")?.as_str()?.split('@').next())
            .collect()
    }
}
