//! From an upstream's refusal to its authorization server: RFC 9728, then RFC 8414 and OpenID Connect Discovery, each
//! place in the order that MCP gives ("Authorization Server Discovery").
//!
//! Comes before anything that shows a credential. What a document says of whom it is about is checked, never taken.

use serde::Deserialize;
use thiserror::Error;
use url::Url;

use super::web::{Web, WebError};

/// Why the authorization server of an upstream is not known.
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// The upstream's metadata is that of something else.
    #[error("the upstream's metadata is about {resource}, which it does not belong to")]
    OtherResource {
        /// The `resource` of the metadata.
        resource: String,
    },
    /// Nobody says which authorization server it is.
    #[error("the upstream names no authorization server: set `issuer`")]
    NoIssuer,
    /// Not the authorization server that was configured, or that the client is bound to.
    #[error(
        "the upstream names the authorization server {named}, but this client belongs to {ours}: if that is right, DELETE its `authorization` or change `issuer`"
    )]
    OtherIssuer {
        /// What it names.
        named: String,
        /// What the client is bound to.
        ours: String,
    },
    /// No metadata at any place where it may be.
    #[error("the authorization server {issuer} publishes no metadata")]
    NoMetadata {
        /// The server.
        issuer: String,
    },
    /// Metadata of another server (RFC 8414, section 3.3).
    #[error("the metadata of {issuer} says that it is of {found}")]
    OtherMetadata {
        /// Whose metadata was asked for.
        issuer: String,
        /// What it says.
        found: String,
    },
    /// A server cannot be asked.
    #[error(transparent)]
    Web(#[from] WebError),
}

/// An authorization server, and what it is asked for.
#[derive(Debug)]
pub(super) struct Server {
    /// The issuer, as its metadata writes it.
    pub(super) issuer: String,
    /// What tokens are to be good for (RFC 8707).
    pub(super) resource: String,
    /// Scopes that the upstream says it knows.
    pub(super) resource_scopes: Vec<String>,
    pub(super) token_endpoint: Url,
    pub(super) authorization_endpoint: Option<Url>,
    pub(super) registration_endpoint: Option<Url>,
    /// Methods by which clients may authenticate; none where it does not say.
    pub(super) auth_methods: Option<Vec<String>>,
    /// Whether the server gives refresh tokens to those who ask with a scope.
    pub(super) has_offline_access: bool,
    /// Whether a client may be known by the URL of its metadata.
    pub(super) takes_metadata_url: bool,
    /// Whether its answers name it (RFC 9207).
    pub(super) names_itself: bool,
    /// Whether it checks a code challenge by SHA-256 (RFC 7636).
    pub(super) checks_code_challenge: bool,
}

/// What is known before discovery.
pub(super) struct Known<'a> {
    /// The upstream.
    pub(super) url: &'a Url,
    /// `resource_metadata` of its challenge.
    pub(super) resource_metadata: Option<&'a str>,
    /// The issuer that the operator wrote.
    pub(super) issuer: Option<&'a str>,
    /// The issuer that was used before, and whether the client is of no use anywhere else.
    pub(super) before: Option<(&'a str, Bound)>,
}

/// Whether another authorization server can be used with the same definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// The client was registered by hand, at one server.
    ToServer,
    /// The gateway registers itself wherever it has to.
    Nowhere,
}

/// Protected resource metadata (RFC 9728, section 2).
#[derive(Deserialize)]
struct ResourceMetadata {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
}

