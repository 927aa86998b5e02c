//! The authorization server: metadata, consent, tokens, registration.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use url::form_urlencoded;

use super::{Listening, secret};

/// Parameters of a query or a form.
pub type Params = HashMap<String, String>;

/// What may be changed while it runs.
#[derive(Debug, Clone)]
pub struct ServerRules {
    /// Lifetime of access tokens; none to say nothing of it.
    pub lifetime: Option<Duration>,
    /// Authentication methods that it takes.
    pub auth_methods: Vec<&'static str>,
    /// Whether it registers whoever asks.
    pub registers: bool,
    /// Whether it gives refresh tokens.
    pub refreshes: bool,
    /// Whether it answers 503 to whatever it is asked.
    pub is_down: bool,
    /// Whether people say no.
    pub denies: bool,
    /// What its answers say that they come from; none for itself.
    pub answers_as: Option<String>,
    /// Members that replace those of its metadata; null removes one.
    pub metadata: Value,
}

impl Default for ServerRules {
    fn default() -> Self {
        Self {
            lifetime: Some(Duration::from_secs(3_600)),
            auth_methods: vec![
                "client_secret_basic",
                "client_secret_post",
                "private_key_jwt",
                "none",
            ],
            registers: true,
            refreshes: true,
            is_down: false,
            denies: false,
            answers_as: None,
            metadata: json!({}),
        }
    }
}

/// A request that it was sent.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Path of the endpoint.
    pub path: &'static str,
    /// Its parameters, or the members of its JSON that are texts.
    pub params: Params,
}

/// A running authorization server.
pub struct AuthorizationServer {
    inner: Arc<Inner>,
    _serving: JoinSet<()>,
}

struct Inner {
    url: String,
    state: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    rules: ServerRules,
    clients: HashMap<String, Client>,
    codes: HashMap<String, Granted>,
    refresh: HashMap<String, Granted>,
    subjects: HashMap<String, String>,
    access: HashMap<String, Access>,
    issued: HashSet<String>,
    asked: Vec<Asked>,
}

#[derive(Clone)]
enum Proof {
    None,
    Secret(String),
    Key(String),
}

#[derive(Clone)]
struct Client {
    proof: Proof,
    redirect_url: Option<String>,
}

/// What a code or a refresh token stands for.
#[derive(Clone, Default)]
struct Granted {
    client: String,
    subject: String,
    scope: String,
    resource: String,
    redirect_url: String,
    challenge: String,
}

/// What an access token is good for.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) subject: String,
    pub(super) scopes: Vec<String>,
    pub(super) resource: String,
    ends: Option<Instant>,
}

impl AuthorizationServer {
    /// Starts one with default rules.
    pub async fn start() -> Self {
        let listening = Listening::new().await;
        let inner = Arc::new(Inner {
            url: listening.url.clone(),
            state: Mutex::default(),
        });
        let app = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/register", post(register))
            .with_state(Arc::clone(&inner));
        Self {
            inner,
            _serving: listening.serve(app),
        }
    }

    /// Its issuer.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Changes its rules.
    pub fn change(&self, change: impl FnOnce(&mut ServerRules)) {
        change(&mut self.inner.lock().rules);
    }

    /// A client with a secret, registered by hand.
    pub fn client(&self, id: &str, secret: &str) {
        self.know(id, Proof::Secret(secret.to_owned()));
    }

    /// A client with a public key in PEM (P-256), registered by hand.
    pub fn client_with_key(&self, id: &str, public_pem: &str) {
        self.know(id, Proof::Key(public_pem.to_owned()));
    }

    /// A client without any proof, registered by hand.
    pub fn public_client(&self, id: &str) {
        self.know(id, Proof::None);
    }

    fn know(&self, id: &str, proof: Proof) {
        let client = Client {
            proof,
            redirect_url: None,
        };
        self.inner.lock().clients.insert(id.to_owned(), client);
    }

    /// A token of somebody else's that is exchanged for one of this server's, for that subject.
    pub fn subject(&self, token: &str, subject: &str) {
        let mut state = self.inner.lock();
        state.subjects.insert(token.to_owned(), subject.to_owned());
    }

    /// Makes every token that was given worthless.
    pub fn revoke(&self) {
        let mut state = self.inner.lock();
        state.access.clear();
        state.refresh.clear();
    }

    /// Makes every access token worthless, and leaves refresh tokens as they are.
    pub fn revoke_access(&self) {
        self.inner.lock().access.clear();
    }

