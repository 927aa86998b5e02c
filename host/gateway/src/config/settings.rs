//! Valid host settings, with every default in place. The one form that other rooms see.

mod plugins;
mod sandbox;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use crate::model::{Secret, check_name};

use super::raw::{RawCatalogue, RawLimits, RawSettings};

pub use plugins::{Login, PluginSettings, RegistrySettings};
pub use sandbox::SandboxSettings;

const ADMIN_TOKEN_LEN_MIN: usize = 16;
const SEAL_KEY_LEN_MIN: usize = 32;
const ORIGINS_MAX: usize = 100;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Host settings. `Serialize` redacts: this is what `/config` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where the admin API is served.
    pub admin_listen: SocketAddr,
    /// Folder of the store, of compiled plugins and of the admin token.
    pub data_dir: PathBuf,
    /// Bearer token of the admin API; none to use the one in the data folder (see [`super::admin_token`]).
    pub admin_token: Option<Secret>,
    /// How to log.
    pub log: LogSettings,
    /// Key of what clients are given to bring back, such as cursors; none for one that ends with the process.
    pub seal_key: Option<Secret>,
    /// Bounds on what clients can make the gateway hold.
    pub limits: Limits,
    /// How servers learn and show what their upstreams offer.
    pub catalogue: CatalogueSettings,
    /// Web pages that may call the gateway, as origins in lower case.
    pub allowed_origins: Vec<String>,
    /// Server that `/mcp` means when no server claims the request's host.
    pub default_server: Option<String>,
    /// Where browsers reach `/oauth/callback` of the admin listener; none for its address.
    pub oauth_callback_url: Option<Url>,
    /// At shutdown, how long requests in flight may go on, in seconds.
    pub drain_timeout_s: u64,
    /// Threads that serve connections; none for one for each processor.
    pub worker_threads: Option<usize>,
    /// Defaults and bounds of policy plugins.
    pub sandbox: SandboxSettings,
    /// Where plugins come from.
    pub plugins: PluginSettings,
}

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LogSettings {
    /// Form of a line.
    pub format: LogFormat,
    /// Least severity that is logged.
    pub level: LogLevel,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Text,
}

/// Least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures alone.
    Error,
    /// And what an operator should look at.
    Warn,
    /// And what changed.
    Info,
    /// And every request.
    Debug,
    /// And every step of it.
    Trace,
}

impl LogLevel {
    /// The level's name, as filters of `tracing` spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Bounds on what clients can make the gateway hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Largest request body, in bytes.
    pub body_bytes_max: u64,
    /// Most messages of one batch.
    pub batch_messages_max: u64,
    /// Most header bytes of one request.
    pub header_bytes_max: u64,
    /// Most open client connections.
    pub connections_max: u64,
    /// Most live MCP sessions of all tenants.
    pub sessions_max: u64,
    /// A session ends when it was not used for this long, in seconds.
    pub session_ttl_s: u64,
    /// Most processes that the callers of one upstream have to themselves.
    pub session_processes_max: u64,
    /// Longest time from a request to the beginning of its reply, in milliseconds.
    pub request_timeout_ms: u64,
    /// Largest single event of a streamed reply, and largest result that has to be read whole, in bytes.
    pub sse_event_bytes_max: u64,
    /// A stream that is quiet for this long gets a comment that keeps it open, in seconds.
    pub sse_keep_alive_s: u64,
    /// Longest time of a reply from its beginning to its end, whatever comes meanwhile, in seconds.
    pub stream_time_max_s: u64,
    /// Most events that are kept of one stream for a client that comes back to it.
    pub stream_events_max: u64,
    /// Most bytes that are kept of one stream for a client that comes back to it.
    pub stream_bytes_max: u64,
    /// Most messages that are under way on one stream of HTTP+SSE, or one WebSocket.
    pub connection_messages_max: u64,
    /// How often a WebSocket is pinged, in seconds; a client that stays silent for two of them is gone.
    pub websocket_ping_s: u64,
}

