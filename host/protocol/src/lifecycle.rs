//! How the two eras get to know each other: `initialize` for sessions, `server/discover` for the stateless.
//!
//! The session room answers a client's `initialize` with [`initialize_result`], and upstreams are opened with
//! [`initialize_request`] or [`discover_request`]. Identities and capabilities travel as JSON text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::listing::{CacheHint, CacheScope};
use crate::params::{
    META_CLIENT_CAPABILITIES, META_CLIENT_INFO, META_PROTOCOL_VERSION, META_SERVER_INFO,
};
use crate::revision::Revision;
use crate::text;

mod capabilities;

pub use capabilities::merge_capabilities;

/// The notification that ends a session's opening, complete with envelope.
pub const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Why an `initialize` or `server/discover` exchange cannot be read. The text is meant for the caller.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// `params` of `initialize` are absent.
    #[error(
        "\"initialize\" needs \"params\" with \"protocolVersion\", \"capabilities\" and \"clientInfo\"."
    )]
    NoParams,
    /// A member is absent or of the wrong type.
    #[error("\"{what}\" cannot be read: {source}.")]
    Shape {
        /// Which part of which message.
        what: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
}

/// What a client says in `initialize`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InitializeParams<'a> {
    /// The revision that the client would like.
    #[serde(borrow)]
    pub protocol_version: Cow<'a, str>,
    /// What the client can do.
    #[serde(borrow, default)]
    pub capabilities: Option<&'a RawValue>,
    /// The client's name and version.
    #[serde(borrow, default)]
    pub client_info: Option<&'a RawValue>,
}

impl<'a> InitializeParams<'a> {
    /// Reads the `params` of `initialize`. Capabilities and identity may be absent: some clients leave them out.
    ///
    /// # Errors
    /// When there are no params, or no protocol version in them.
    pub fn parse(params: Option<&'a RawValue>) -> Result<Self, LifecycleError> {
        let params = params.ok_or(LifecycleError::NoParams)?;
        shaped("initialize params", params.get())
    }
}

/// What a server says to `initialize`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InitializeResult<'a> {
    /// The revision that the session will speak.
    #[serde(borrow)]
    pub protocol_version: Cow<'a, str>,
    /// What the server can do.
    #[serde(borrow, default)]
    pub capabilities: Option<&'a RawValue>,
    /// The server's name and version.
    #[serde(borrow, default)]
    pub server_info: Option<&'a RawValue>,
    /// How the server would like to be used.
    #[serde(borrow, default)]
    pub instructions: Option<Cow<'a, str>>,
}

impl<'a> InitializeResult<'a> {
    /// Reads the result of `initialize`.
    ///
    /// # Errors
    /// When there is no protocol version in it.
    pub fn parse(result_raw: &'a str) -> Result<Self, LifecycleError> {
        shaped("initialize result", result_raw)
    }
}

/// What a server says to `server/discover`.
#[derive(Debug, Clone)]
pub struct DiscoverResult<'a> {
    /// The revisions that the server speaks, as it wrote them.
    pub supported_versions: Vec<Cow<'a, str>>,
    /// What the server can do.
    pub capabilities: Option<&'a RawValue>,
    /// The server's name and version, from `_meta`.
    pub server_info: Option<&'a RawValue>,
    /// How the server would like to be used.
    pub instructions: Option<Cow<'a, str>>,
    /// How long the answer may be reused.
    pub cache: CacheHint,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDiscoverResult<'a> {
    #[serde(borrow)]
    supported_versions: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    capabilities: Option<&'a RawValue>,
    #[serde(borrow, default)]
    instructions: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
}

impl<'a> DiscoverResult<'a> {
    /// Reads the result of `server/discover`.
    ///
    /// # Errors
    /// When it does not list the versions that the server speaks.
    pub fn parse(result_raw: &'a str) -> Result<Self, LifecycleError> {
        let raw: RawDiscoverResult<'a> = shaped("server/discover result", result_raw)?;
        let server_info = raw
            .meta
            .and_then(|meta| crate::splice::get_member(meta.get(), META_SERVER_INFO))
            .and_then(|info| serde_json::from_str(info).ok());
        Ok(DiscoverResult {
            supported_versions: raw.supported_versions,
            capabilities: raw.capabilities,
            server_info,
            instructions: raw.instructions,
            cache: CacheHint::of(result_raw),
        })
    }

