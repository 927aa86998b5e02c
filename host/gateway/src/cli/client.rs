//! A small client of the admin API. Its errors say what to do.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Client as HttpClient, Error as HttpError};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use thiserror::Error;

use crate::config::stored_admin_token;
use crate::model::Secret;

/// Longest time of one request. Publishing a plugin compiles it.
const TIMEOUT_S: u64 = 120;
/// Largest reply, in bytes.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// Which gateway, and as whom.
#[derive(Debug, Clone, Args)]
pub(super) struct ClientArgs {
    /// The gateway's admin API.
    #[arg(
        long,
        env = "PORTCULLIS_ADMIN",
        value_name = "URL",
        default_value = "http://127.0.0.1:4445"
    )]
    admin: String,
    /// The admin token [default: the one in the data folder].
    #[arg(
        long,
        env = "PORTCULLIS_ADMIN_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    admin_token: Option<String>,
    /// The gateway's data folder, to read the admin token from.
    #[arg(
        long,
        env = "PORTCULLIS_DATA_DIR",
        value_name = "FOLDER",
        default_value = "./portcullis-data"
    )]
    data_dir: PathBuf,
}

/// Why the admin API did not do what it was asked.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    #[error("--admin {url}: write it as http://127.0.0.1:4445")]
    Url { url: String },
    #[error("no admin token: {}: {source}. Give --admin-token or PORTCULLIS_ADMIN_TOKEN, or --data-dir of a gateway on this machine", .path.display())]
    NoToken {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "nothing answers at {url}: is `portcullis serve` running there? Another address goes in --admin"
    )]
    Connect { url: String, source: HttpError },
    #[error("this machine's certificates cannot be read: {source}")]
    Certificates { source: std::io::Error },
    #[error("the request to {url} broke off: {source}")]
    Broken {
        url: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{url} gave no answer in {TIMEOUT_S} s")]
    Timeout { url: String },
    #[error(
        "the admin token is wrong: use the one of the gateway at {url} (admin-token in its data folder)"
    )]
    Unauthorized { url: String },
    #[error("{}", problem_text(.problem))]
    Refused { problem: Value },
    #[error("{url} answered {status}, but not as Portcullis does: is --admin its admin listener?")]
    Stranger { url: String, status: StatusCode },
}

impl ClientError {
    /// Whether what was asked for is not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { problem } if problem.get("status") == Some(&Value::from(404)))
    }
}

/// `detail`, after the field at fault and before the reason code.
fn problem_text(problem: &Value) -> String {
    let field = |name: &str| problem.get(name).and_then(Value::as_str);
    let mut text = field("detail")
        .or(field("title"))
        .unwrap_or_default()
        .to_owned();
    if let Some(pointer) = field("pointer").filter(|pointer| !pointer.is_empty()) {
        text = format!("{pointer}: {text}");
    }
    if let Some(code) = field("code") {
        text = format!("{text} ({code})");
    }
    text
}

/// A reply of the admin API.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

/// What is sent with a request.
pub(super) enum Payload {
    Nothing,
    Json(Value),
    Wasm(Vec<u8>),
}

/// One gateway's admin API.
pub(super) struct Client {
    base: String,
    token: Secret,
}

