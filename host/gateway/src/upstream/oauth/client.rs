//! Who the gateway is at an authorization server, and how it proves that to the token endpoint.
//!
//! Known in advance, by the URL of its metadata, or registered on the spot (RFC 7591), in the order that MCP gives.
//! Before it: discovery. After it: the token endpoint.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use jsonwebtoken::Header;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;
use url::{Url, form_urlencoded};

use super::discovery::Server;
use super::error::{OauthError, Refused, shown};
use super::token::Form;
use super::web::{Web, WebError, is_loopback};
use crate::model::{AuthMethod, OauthClientSpec, Registration, Secret};
use crate::signing::signers;

/// How long an assertion is good for: long enough for clocks that differ.
const ASSERTION_S: u64 = 120;
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Why the gateway is nobody at an authorization server.
#[derive(Debug, Error)]
pub enum ClientError {
    /// It was not told who it is, and has not registered.
    #[error("the gateway is not known at the authorization server {issuer}: give `client.id`")]
    Unknown {
        /// The server.
        issuer: String,
    },
    /// The registration was refused.
    #[error("the authorization server refused to register the gateway: {0}; give `client.id`")]
    Registration(Refused),
    /// The private key signs nothing.
    #[error("the client's private key cannot be used")]
    Key(#[source] Option<jsonwebtoken::errors::Error>),
    /// Id and secret fit in no header.
    #[error("the client's id and secret are too long")]
    Secret,
}

/// A client of one authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) id: String,
    proof: Proof,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Proof {
    None,
    Basic(Secret),
    Post(Secret),
    Key { pem: Secret, id: Option<String> },
}

impl Client {
    /// The client that the operator wrote down, or that is known by the URL of its metadata there.
    ///
    /// # Errors
    /// When the server takes no proof that the client could give.
    pub(super) fn of_spec(
        spec: &OauthClientSpec,
        server: &Server,
    ) -> Result<Option<Self>, OauthError> {
        let id = match (&spec.id, &spec.metadata_url) {
            (Some(id), _) => id,
            (None, Some(url)) if server.takes_metadata_url => url,
            (None, _) => return Ok(None),
        };
        let proof = match (&spec.private_key, &spec.secret) {
            (Some(pem), _) => Proof::Key {
                pem: pem.clone(),
                id: spec.key_id.clone(),
            },
            (None, Some(secret)) => Proof::with_secret(method(server)?, secret),
            (None, None) => Proof::None,
        };
        Ok(Some(Self {
            id: id.clone(),
            proof,
        }))
    }

    /// A client that the gateway registered.
    pub(super) fn of_registration(registration: &Registration) -> Self {
        let proof = registration
            .client_secret
            .as_ref()
            .map_or(Proof::None, |secret| {
                Proof::with_secret(registration.auth_method, secret)
            });
        Self {
            id: registration.client_id.clone(),
            proof,
        }
    }

    /// Adds to a request what proves who sends it (RFC 6749, section 2.3; RFC 7523, section 2.2).
    pub(super) fn sign(
        &self,
        server: &Server,
        (form, headers): (&mut Form, &mut HeaderMap),
    ) -> Result<(), OauthError> {
        match &self.proof {
            Proof::None => form.add("client_id", &self.id),
            Proof::Basic(secret) => {
                headers.insert(header::AUTHORIZATION, basic(&self.id, secret)?);
            }
            Proof::Post(secret) => {
                form.add("client_id", &self.id);
                form.add("client_secret", secret.expose());
            }
            Proof::Key { pem, id } => {
                form.add("client_id", &self.id);
                form.add("client_assertion_type", ASSERTION_TYPE);
                form.add(
                    "client_assertion",
                    &assertion(&self.id, &server.issuer, (pem, id.as_ref()))?,
                );
            }
        }
        Ok(())
    }
}

impl Proof {
    fn with_secret(method: AuthMethod, secret: &Secret) -> Self {
        match method {
            AuthMethod::ClientSecretBasic => Self::Basic(secret.clone()),
            AuthMethod::ClientSecretPost => Self::Post(secret.clone()),
            AuthMethod::None | AuthMethod::PrivateKeyJwt => Self::None,
        }
    }
}

/// How a client with a secret authenticates there; Basic where the server does not say (RFC 8414, section 2).
fn method(server: &Server) -> Result<AuthMethod, OauthError> {
    let Some(supported) = &server.auth_methods else {
        return Ok(AuthMethod::ClientSecretBasic);
    };
    [
        AuthMethod::ClientSecretBasic,
        AuthMethod::ClientSecretPost,
        AuthMethod::None,
    ]
    .into_iter()
    .find(|method| supported.iter().any(|name| name == method.as_str()))
    .ok_or_else(|| OauthError::Unsupported {
        issuer: server.issuer.clone(),
        what: "way to authenticate with a secret",
    })
}

/// Id and secret are form-encoded first (RFC 6749, section 2.3.1).
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, ClientError> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let both = format!("{}:{}", encode(id), encode(secret.expose()));
    let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(both)));
    let mut value = value.ok().ok_or(ClientError::Secret)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A signed statement of who the client is, for this server and for a moment (RFC 7523, section 3).