/// How servers learn and show what their upstreams offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CatalogueSettings {
    /// Most entries of one page of a listing.
    pub page_entries_max: u64,
    /// An upstream is asked again what it offers after this long, in seconds.
    pub refresh_s: u64,
    /// Longest wait of a first listing for upstreams that have not answered when others have, in milliseconds.
    pub wait_ms: u64,
    /// What an upstream offered last stays listed for this long when it does not answer any more, in seconds.
    pub grace_s: u64,
}

/// A key whose value is not possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSetting {
    /// Key path, for example `limits.body_bytes_max`.
    pub key: String,
    /// What is wrong, and what is possible.
    pub message: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4444)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 4445)),
            data_dir: PathBuf::from("./portcullis-data"),
            admin_token: None,
            log: LogSettings {
                format: LogFormat::Json,
                level: LogLevel::Info,
            },
            seal_key: None,
            limits: Limits {
                body_bytes_max: 4 * MIB,
                batch_messages_max: 100,
                header_bytes_max: 64 * KIB,
                connections_max: 10_000,
                sessions_max: 100_000,
                session_ttl_s: 3_600,
                session_processes_max: 64,
                request_timeout_ms: 120_000,
                sse_event_bytes_max: 4 * MIB,
                sse_keep_alive_s: 15,
                stream_time_max_s: 3_600,
                stream_events_max: 256,
                stream_bytes_max: 256 * KIB,
                connection_messages_max: 256,
                websocket_ping_s: 30,
            },
            catalogue: CatalogueSettings {
                page_entries_max: 1_000,
                refresh_s: 300,
                wait_ms: 2_000,
                grace_s: 300,
            },
            allowed_origins: Vec::new(),
            default_server: None,
            oauth_callback_url: None,
            drain_timeout_s: 30,
            worker_threads: None,
            sandbox: SandboxSettings::default(),
            plugins: PluginSettings::default(),
        }
    }
}

impl TryFrom<RawSettings> for Settings {
    type Error = InvalidSetting;

    fn try_from(raw: RawSettings) -> Result<Self, InvalidSetting> {
        let default = Self::default();
        let listen = raw.listen.unwrap_or(default.listen);
        let admin_listen = raw.admin_listen.unwrap_or(default.admin_listen);
        if listen == admin_listen && listen.port() != 0 {
            return Err(invalid(
                "admin_listen",
                format!("{admin_listen} is `listen` too: give the admin API a port of its own"),
            ));
        }
        let worker_threads = match raw.worker_threads {
            Some(threads) => Some(between("worker_threads", threads, 1, 1_024)?),
            None => None,
        };
        Ok(Self {
            listen,
            admin_listen,
            data_dir: raw.data_dir.unwrap_or(default.data_dir),
            admin_token: secret("admin_token", raw.admin_token, ADMIN_TOKEN_LEN_MIN)?,
            log: LogSettings {
                format: raw.log.format.unwrap_or(default.log.format),
                level: raw.log.level.unwrap_or(default.log.level),
            },
            seal_key: secret("seal_key", raw.seal_key, SEAL_KEY_LEN_MIN)?,
            limits: limits(raw.limits, default.limits)?,
            catalogue: catalogue(raw.catalogue, default.catalogue)?,
            allowed_origins: origins(raw.allowed_origins.unwrap_or_default())?,
            default_server: default_server(raw.default_server)?,
            oauth_callback_url: callback_url(raw.oauth_callback_url)?,
            drain_timeout_s: between(
                "drain_timeout_s",
                raw.drain_timeout_s.unwrap_or(default.drain_timeout_s),
                0,
                3_600,
            )?,
            worker_threads: worker_threads.and_then(|threads| usize::try_from(threads).ok()),
            sandbox: sandbox::checked(raw.sandbox, default.sandbox)?,
            plugins: raw.plugins.try_into()?,
        })
    }
}