    /// Every request so far, of one endpoint.
    #[must_use]
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        let state = self.inner.lock();
        state
            .asked
            .iter()
            .filter(|asked| asked.path == path)
            .cloned()
            .collect()
    }

    /// Every secret, code and token that it ever gave.
    #[must_use]
    pub fn issued(&self) -> HashSet<String> {
        self.inner.lock().issued.clone()
    }

    /// What a token is good for, while it is.
    pub(super) fn access(&self) -> impl Fn(&str) -> Option<Access> + Clone + Send + Sync + 'static {
        let inner = Arc::clone(&self.inner);
        move |token| {
            let access = inner.lock().access.get(token).cloned()?;
            access
                .ends
                .is_none_or(|ends| Instant::now() < ends)
                .then_some(access)
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; `None` while it is down.
    fn note(&self, path: &'static str, params: &Params) -> Option<MutexGuard<'_, Book>> {
        let mut state = self.lock();
        state.asked.push(Asked {
            path,
            params: params.clone(),
        });
        (!state.rules.is_down).then_some(state)
    }
}

impl Book {
    fn issue(&mut self, kind: &str) -> String {
        let value = secret(kind);
        self.issued.insert(value.clone());
        value
    }

    /// Who sends a token request, if it proves that it is.
    fn client_of(&self, headers: &HeaderMap, params: &Params, audience: &str) -> Option<String> {
        let text = |name: &str| params.get(name).map(String::as_str);
        let authorization = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let (method, id, shown) = match (
            authorization,
            text("client_secret"),
            text("client_assertion"),
        ) {
            (Some(basic), None, None) => {
                let both = STANDARD.decode(basic.strip_prefix("Basic ")?).ok()?;
                let both = String::from_utf8(both).ok()?;
                let (id, secret) = both.split_once(':')?;
                ("client_secret_basic", decoded(id), decoded(secret))
            }
            (None, Some(secret), None) => (
                "client_secret_post",
                text("client_id")?.to_owned(),
                secret.to_owned(),
            ),
            (None, None, Some(assertion)) => (
                "private_key_jwt",
                text("client_id")?.to_owned(),
                assertion.to_owned(),
            ),
            (None, None, None) => ("none", text("client_id")?.to_owned(), String::new()),
            _ => return None,
        };
        let is_proven = match &self.clients.get(&id)?.proof {
            Proof::None => method == "none",
            Proof::Secret(secret) => *secret == shown,
            Proof::Key(pem) => is_signed(pem, &shown, (&id, audience)),
        };
        (is_proven && self.rules.auth_methods.contains(&method)).then_some(id)
    }

    fn give(&mut self, granted: Granted) -> Response {
        let access = self.issue("at");
        let ends = self
            .rules
            .lifetime
            .map(|lifetime| Instant::now() + lifetime);
        let scopes = granted
            .scope
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let (resource, subject) = (granted.resource.clone(), granted.subject.clone());
        self.access.insert(
            access.clone(),
            Access {
                subject,
                scopes,
                resource,
                ends,
            },
        );
        let mut answer = json!({ "access_token": access, "token_type": "bearer" });
        if let Some(lifetime) = self.rules.lifetime {
            answer["expires_in"] = json!(lifetime.as_secs());
        }
        if self.rules.refreshes && !granted.challenge.is_empty() {
            let refresh = self.issue("rt");
            answer["refresh_token"] = json!(refresh);
            self.refresh.insert(refresh, granted);
        }
        axum::Json(answer).into_response()
    }
}

fn is_signed(public_pem: &str, assertion: &str, (id, audience): (&str, &str)) -> bool {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[id]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    let key = DecodingKey::from_ec_pem(public_pem.as_bytes()).expect("a public key");
    jsonwebtoken::decode::<Value>(assertion, &key, &validation)
        .is_ok_and(|token| token.claims["sub"] == id && token.claims["jti"].is_string())
}

fn decoded(text: &str) -> String {
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    pairs
        .next()
        .map_or_else(String::new, |(text, _)| text.into_owned())
}

fn params(text: &str) -> Params {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

fn down() -> Response {
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

fn refuse(status: u16, code: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let body = json!({ "error": code, "error_description": format!("no: {code}") });
    (status, axum::Json(body)).into_response()
}

async fn metadata(State(inner): State<Arc<Inner>>) -> Response {
    let Some(state) = inner.note("/metadata", &Params::new()) else {
        return down();
    };
    let url = &inner.url;
    let mut document = json!({
        "issuer": url, "authorization_endpoint": format!("{url}/authorize"), "token_endpoint": format!("{url}/token"),
        "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": state.rules.auth_methods,
        "authorization_response_iss_parameter_supported": true,
    });
    if state.rules.registers {
        document["registration_endpoint"] = json!(format!("{url}/register"));
    }
    for (name, value) in state.rules.metadata.as_object().into_iter().flatten() {
        document[name] = value.clone();
    }
    let members = document.as_object_mut().expect("an object");
    members.retain(|_, value| !value.is_null());
    axum::Json(document).into_response()
}

/// The page where people consent: this one does so at once.
async fn authorize(State(inner): State<Arc<Inner>>, RawQuery(query): RawQuery) -> Response {
    let params = params(&query.unwrap_or_default());
    let Some(mut state) = inner.note("/authorize", &params) else {
        return down();
    };
    let text = |name: &str| params.get(name).cloned().unwrap_or_default();
    let (id, redirect_url) = (text("client_id"), text("redirect_uri"));
    // Nobody is sent to a place that the client did not register.
    let is_known = state.clients.get(&id).is_some_and(|client| {
        client
            .redirect_url
            .as_ref()
            .is_none_or(|known| *known == redirect_url)
    });
    let is_whole = text("response_type") == "code"
        && text("code_challenge_method") == "S256"
        && !text("state").is_empty();
    if !is_known || !is_whole || text("resource").is_empty() {
        return refuse(400, "invalid_request");
    }
    let issuer = state
        .rules
        .answers_as
        .clone()
        .unwrap_or_else(|| inner.url.clone());
    let mut back = url::Url::parse(&redirect_url).expect("a redirect URL");
    back.query_pairs_mut()
        .append_pair("state", &text("state"))
        .append_pair("iss", &issuer);
    if state.rules.denies {
        back.query_pairs_mut().append_pair("error", "access_denied");
    } else {
        let code = state.issue("ac");
        back.query_pairs_mut().append_pair("code", &code);
        let granted = Granted {
            client: id,
            subject: String::new(),
            scope: text("scope"),
            resource: text("resource"),
            redirect_url,
            challenge: text("code_challenge"),
        };
        state.codes.insert(code, granted);
    }
    (StatusCode::FOUND, [(header::LOCATION, back.to_string())]).into_response()
}

async fn token(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: String) -> Response {
    let params = params(&body);
    let Some(mut state) = inner.note("/token", &params) else {
        return down();
    };
    let text = |name: &str| params.get(name).cloned().unwrap_or_default();
    let Some(client) = state.client_of(&headers, &params, &inner.url) else {
        return refuse(401, "invalid_client");
    };
    let granted = match text("grant_type").as_str() {
        "client_credentials" => Some(Granted {
            client,
            scope: text("scope"),
            resource: text("resource"),
            ..Granted::default()
        }),
        // Good once, whatever becomes of it.
        "authorization_code" => state.codes.remove(&text("code")).filter(|granted| {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(text("code_verifier")));
            granted.client == client
                && granted.challenge == challenge
                && granted.redirect_url == text("redirect_uri")
        }),
        "refresh_token" => {
            let granted = state.refresh.remove(&text("refresh_token"));
            granted.filter(|granted| granted.client == client)
        }
        "urn:ietf:params:oauth:grant-type:token-exchange" => {
            let kind = text("subject_token_type");
            let is_access = kind == "urn:ietf:params:oauth:token-type:access_token";
            let subject = state.subjects.get(&text("subject_token"));
            subject
                .filter(|_| is_access)
                .cloned()
                .map(|subject| Granted {
                    client,
                    subject,
                    scope: text("scope"),
                    resource: text("resource"),
                    ..Granted::default()
                })
        }
        _ => return refuse(400, "unsupported_grant_type"),
    };
    match granted {
        Some(granted) if granted.resource == text("resource") => state.give(granted),
        Some(_) => refuse(400, "invalid_target"),
        None => refuse(400, "invalid_grant"),
    }
}

async fn register(State(inner): State<Arc<Inner>>, body: String) -> Response {
    let wanted: Value = serde_json::from_str(&body).unwrap_or_default();
    let texts = wanted.as_object().into_iter().flatten();
    let params = texts.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let Some(mut state) = inner.note("/register", &params.collect()) else {
        return down();
    };
    if !state.rules.registers || wanted["redirect_uris"][0].as_str().is_none() {
        return refuse(400, "invalid_client_metadata");
    }
    let id = secret("client");
    let method = wanted["token_endpoint_auth_method"]
        .as_str()
        .unwrap_or("client_secret_basic");
    let mut answer = json!({
        "client_id": id, "redirect_uris": wanted["redirect_uris"], "token_endpoint_auth_method": method,
    });
    let proof = if method == "none" {
        Proof::None
    } else {
        let secret = state.issue("cs");
        answer["client_secret"] = json!(secret);
        answer["client_secret_expires_at"] = json!(0);
        Proof::Secret(secret)
    };
    let redirect_url = wanted["redirect_uris"][0].as_str().map(str::to_owned);
    state.clients.insert(
        id,
        Client {
            proof,
            redirect_url,
        },
    );
    (StatusCode::CREATED, axum::Json(answer)).into_response()
}