fn assertion(
    id: &str,
    audience: &str,
    (pem, key_id): (&Secret, Option<&String>),
) -> Result<String, ClientError> {
    let now_s = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let claims = json!({
        "iss": id, "sub": id, "aud": audience, "iat": now_s, "exp": now_s + ASSERTION_S, "jti": random(),
    });
    let mut last = None;
    for (algorithm, key) in signers(pem.expose().as_bytes()) {
        let mut header = Header::new(algorithm);
        header.kid = key_id.cloned();
        match jsonwebtoken::encode(&header, &claims, &key) {
            Ok(signed) => return Ok(signed),
            Err(error) => last = Some(error),
        }
    }
    Err(ClientError::Key(last))
}

/// 256 random bits that go into a URL as they are.
pub(super) fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// A registration response (RFC 7591, section 3.2.1).
#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<Secret>,
    #[serde(default)]
    client_secret_expires_at: u64,
    token_endpoint_auth_method: Option<AuthMethod>,
}

/// Registers the gateway, as one that asks people for consent.
///
/// # Errors
/// When the server takes no registrations, or not this one.
pub(super) async fn register(
    web: &Web,
    server: &Server,
    redirect_url: &Url,
) -> Result<Registration, OauthError> {
    const WHAT: &str =
        "registration endpoint, and the gateway is not known there: give `client.id`";
    let endpoint =
        server
            .registration_endpoint
            .as_ref()
            .ok_or_else(|| OauthError::Unsupported {
                issuer: server.issuer.clone(),
                what: WHAT,
            })?;
    let method = method(server)?;
    let application = if is_loopback(redirect_url) {
        "native"
    } else {
        "web"
    };
    let wanted = json!({
        "client_name": "Portcullis",
        "application_type": application,
        "redirect_uris": [redirect_url],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method.as_str(),
    });
    let body = (HeaderMap::new(), "application/json");
    let answer = web.post(endpoint, body, wanted.to_string()).await?;
    if !answer.status.is_success() {
        let refused = refused(&answer.body, answer.status);
        return Err(ClientError::Registration(refused).into());
    }
    let registered: Registered =
        serde_json::from_slice(&answer.body)
            .ok()
            .ok_or_else(|| WebError::Document {
                url: shown(endpoint),
                what: "registration",
            })?;
    // Some servers give an empty secret to a client that has none.
    let client_secret = registered
        .client_secret
        .filter(|secret| !secret.expose().is_empty());
    Ok(Registration {
        client_id: registered.client_id,
        client_secret,
        auth_method: registered.token_endpoint_auth_method.unwrap_or(method),
        redirect_url: redirect_url.to_string(),
        expires_at_ms: Some(registered.client_secret_expires_at)
            .filter(|at_s| *at_s > 0)
            .map(|at_s| at_s.saturating_mul(1_000)),
    })
}

/// An error response, or its status where it is none.
pub(super) fn refused(body: &[u8], status: http::StatusCode) -> Refused {
    #[derive(Deserialize)]
    struct Body {
        error: String,
        error_description: Option<String>,
    }
    match serde_json::from_slice::<Body>(body) {
        Ok(body) => Refused::new(&body.error, body.error_description.as_deref()),
        Err(_no_document) => Refused::new(&format!("HTTP status {}", status.as_u16()), None),
    }
}
