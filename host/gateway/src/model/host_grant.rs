//! What a binding grants its plugin of the host: an interface by name, and where that is not enough, how much of it.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum HostGrant {
    /// `quota`, `jwt`, `keys`, `state`, `metrics` or `random`.
    Named(String),
    /// `http` or `fs`.
    Bounded(BoundedGrant),
}

/// A grant that says how far it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BoundedGrant {
    /// Requests to other hosts.
    Http(HttpGrant),
    /// A folder.
    Fs(FsGrant),
}

/// Where a plugin may send requests to. What is absent is the host's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpGrant {
    /// `host` or `host:port`; `*.example.com` is every host below `example.com`. Without a port, the one of the scheme.
    pub hosts: Vec<String>,
    /// Methods (default `GET`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Addresses that are not public and may be connected to all the same. Every address that a name resolves to counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
    /// Longest time of one request, in milliseconds (default 1,000, 1 to 30,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u32>,
    /// Largest request body, in bytes (default 64 KiB, at most 4 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_bytes_max: Option<u32>,
    /// Largest response body, in bytes (default 1 MiB, at most 4 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_bytes_max: Option<u32>,
    /// Requests under way at once (default 32, 1 to 256).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent_max: Option<u32>,
}

/// Addresses that no plugin reaches unless it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// This machine.
    Loopback,
    /// Networks of an organisation (RFC 1918, RFC 6598, RFC 4193).
    Private,
    /// The next cable, and the metadata services of clouds (RFC 3927, RFC 4291).
    LinkLocal,
}

/// A folder below `plugin-files/{tenant}` in the gateway's data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FsGrant {
    /// Its name: 1-64 of `a-z`, `0-9` and `-`. Bindings that name the same one share it.
    pub folder: String,
    /// Whether its files may be written.
    #[serde(default)]
    pub access: FsAccess,
    /// Most bytes of all its files together (default 1 MiB, at most 1 GiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
}

/// What may be done in a folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FsAccess {
    /// It may only be read.
    #[default]
    Read,
    /// Its files may be written and removed.
    Write,
}

impl<'de> Deserialize<'de> for HostGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherForm)
    }
}

/// Tells the forms apart by what they are, so that an error names what is wrong in the one that was meant.
struct EitherForm;

impl<'de> Visitor<'de> for EitherForm {
    type Value = HostGrant;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"the name of a grant, or one such as {"http": {"hosts": [...]}}"#)
    }

    fn visit_str<E>(self, name: &str) -> Result<HostGrant, E> {
        Ok(HostGrant::Named(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<HostGrant, A::Error> {
        BoundedGrant::deserialize(MapAccessDeserializer::new(map)).map(HostGrant::Bounded)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn grants_are_read_and_written_in_either_form() {
        for document in [
            json!("quota"),
            json!({"http": {"hosts": ["pdp.example:8181"], "methods": ["POST"], "networks": ["private"], "timeout_ms": 500}}),
            json!({"http": {"hosts": ["pdp.example"]}}),
            json!({"fs": {"folder": "lists", "access": "write", "bytes_max": 1_000}}),
        ] {
            let grant: HostGrant = serde_json::from_value(document.clone()).unwrap();
            assert_eq!(serde_json::to_value(&grant).unwrap(), document);
        }
    }

    #[test]
    fn what_is_wrong_with_a_grant_is_said() {
        let said = |document: Value| {
            let grant: Result<HostGrant, _> = serde_json::from_value(document);
            grant.unwrap_err().to_string()
        };
        for (document, want) in [
            (json!({"http": {}}), "missing field `hosts`"),
            (
                json!({"http": {"hosts": [], "port": 1}}),
                "unknown field `port`",
            ),
            (json!({"sockets": {}}), "unknown variant `sockets`"),
            (
                json!({"http": {"hosts": [], "networks": ["all"]}}),
                "unknown variant `all`",
            ),
            (json!(7), "the name of a grant"),
        ] {
            let said = said(document.clone());
            assert!(said.contains(want), "{document}: {said}");
        }
    }
}