/// Authorization server metadata (RFC 8414, section 2).
#[derive(Deserialize)]
struct ServerMetadata {
    issuer: String,
    token_endpoint: Url,
    authorization_endpoint: Option<Url>,
    registration_endpoint: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    client_id_metadata_document_supported: bool,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Finds the authorization server of an upstream.
///
/// # Errors
/// When there is none, it is one that the client does not belong to, or a document is not what it claims to be.
pub(super) async fn discover(web: &Web, known: &Known<'_>) -> Result<Server, DiscoveryError> {
    let found = match (resource_metadata(web, known).await?, known.issuer) {
        (Some(metadata), _) => {
            let issuer = choose(&metadata.authorization_servers, known)?;
            let found = server_metadata(web, issuer).await?;
            server(web, found, (metadata.resource, metadata.scopes_supported))
        }
        (None, Some(issuer)) => {
            let found = server_metadata(web, issuer).await?;
            server(web, found, (canonical(known.url), Vec::new()))
        }
        (None, None) => from_origin(web, known.url).await,
    }?;
    match known.before {
        Some((ours, Bound::ToServer)) if known.issuer.is_none() && ours != found.issuer => {
            Err(DiscoveryError::OtherIssuer {
                named: found.issuer,
                ours: ours.to_owned(),
            })
        }
        Some(_) | None => Ok(found),
    }
}

async fn resource_metadata(
    web: &Web,
    known: &Known<'_>,
) -> Result<Option<ResourceMetadata>, DiscoveryError> {
    const WHAT: &str = "protected resource metadata";
    let mut found = None;
    for place in resource_places(known)? {
        found = web
            .document::<ResourceMetadata>(&web.check(place)?, WHAT)
            .await?;
        if found.is_some() {
            break;
        }
    }
    match found {
        Some(metadata) if is_of(&metadata.resource, known.url) => Ok(Some(metadata)),
        Some(ResourceMetadata { resource, .. }) => Err(DiscoveryError::OtherResource { resource }),
        None => Ok(None),
    }
}

/// Where an upstream describes itself: where it says so, else at the well-known places.
fn resource_places(known: &Known<'_>) -> Result<Vec<Url>, DiscoveryError> {
    const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
    if let Some(told) = known.resource_metadata {
        let place = known.url.join(told).ok();
        return place
            .map(|place| vec![place])
            .ok_or(DiscoveryError::NoIssuer);
    }
    let path = known.url.path().trim_end_matches('/');
    let mut places = vec![at(known.url, &format!("{WELL_KNOWN}{path}"))];
    if !path.is_empty() {
        places.push(at(known.url, WELL_KNOWN));
    }
    Ok(places)
}

/// The resource is the upstream itself, or what it lies under on the same host.
fn is_of(resource: &str, upstream: &Url) -> bool {
    let Ok(resource) = Url::parse(resource) else {
        return false;
    };
    let under = resource.path().trim_end_matches('/');
    let below = upstream.path().strip_prefix(under);
    resource.origin() == upstream.origin()
        && resource.fragment().is_none()
        && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// The issuer to use of those that the upstream names: the operator's, the one before, the first.
fn choose<'a>(named: &'a [String], known: &Known<'a>) -> Result<&'a str, DiscoveryError> {
    let is_named = |issuer: &str| named.iter().any(|named| named == issuer);
    match (known.issuer, known.before) {
        (Some(ours), _) if named.is_empty() || is_named(ours) => Ok(ours),
        (Some(ours), _) => Err(DiscoveryError::OtherIssuer {
            named: named.first().cloned().unwrap_or_default(),
            ours: ours.to_owned(),
        }),
        (None, Some((before, _))) if is_named(before) => Ok(before),
        (None, _) => named
            .first()
            .map(String::as_str)
            .ok_or(DiscoveryError::NoIssuer),
    }
}

async fn server_metadata(web: &Web, issuer: &str) -> Result<ServerMetadata, DiscoveryError> {
    let none = || DiscoveryError::NoMetadata {
        issuer: issuer.to_owned(),
    };
    let url = Url::parse(issuer).ok().ok_or_else(none)?;
    let found = first_metadata(web, &url).await?.ok_or_else(none)?;
    if found.issuer == issuer {
        Ok(found)
    } else {
        Err(DiscoveryError::OtherMetadata {
            issuer: issuer.to_owned(),
            found: found.issuer,
        })
    }
}

/// The first metadata at the places of an issuer: with its path put in, then, for OpenID Connect, with its path before.
async fn first_metadata(web: &Web, issuer: &Url) -> Result<Option<ServerMetadata>, DiscoveryError> {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OPENID: &str = "/.well-known/openid-configuration";
    let path = issuer.path().trim_end_matches('/');
    let mut places = vec![format!("{OAUTH}{path}"), format!("{OPENID}{path}")];
    if !path.is_empty() {
        places.push(format!("{path}{OPENID}"));
    }
    for place in places {
        let place = web.check(at(issuer, &place))?;
        let found = web
            .document(&place, "authorization server metadata")
            .await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Upstreams of the first revision with authorization (MCP 2025-03-26) are their own authorization servers, with
/// endpoints at known places where they do not say.
async fn from_origin(web: &Web, upstream: &Url) -> Result<Server, DiscoveryError> {
    let origin = upstream.origin().ascii_serialization();
    let about = (canonical(upstream), Vec::new());
    match first_metadata(web, &at(upstream, "/")).await? {
        // Both ways of writing an origin are in use.
        Some(found) if found.issuer.strip_suffix('/').unwrap_or(&found.issuer) == origin => {
            server(web, found, about)
        }
        Some(found) => Err(DiscoveryError::OtherMetadata {
            issuer: origin,
            found: found.issuer,
        }),
        None => {
            let metadata = ServerMetadata {
                issuer: origin,
                token_endpoint: at(upstream, "/token"),
                authorization_endpoint: Some(at(upstream, "/authorize")),
                registration_endpoint: Some(at(upstream, "/register")),
                token_endpoint_auth_methods_supported: None,
                scopes_supported: Vec::new(),
                code_challenge_methods_supported: vec!["S256".to_owned()],
                client_id_metadata_document_supported: false,
                authorization_response_iss_parameter_supported: false,
            };
            server(web, metadata, about)
        }
    }
}

fn server(
    web: &Web,
    metadata: ServerMetadata,
    (resource, resource_scopes): (String, Vec<String>),
) -> Result<Server, DiscoveryError> {
    let has = |list: &[String], word: &str| list.iter().any(|listed| listed == word);
    let check = |url: Option<Url>| url.map(|url| web.check(url)).transpose();
    Ok(Server {
        issuer: metadata.issuer,
        resource,
        resource_scopes,
        token_endpoint: web.check(metadata.token_endpoint)?,
        authorization_endpoint: check(metadata.authorization_endpoint)?,
        registration_endpoint: check(metadata.registration_endpoint)?,
        auth_methods: metadata.token_endpoint_auth_methods_supported,
        has_offline_access: has(&metadata.scopes_supported, "offline_access"),
        takes_metadata_url: metadata.client_id_metadata_document_supported,
        names_itself: metadata.authorization_response_iss_parameter_supported,
        checks_code_challenge: has(&metadata.code_challenge_methods_supported, "S256"),
    })
}

/// The same scheme, host and port, at another path.
fn at(url: &Url, path: &str) -> Url {
    let mut place = url.clone();
    place.set_path(path);
    place.set_query(None);
    place.set_fragment(None);
    place
}

/// An upstream's URL as a resource indicator: without a query, and without a slash where there is no path.
fn canonical(upstream: &Url) -> String {
    let url = at(upstream, upstream.path());
    let text = url.as_str();
    text.strip_suffix('/')
        .filter(|_| url.path() == "/")
        .unwrap_or(text)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known<'a>(url: &'a Url, told: Option<&'a str>) -> Known<'a> {
        Known {
            url,
            resource_metadata: told,
            issuer: None,
            before: None,
        }
    }

    fn places(url: &str, told: Option<&str>) -> Vec<String> {
        let url = Url::parse(url).unwrap();
        let places = resource_places(&known(&url, told)).unwrap();
        places.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_upstream_describes_itself_where_it_says_or_at_the_known_places() {
        assert_eq!(
            places("https://a.example/v1/mcp?x=1", None),
            [
                "https://a.example/.well-known/oauth-protected-resource/v1/mcp",
                "https://a.example/.well-known/oauth-protected-resource",
            ]
        );
        assert_eq!(
            places("https://a.example", None),
            ["https://a.example/.well-known/oauth-protected-resource"]
        );
        assert_eq!(
            places("https://a.example/mcp", Some("https://b.example/meta")),
            ["https://b.example/meta"]
        );
        assert_eq!(
            places("https://a.example/mcp", Some("/meta")),
            ["https://a.example/meta"]
        );
    }

    #[test]
    fn metadata_is_about_the_upstream_or_what_it_lies_under() {
        let upstream = Url::parse("https://a.example/v1/mcp").unwrap();
        for (resource, want) in [
            ("https://a.example/v1/mcp", true),
            ("https://a.example/v1/mcp/", true),
            ("https://a.example/v1", true),
            ("https://a.example", true),
            ("https://a.example/v", false),
            ("https://a.example/v1/mcp/more", false),
            ("https://a.example/v1#x", false),
            ("http://a.example/v1", false),
            ("https://a.example:8443/v1", false),
            ("https://evil.example/v1/mcp", false),
            ("urn:a", false),
            ("", false),
        ] {
            assert_eq!(is_of(resource, &upstream), want, "{resource}");
        }
    }

    #[test]
    fn the_issuer_is_the_operators_then_the_one_before_then_the_first() {
        let url = Url::parse("https://a.example/mcp").unwrap();
        let named = [
            "https://one.example".to_owned(),
            "https://two.example".to_owned(),
        ];
        let (one, two, old) = (
            "https://one.example",
            "https://two.example",
            "https://old.example",
        );
        for (issuer, before, want) in [
            (None, None, Some(one)),
            (Some(two), None, Some(two)),
            (Some(old), None, None),
            (None, Some((two, Bound::Nowhere)), Some(two)),
            (None, Some((old, Bound::Nowhere)), Some(one)),
        ] {
            let known = Known {
                issuer,
                before,
                ..known(&url, None)
            };
            assert_eq!(choose(&named, &known).ok(), want, "{issuer:?} {before:?}");
        }
        assert!(choose(&[], &known(&url, None)).is_err());
    }

    #[test]
    fn a_resource_indicator_has_no_query_and_no_idle_slash() {
        for (url, want) in [
            ("https://a.example", "https://a.example"),
            ("https://a.example/?x=1#y", "https://a.example"),
            ("https://a.example/mcp/", "https://a.example/mcp/"),
            ("https://A.example:443/mcp?x", "https://a.example/mcp"),
        ] {
            assert_eq!(canonical(&Url::parse(url).unwrap()), want, "{url}");
        }
    }
}