    /// The newest stateless revision that both sides speak.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        let named = self
            .supported_versions
            .iter()
            .filter_map(|name| Revision::parse(name));
        named
            .filter(|revision| revision.era() == crate::revision::Era::Stateless)
            .max()
    }
}

/// Who speaks, in either direction: `clientInfo` or `serverInfo`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Implementation {
    /// Name for programs.
    pub name: String,
    /// Version of the software.
    pub version: String,
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl Implementation {
    /// As JSON text.
    #[must_use]
    pub fn to_raw(&self) -> String {
        let mut out = format!(
            r#"{{"name":{},"version":{}"#,
            text::quote(&self.name),
            text::quote(&self.version)
        );
        if let Some(title) = &self.title {
            out.push_str(r#","title":"#);
            out.push_str(&text::quote(title));
        }
        out.push('}');
        out
    }
}

/// The result of `initialize`, without the envelope; `capabilities` is JSON text.
#[must_use]
pub fn initialize_result(
    revision: Revision,
    capabilities: &str,
    server_info: &Implementation,
    instructions: Option<&str>,
) -> String {
    let info = server_info.to_raw();
    let instructions = instructions_member(instructions);
    format!(
        r#"{{"protocolVersion":"{revision}","capabilities":{capabilities},"serverInfo":{info}{instructions}}}"#
    )
}

/// A whole `initialize` request; `id` and `capabilities` are JSON text.
#[must_use]
pub fn initialize_request(
    id: &str,
    revision: Revision,
    capabilities: &str,
    client_info: &Implementation,
) -> String {
    let info = client_info.to_raw();
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{revision}","capabilities":{capabilities},"clientInfo":{info}}}}}"#
    )
}

/// What the gateway says of itself to a stateless client.
#[derive(Debug, Clone)]
pub struct Discovery<'a> {
    /// What can be served, as JSON text.
    pub capabilities: &'a str,
    /// The gateway's name and version.
    pub server_info: &'a Implementation,
    /// How the server would like to be used.
    pub instructions: Option<&'a str>,
    /// How long the answer may be reused.
    pub cache: CacheHint,
}

/// The result of `server/discover`, without the envelope. It names every revision, newest first: those of the session
/// era can be had by `initialize`.
#[must_use]
pub fn discover_result(discovery: &Discovery<'_>) -> String {
    let versions = Revision::ALL
        .map(|revision| text::quote(revision.as_str()))
        .join(",");
    let capabilities = discovery.capabilities;
    let instructions = instructions_member(discovery.instructions);
    let CacheHint { ttl_ms, scope } = discovery.cache;
    let scope = CacheScope::as_str(scope);
    let info = discovery.server_info.to_raw();
    format!(
        r#"{{"resultType":"complete","supportedVersions":[{versions}],"capabilities":{capabilities}{instructions},"ttlMs":{ttl_ms},"cacheScope":"{scope}","_meta":{{"{META_SERVER_INFO}":{info}}}}}"#
    )
}

/// A whole `server/discover` request; `id` and `capabilities` are JSON text.
#[must_use]
pub fn discover_request(
    id: &str,
    revision: Revision,
    capabilities: &str,
    client_info: &Implementation,
) -> String {
    let info = client_info.to_raw();
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"server/discover","params":{{"_meta":{{"{META_PROTOCOL_VERSION}":"{revision}","{META_CLIENT_INFO}":{info},"{META_CLIENT_CAPABILITIES}":{capabilities}}}}}}}"#
    )
}

fn instructions_member(instructions: Option<&str>) -> String {
    instructions.map_or_else(String::new, |words| {
        format!(r#","instructions":{}"#, text::quote(words))
    })
}

fn shaped<'a, T: Deserialize<'a>>(what: &'static str, raw: &'a str) -> Result<T, LifecycleError> {
    serde_json::from_str(raw).map_err(|source| LifecycleError::Shape { what, source })
}

#[cfg(test)]
mod tests;
