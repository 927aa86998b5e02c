//! A gateway of the benchmarks': started with a fresh data folder, set up over its admin API as an operator would.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::Full;
use portcullis_benches::plan;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::error::BenchError;
use crate::http::{Connection, Reply};
use crate::options::Tools;
use crate::process::Process;
use crate::target::Target;

const START_MAX: Duration = Duration::from_secs(60);

/// A running gateway.
pub struct Gateway {
    /// Its process.
    pub process: Process,
    data: SocketAddr,
    admin: SocketAddr,
    admin_token: String,
    /// One connection to the admin API; changes come one after the other.
    connection: Mutex<Connection>,
}

/// `ready.json`, which a gateway writes into its data folder.
#[derive(Deserialize)]
struct Ready {
    gateway: String,
    admin: String,
    admin_token: String,
}

impl Gateway {
    /// Starts `program` with its data in `folder/NAME` and waits until it is ready.
    pub async fn start(program: &Path, folder: &Path, name: &str) -> Result<Self, BenchError> {
        let data_dir = folder.join(name);
        let ready = data_dir.join("ready.json");
        // Of an earlier life in the same folder.
        let _ = std::fs::remove_file(&ready);
        let mut command = Command::new(program);
        // By variables, because `portcullis-native` knows no flags. Those of the user's own are left out.
        let own = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("PORTCULLIS_");
        for (variable, _) in std::env::vars_os().filter(|(name, _)| own(name)) {
            command.env_remove(variable);
        }
        command
            .arg("serve")
            .env("PORTCULLIS_DATA_DIR", &data_dir)
            .env("PORTCULLIS_LISTEN", "127.0.0.1:0")
            .env("PORTCULLIS_ADMIN_LISTEN", "127.0.0.1:0")
            .env("PORTCULLIS_LOG_LEVEL", "warn")
            .env("PORTCULLIS_DRAIN_TIMEOUT_S", "1");
        let mut process = Process::start(name, folder, &mut command, Stdio::null())?;
        let ready = wait_for(&mut process, ready).await?;
        let (data, admin) = (address(&ready.gateway)?, address(&ready.admin)?);
        let connection = Mutex::new(Connection::open(admin).await?);
        Ok(Self {
            process,
            data,
            admin,
            admin_token: ready.admin_token,
            connection,
        })
    }

    /// One request to the admin API; a refusal is an error with the API's own words.
    pub async fn admin(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<Value, BenchError> {
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("/api/v1{path}"))
            .header(HOST, self.admin.to_string())
            .header(AUTHORIZATION, format!("Bearer {}", self.admin_token))
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(body))
            .map_err(|error| BenchError::failed(error.to_string()))?;
        let reply: Reply = self.connection.lock().await.send(request).await?;
        if !reply.status.is_success() {
            return Err(BenchError::failed(format!(
                "{method} {path} was answered with {}: {}",
                reply.status,
                reply.excerpt()
            )));
        }
        Ok(serde_json::from_slice(&reply.body).unwrap_or_default())
    }

    /// Puts a document.
    pub async fn put(&self, path: &str, document: &Value) -> Result<Value, BenchError> {
        self.admin(
            Method::PUT,
            path,
            "application/json",
            Bytes::from(document.to_string()),
        )
        .await
    }

    /// Publishes a component and returns its digest.
    pub async fn publish(&self, component: Vec<u8>) -> Result<String, BenchError> {
        let info = self
            .admin(
                Method::POST,
                "/plugins",
                "application/wasm",
                component.into(),
            )
            .await?;
        let digest = info.get("digest").and_then(Value::as_str);
        digest
            .map(str::to_owned)
            .ok_or_else(|| BenchError::failed("the admin API names no digest"))
    }

    /// Publishes plugins that ship; their digests in the same order.
    pub async fn publish_all(
        &self,
        tools: &Tools,
        plugins: &[&'static str],
    ) -> Result<Vec<(&'static str, String)>, BenchError> {
        let mut published = Vec::with_capacity(plugins.len());
        for plugin in plugins {
            published.push((*plugin, self.publish(tools.component_bytes(plugin)?).await?));
        }
        Ok(published)
    }

    /// A tenant with one server of the same name: one mount, two replicas, both of them the bench's upstream.
    pub async fn tenant(
        &self,
        name: &str,
        upstream: SocketAddr,
        chain: &Value,
    ) -> Result<Target, BenchError> {
        self.put(&format!("/tenants/{name}"), &json!({})).await?;
        let issuer = json!({"issuer": plan::ISSUER, "secret": plan::SECRET});
        self.put(&format!("/tenants/{name}/issuers/bench"), &issuer)
            .await?;
        let replicas = ["a", "b"];
        for replica in replicas {
            let spec = json!({"url": format!("http://{upstream}/mcp/{replica}")});
            self.put(&format!("/tenants/{name}/upstreams/{replica}"), &spec)
                .await?;
        }
        let server = json!({"upstreams": [{"name": plan::MOUNT, "replicas": replicas}]});
        self.put(&format!("/tenants/{name}/servers/{name}"), &server)
            .await?;
        self.chain(name, chain).await?;
        Ok(Target {
            address: self.data,
            path: format!("/servers/{name}/mcp"),
            tool: format!("{}__{}", plan::MOUNT, plan::TOOL),
            callers: Vec::new(),
        })
    }

    /// Replaces a tenant's chain.
    pub async fn chain(&self, tenant: &str, chain: &Value) -> Result<(), BenchError> {
        self.put(&format!("/tenants/{tenant}/policies"), chain)
            .await
            .map(drop)
    }
}

async fn wait_for(process: &mut Process, ready: PathBuf) -> Result<Ready, BenchError> {
    let until = Instant::now() + START_MAX;
    loop {
        if let Some(ready) = std::fs::read(&ready)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
        {
            return Ok(ready);
        }
        process.check()?;
        if Instant::now() > until {
            return Err(BenchError::failed(format!(
                "no {} after {} s",
                ready.display(),
                START_MAX.as_secs()
            )));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn address(url: &str) -> Result<SocketAddr, BenchError> {
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    authority
        .parse()
        .map_err(|_not_an_address| BenchError::failed(format!("`{url}` is no loopback address")))
}
