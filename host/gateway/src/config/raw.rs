//! Settings as they are written, in any of the three layers: everything may be absent, nothing may be unknown.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use crate::model::{PublicKey, Secret};

use super::settings::{LogFormat, LogLevel};

/// One layer of settings. See [`super::Settings`] for what each key means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the valid form documents each key")]
pub struct RawSettings {
    pub listen: Option<SocketAddr>,
    pub admin_listen: Option<SocketAddr>,
    pub data_dir: Option<PathBuf>,
    pub admin_token: Option<Secret>,
    pub log: RawLog,
    pub seal_key: Option<Secret>,
    pub limits: RawLimits,
    pub catalogue: RawCatalogue,
    pub allowed_origins: Option<Vec<String>>,
    pub default_server: Option<String>,
    pub oauth_callback_url: Option<Url>,
    pub drain_timeout_s: Option<u64>,
    pub worker_threads: Option<u64>,
    pub sandbox: RawSandbox,
    pub plugins: RawPlugins,
}

/// One layer of `log`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the valid form documents each key")]
pub struct RawLog {
    pub format: Option<LogFormat>,
    pub level: Option<LogLevel>,
}

/// One layer of `limits`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the valid form documents each key")]
pub struct RawLimits {
    pub body_bytes_max: Option<u64>,
    pub batch_messages_max: Option<u64>,
    pub header_bytes_max: Option<u64>,
    pub connections_max: Option<u64>,
    pub sessions_max: Option<u64>,
    pub session_ttl_s: Option<u64>,
    pub session_processes_max: Option<u64>,
    pub request_timeout_ms: Option<u64>,
    pub sse_event_bytes_max: Option<u64>,
    pub sse_keep_alive_s: Option<u64>,
    pub stream_time_max_s: Option<u64>,
    pub stream_events_max: Option<u64>,
    pub stream_bytes_max: Option<u64>,
    pub connection_messages_max: Option<u64>,
    pub websocket_ping_s: Option<u64>,
}

/// One layer of `catalogue`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the valid form documents each key")]
pub struct RawCatalogue {
    pub page_entries_max: Option<u64>,
    pub refresh_s: Option<u64>,
    pub wait_ms: Option<u64>,
    pub grace_s: Option<u64>,
}

/// One layer of `sandbox`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the valid form documents each key")]
pub struct RawSandbox {
    pub instances_max: Option<u64>,
    pub memory_bytes_max: Option<u64>,
    pub deadline_ms: Option<u64>,
    pub waiting_deadline_ms: Option<u64>,
    pub waiting_instances_max: Option<u64>,
    pub waiting_queue_len_max: Option<u64>,
    pub compile_time_s_max: Option<u64>,
    pub compile_memory_bytes_max: Option<u64>,
    pub compile_output_bytes_max: Option<u64>,
    pub compiles_max: Option<u64>,
}

/// One layer of `plugins`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the valid form documents each key")]
pub struct RawPlugins {
    pub require_signature: Option<bool>,
    pub trusted_keys: Option<Vec<PublicKey>>,
    pub registries: Option<Vec<RawRegistry>>,
}

/// One of `plugins.registries`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the valid form documents each key")]
pub struct RawRegistry {
    pub host: String,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub plain_http: Option<bool>,
    pub private_addresses: Option<bool>,
    pub other_hosts: Option<Vec<String>>,
}

impl RawSettings {
    /// This layer over `under`: what is set here wins.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            listen: self.listen.or(under.listen),
            admin_listen: self.admin_listen.or(under.admin_listen),
            data_dir: self.data_dir.or(under.data_dir),
            admin_token: self.admin_token.or(under.admin_token),
            log: RawLog {
                format: self.log.format.or(under.log.format),
                level: self.log.level.or(under.log.level),
            },
            seal_key: self.seal_key.or(under.seal_key),
            limits: self.limits.over(under.limits),
            catalogue: self.catalogue.over(under.catalogue),
            allowed_origins: self.allowed_origins.or(under.allowed_origins),
            default_server: self.default_server.or(under.default_server),
            oauth_callback_url: self.oauth_callback_url.or(under.oauth_callback_url),
            drain_timeout_s: self.drain_timeout_s.or(under.drain_timeout_s),
            worker_threads: self.worker_threads.or(under.worker_threads),
            sandbox: self.sandbox.over(under.sandbox),
            plugins: RawPlugins {
                require_signature: self
                    .plugins
                    .require_signature
                    .or(under.plugins.require_signature),
                trusted_keys: self.plugins.trusted_keys.or(under.plugins.trusted_keys),
                registries: self.plugins.registries.or(under.plugins.registries),
            },
        }
    }
}

impl RawLimits {
    fn over(self, under: Self) -> Self {
        Self {
            body_bytes_max: self.body_bytes_max.or(under.body_bytes_max),
            batch_messages_max: self.batch_messages_max.or(under.batch_messages_max),
            header_bytes_max: self.header_bytes_max.or(under.header_bytes_max),
            connections_max: self.connections_max.or(under.connections_max),
            sessions_max: self.sessions_max.or(under.sessions_max),
            session_ttl_s: self.session_ttl_s.or(under.session_ttl_s),
            session_processes_max: self.session_processes_max.or(under.session_processes_max),
            request_timeout_ms: self.request_timeout_ms.or(under.request_timeout_ms),
            sse_event_bytes_max: self.sse_event_bytes_max.or(under.sse_event_bytes_max),
            sse_keep_alive_s: self.sse_keep_alive_s.or(under.sse_keep_alive_s),
            stream_time_max_s: self.stream_time_max_s.or(under.stream_time_max_s),
            stream_events_max: self.stream_events_max.or(under.stream_events_max),
            stream_bytes_max: self.stream_bytes_max.or(under.stream_bytes_max),
            connection_messages_max: self
                .connection_messages_max
                .or(under.connection_messages_max),
            websocket_ping_s: self.websocket_ping_s.or(under.websocket_ping_s),
        }
    }
}

impl RawCatalogue {
    fn over(self, under: Self) -> Self {
        Self {
            page_entries_max: self.page_entries_max.or(under.page_entries_max),
            refresh_s: self.refresh_s.or(under.refresh_s),
            wait_ms: self.wait_ms.or(under.wait_ms),
            grace_s: self.grace_s.or(under.grace_s),
        }
    }
}

impl RawSandbox {
    fn over(self, under: Self) -> Self {
        Self {
            instances_max: self.instances_max.or(under.instances_max),
            memory_bytes_max: self.memory_bytes_max.or(under.memory_bytes_max),
            deadline_ms: self.deadline_ms.or(under.deadline_ms),
            waiting_deadline_ms: self.waiting_deadline_ms.or(under.waiting_deadline_ms),
            waiting_instances_max: self.waiting_instances_max.or(under.waiting_instances_max),
            waiting_queue_len_max: self.waiting_queue_len_max.or(under.waiting_queue_len_max),
            compile_time_s_max: self.compile_time_s_max.or(under.compile_time_s_max),
            compile_memory_bytes_max: self
                .compile_memory_bytes_max
                .or(under.compile_memory_bytes_max),
            compile_output_bytes_max: self
                .compile_output_bytes_max
                .or(under.compile_output_bytes_max),
            compiles_max: self.compiles_max.or(under.compiles_max),
        }
    }
}