impl Client {
    pub(super) fn new(args: ClientArgs) -> Result<Self, ClientError> {
        let base = args.admin.trim_end_matches('/').to_owned();
        let valid = base.parse::<Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
        });
        if valid.is_none() {
            return Err(ClientError::Url { url: args.admin });
        }
        let token = match args.admin_token {
            Some(token) => Secret::new(token),
            None => stored_admin_token(&args.data_dir)
                .map_err(|(path, source)| ClientError::NoToken { path, source })?,
        };
        Ok(Self { base, token })
    }

    /// A gateway whose address and token are known.
    pub(super) fn at(base: &str, token: Secret) -> Self {
        Self {
            base: base.to_owned(),
            token,
        }
    }

    /// Sends one request to a path below the admin API's root; refusals are errors.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
        if_match: Option<u64>,
    ) -> Result<Reply, ClientError> {
        let url = format!("{}{path}", self.base);
        let (media_type, bytes) = match payload {
            Payload::Nothing => (None, Bytes::new()),
            Payload::Json(document) => {
                (Some("application/json"), Bytes::from(document.to_string()))
            }
            Payload::Wasm(bytes) => (Some("application/wasm"), Bytes::from(bytes)),
        };
        let mut request = Request::builder().method(method).uri(&url).header(
            header::AUTHORIZATION,
            format!("Bearer {}", self.token.expose()),
        );
        if let Some(media_type) = media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        if let Some(revision) = if_match {
            request = request.header(header::IF_MATCH, format!("\"{revision}\""));
        }
        let request = request
            .body(Full::new(bytes))
            .map_err(|source| ClientError::Broken {
                url: url.clone(),
                source: source.into(),
            })?;
        let reply =
            tokio::time::timeout(Duration::from_secs(TIMEOUT_S), self.exchange(request)).await;
        let reply = reply.map_err(|_elapsed| ClientError::Timeout { url: url.clone() })??;
        self.judge(reply, url)
    }

    pub(super) async fn get(&self, path: &str) -> Result<Reply, ClientError> {
        self.send(Method::GET, path, Payload::Nothing, None).await
    }

    /// Every item of a list, page after page.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>, ClientError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let query = cursor
                .map(|cursor| {
                    // A version may hold `+`.
                    let mut query = url::form_urlencoded::Serializer::new(String::new());
                    format!("&{}", query.append_pair("cursor", &cursor).finish())
                })
                .unwrap_or_default();
            let first = if path.contains('?') { '&' } else { '?' };
            let page = format!("{path}{first}limit=500{query}");
            let mut page = self.get(&page).await?.body;
            if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ClientError> {
        if request.uri().scheme_str() == Some("https") {
            let connector = hyper_rustls::HttpsConnectorBuilder::new()
                .with_native_roots()
                .map_err(|source| ClientError::Certificates { source })?;
            exchange(
                connector.https_only().enable_http1().build(),
                request,
                &self.base,
            )
            .await
        } else {
            exchange(HttpConnector::new(), request, &self.base).await
        }
    }

    fn judge(
        &self,
        (status, headers, bytes): (StatusCode, HeaderMap, Bytes),
        url: String,
    ) -> Result<Reply, ClientError> {
        let body = if bytes.is_empty() {
            Some(Value::Null)
        } else {
            serde_json::from_slice(&bytes).ok()
        };
        match body {
            Some(body) if status.is_success() => Ok(Reply {
                status,
                headers,
                body,
            }),
            Some(_) if status == StatusCode::UNAUTHORIZED => Err(ClientError::Unauthorized {
                url: self.base.clone(),
            }),
            Some(problem) if problem.get("detail").is_some() => {
                Err(ClientError::Refused { problem })
            }
            Some(_) | None => Err(ClientError::Stranger { url, status }),
        }
    }
}

async fn exchange<C>(
    connector: C,
    request: Request<Full<Bytes>>,
    url: &str,
) -> Result<(StatusCode, HeaderMap, Bytes), ClientError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client: HttpClient<C, Full<Bytes>> =
        HttpClient::builder(TokioExecutor::new()).build(connector);
    let reply = client.request(request).await.map_err(|source| {
        if source.is_connect() {
            ClientError::Connect {
                url: url.to_owned(),
                source,
            }
        } else {
            ClientError::Broken {
                url: url.to_owned(),
                source: source.into(),
            }
        }
    })?;
    let (parts, body) = reply.into_parts();
    let body = Limited::new(body, REPLY_BYTES_MAX).collect().await;
    let body = body.map_err(|source| ClientError::Broken {
        url: url.to_owned(),
        source,
    })?;
    Ok((parts.status, parts.headers, body.to_bytes()))
}