fn limits(raw: RawLimits, default: Limits) -> Result<Limits, InvalidSetting> {
    let within = |key: &str, set: Option<u64>, default: u64, (min, max): (u64, u64)| {
        between(&format!("limits.{key}"), set.unwrap_or(default), min, max)
    };
    macro_rules! limits {
        ($($key:ident in $bounds:expr),* $(,)?) => {
            Limits { $($key: within(stringify!($key), raw.$key, default.$key, $bounds)?),* }
        };
    }
    Ok(limits! {
        body_bytes_max in (KIB, GIB),
        batch_messages_max in (1, 10_000),
        header_bytes_max in (8 * KIB, MIB),
        connections_max in (1, 1_000_000),
        sessions_max in (1, 10_000_000),
        session_ttl_s in (1, 30 * 86_400),
        session_processes_max in (1, 100_000),
        request_timeout_ms in (1, 3_600_000),
        sse_event_bytes_max in (KIB, GIB),
        sse_keep_alive_s in (1, 3_600),
        stream_time_max_s in (1, 7 * 86_400),
        stream_events_max in (1, 100_000),
        stream_bytes_max in (KIB, GIB),
        connection_messages_max in (1, 100_000),
        websocket_ping_s in (1, 3_600),
    })
}

fn catalogue(
    raw: RawCatalogue,
    default: CatalogueSettings,
) -> Result<CatalogueSettings, InvalidSetting> {
    let within = |key: &str, set: Option<u64>, default: u64, (min, max): (u64, u64)| {
        between(
            &format!("catalogue.{key}"),
            set.unwrap_or(default),
            min,
            max,
        )
    };
    macro_rules! catalogue {
        ($($key:ident in $bounds:expr),* $(,)?) => {
            CatalogueSettings { $($key: within(stringify!($key), raw.$key, default.$key, $bounds)?),* }
        };
    }
    Ok(catalogue! {
        page_entries_max in (1, 10_000),
        refresh_s in (1, 86_400),
        wait_ms in (0, 600_000),
        grace_s in (0, 30 * 86_400),
    })
}

fn between(key: &str, number: u64, min: u64, max: u64) -> Result<u64, InvalidSetting> {
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(invalid(
            key,
            format!("{number} is out of range: use {min} to {max}"),
        ))
    }
}

fn secret(
    key: &str,
    secret: Option<Secret>,
    len_min: usize,
) -> Result<Option<Secret>, InvalidSetting> {
    let Some(secret) = secret else {
        return Ok(None);
    };
    let text = secret.expose();
    if text.len() < len_min || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(invalid(
            key,
            format!("use at least {len_min} printable ASCII characters without spaces"),
        ));
    }
    Ok(Some(secret))
}

fn default_server(name: Option<String>) -> Result<Option<String>, InvalidSetting> {
    if let Some(name) = &name {
        check_name(name).map_err(|error| invalid("default_server", error.to_string()))?;
    }
    Ok(name)
}

/// RFC 6749, section 3.1.2: absolute, and without a fragment. What is asked for goes into the query.
fn callback_url(url: Option<Url>) -> Result<Option<Url>, InvalidSetting> {
    let Some(url) = url else { return Ok(None) };
    let is_web = matches!(url.scheme(), "http" | "https");
    let is_bare = url.username().is_empty() && url.password().is_none();
    if is_web && is_bare && url.query().is_none() && url.fragment().is_none() {
        Ok(Some(url))
    } else {
        let message = format!(
            "`{}` is not possible: write it as https://gateway.example/oauth/callback",
            url.as_str().chars().take(80).collect::<String>()
        );
        Err(invalid("oauth_callback_url", message))
    }
}

/// An origin is scheme, host and port, and nothing else (RFC 6454, section 6.1).
fn origins(origins: Vec<String>) -> Result<Vec<String>, InvalidSetting> {
    if origins.len() > ORIGINS_MAX {
        return Err(invalid(
            "allowed_origins",
            format!("{} origins: at most {ORIGINS_MAX}", origins.len()),
        ));
    }
    for (at, origin) in origins.iter().enumerate() {
        let host = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"))
            .unwrap_or_default();
        let authority = !host.contains('@') && host.parse::<http::uri::Authority>().is_ok();
        if !authority {
            return Err(invalid(
                &format!("allowed_origins[{at}]"),
                format!(
                    "`{origin}` is not an origin: write it as https://app.example.com, without a path"
                ),
            ));
        }
    }
    Ok(origins
        .into_iter()
        .map(|origin| origin.to_ascii_lowercase())
        .collect())
}

fn invalid(key: &str, message: String) -> InvalidSetting {
    InvalidSetting {
        key: key.to_owned(),
        message,
    }
}
