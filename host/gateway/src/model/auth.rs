//! How the gateway proves itself to an upstream, as an operator writes it down.
//!
//! Part of an upstream's definition. What comes of it at run time, tokens and registrations, is a [`super::Grant`].

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Secret;

/// What the gateway shows an upstream, beside the static headers of its definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthSpec {
    /// Access tokens, which the gateway obtains and renews by itself (MCP, "Authorization").
    Oauth(OauthSpec),
}

/// The gateway as an OAuth client of one upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OauthSpec {
    /// How tokens are obtained.
    pub grant: GrantType,
    /// Issuer of the authorization server, compared as a string. Absent: the one that the upstream names; a `client.id`
    /// is then only ever shown to the first one that it named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Who the gateway is there.
    #[serde(default, skip_serializing_if = "OauthClientSpec::is_empty")]
    pub client: OauthClientSpec,
    /// What to ask for. Absent: what the upstream asks for, else what it says that it supports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// How tokens are obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GrantType {
    /// By the gateway alone (RFC 6749, section 4.4).
    ClientCredentials,
    /// By a person's consent, asked for once through the admin API (RFC 6749, section 4.1, with PKCE), and renewed
    /// with the refresh token that comes of it.
    AuthorizationCode,
    /// In exchange for the bearer token that the caller presented to the gateway (RFC 8693), which is shown to the
    /// authorization server alone. The gateway's own requests, such as lists, use client credentials.
    TokenExchange,
}

/// Who the gateway is at an authorization server. Empty: it registers itself (RFC 7591).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OauthClientSpec {
    /// Id of a client that is registered there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The client's secret. Never shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// In place of a secret, a private key in PEM: RSA, P-256, P-384 or Ed25519 (RFC 7523). Never shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<Secret>,
    /// The key's id at the authorization server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Where the client's metadata document is published, for servers that take its URL as an id. Others are asked for
    /// a registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_url: Option<String>,
}

impl OauthClientSpec {
    /// Whether nothing is known of the client in advance.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
