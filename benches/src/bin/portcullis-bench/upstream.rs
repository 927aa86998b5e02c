//! An MCP server that does next to nothing, fast: what is measured is the way to it.
//!
//! It runs as a process of its own, on one thread, speaks the session era, and counts the tool calls that reach it.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis_benches::plan;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::time::Interval;
use tokio_util::task::TaskTracker;

use crate::error::BenchError;
use crate::http::Connection;
use crate::process::Process;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const SESSION_ID: &str = "mcp-session-id";
/// How often a session is told something on its stream.
const TICK: Duration = Duration::from_secs(1);
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Where it offers a hundred tools.
pub const MANY: &str = "/mcp/many";

/// The upstream's process, as the driver holds it.
pub struct Upstream {
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Upstream {
    /// Starts it: this very program, as another process.
    pub fn start(folder: &Path) -> Result<Self, BenchError> {
        let program = std::env::current_exe()
            .map_err(|source| BenchError::io("this program cannot find itself", source))?;
        let mut process = Process::start(
            "upstream",
            folder,
            Command::new(program).arg("--serve-upstream"),
            Stdio::piped(),
        )?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(|source| BenchError::io("the upstream says nothing", source))?;
        }
        match line.trim().parse() {
            Ok(address) => Ok(Self { process, address }),
            Err(_) => Err(process.check().err().unwrap_or_else(|| {
                BenchError::failed("the upstream does not say where it listens")
            })),
        }
    }

    /// Tool calls that have reached it.
    pub async fn calls(&self) -> Result<u64, BenchError> {
        let mut connection = Connection::open(self.address).await?;
        let request = Request::get("/calls").body(Full::default());
        let request = request.map_err(|error| BenchError::failed(error.to_string()))?;
        let reply = connection.send(request).await?;
        reply
            .excerpt()
            .parse()
            .map_err(|_not_a_number| BenchError::failed("the upstream cannot count"))
    }
}

/// The upstream itself: serves until standard input ends, hence never longer than who started it.
pub fn run() -> Result<(), BenchError> {
    std::thread::spawn(|| {
        // Nothing is ever sent; the end is what is waited for.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| BenchError::io("the runtime did not start", source))?;
    runtime
        .block_on(serve())
        .map_err(|source| BenchError::io("the upstream stopped", source))
}

async fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", listener.local_addr()?)?;
    stdout.flush()?;
    let server = Arc::new(Server::new());
    let tasks = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let server = Arc::clone(&server);
        tasks.spawn(async move {
            let answer = service_fn(move |request| {
                let server = Arc::clone(&server);
                async move { Ok::<_, Infallible>(server.answer(request).await) }
            });
            // A client that goes away is no news.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

struct Server {
    /// Results as JSON text, made once.
    result: String,
    tools: String,
    many_tools: String,
    calls: AtomicU64,
    sessions: AtomicU64,
}

/// As much of a message as decides the answer.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: &'a str,
}

impl Server {
    fn new() -> Self {
        Self {
            result: plan::result().to_string(),
            tools: json!({"tools": plan::tools()}).to_string(),
            many_tools: json!({"tools": plan::many_tools()}).to_string(),
            calls: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Either<Full<Bytes>, Ticks>> {
        match *request.method() {
            Method::GET if request.headers().contains_key(SESSION_ID) => {
                let mut reply = Response::new(Either::Right(Ticks::new()));
                reply.headers_mut().insert(CONTENT_TYPE, EVENT_STREAM);
                reply
            }
            _ => self.answer_whole(request).await.map(Either::Left),
        }
    }

    async fn answer_whole(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match *request.method() {
            Method::POST => {}
            Method::DELETE => return empty(StatusCode::OK),
            Method::GET if request.uri().path() == "/calls" => {
                return Response::new(Full::from(self.calls.load(Ordering::Relaxed).to_string()));
            }
            _ => return empty(StatusCode::METHOD_NOT_ALLOWED),
        }
        let tools = match request.uri().path().starts_with(MANY) {
            true => &self.many_tools,
            false => &self.tools,
        };
        let Ok(body) = request.into_body().collect().await else {
            return empty(StatusCode::BAD_REQUEST);
        };
        let body = body.to_bytes();
        let Ok(message) = serde_json::from_slice::<Envelope<'_>>(&body) else {
            return empty(StatusCode::BAD_REQUEST);
        };
        match message.id {
            Some(id) => self.reply((message.method, tools), id.get()),
            None => empty(StatusCode::ACCEPTED),
        }
    }

    fn reply(&self, (method, tools): (&str, &str), id: &str) -> Response<Full<Bytes>> {
        match method {
            "tools/call" => {
                self.calls.fetch_add(1, Ordering::Relaxed);
                result(id, &self.result)
            }
            "tools/list" => result(id, tools),
            "ping" => result(id, "{}"),
            "initialize" => {
                let number = self.sessions.fetch_add(1, Ordering::Relaxed);
                let hello = json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "bench-upstream", "version": "0.1.0"},
                });
                let mut reply = result(id, &hello.to_string());
                if let Ok(session) = HeaderValue::from_str(&format!("bench-{number}")) {
                    reply.headers_mut().insert(SESSION_ID, session);
                }
                reply
            }
            _ => json(format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"Method not found"}}}}"#
            )),
        }
    }
}

/// A session's stream: a numbered notification a second.
struct Ticks {
    clock: Interval,
    number: u64,
}

impl Ticks {
    fn new() -> Self {
        Self {
            clock: tokio::time::interval(TICK),
            number: 0,
        }
    }
}

impl Body for Ticks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.clock.poll_tick(context));
        self.number += 1;
        let event = format!(
            "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{{\"level\":\"info\",\"data\":{}}}}}\n\n",
            self.number
        );
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}

fn result(id: &str, result: &str) -> Response<Full<Bytes>> {
    json(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#
    ))
}

fn json(body: String) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::from(body));
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = status;
    reply
}
