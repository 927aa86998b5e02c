//! Tiny upstreams that answer as they are told: slowly, in nonsense, or not at all. They keep what they were asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::flow::Flow;
use crate::mcp::{SESSION_REVISION, STATELESS_REVISION};
use crate::wait;

/// Requests kept; later ones are answered and forgotten.
const KEPT_MAX: usize = 1_000;

/// What one request said.
#[derive(Debug, Clone)]
pub struct Asked {
    /// HTTP method.
    pub method: String,
    /// Header lines, in lower case up to the colon.
    pub headers: Vec<(String, String)>,
    /// The JSON-RPC message, or null.
    pub message: Value,
    /// The same, as it was written.
    pub text: String,
}

impl Asked {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }
}

/// How to answer a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// In full.
    Whole {
        /// HTTP status.
        status: u16,
        /// Media type.
        kind: &'static str,
        /// Body.
        body: String,
    },
    /// 200, in pieces, each written when there is room for it: nobody holds it whole.
    Flow(Flow),
    /// In full, but not before the gate opens.
    After(Gate, Box<Answer>),
    /// The same chunk again and again, then another one and the end.
    Repeated {
        /// Media type.
        kind: &'static str,
        /// What is repeated.
        chunk: String,
        /// How often; it may be more than anybody waits for.
        times: usize,
        /// Milliseconds between two of them.
        pause_ms: u64,
        /// The last chunk.
        last: String,
    },
    /// By these bytes, head and all, and the end of the connection.
    Raw(String),
    /// By these bytes, head and all, and nothing more while the connection stays open.
    Stalled(String),
    /// Never, while the connection stays open.
    Never,
    /// By closing the connection.
    HangUp,
}

impl Answer {
    /// 200 with JSON.
    #[must_use]
    pub fn json(body: &Value) -> Self {
        Self::Whole {
            status: 200,
            kind: "application/json",
            body: body.to_string(),
        }
    }
}

/// Holds answers back until a test opens it.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// Closed.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets every answer go.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn pass(&self) {
        // The sender lives as long as this gate.
        drop(self.0.subscribe().wait_for(|open| *open).await);
    }
}

/// A listening upstream. It ends with the runtime of its test.
pub struct Fake {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Fake {
    /// Starts one that answers by this rule.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(rule: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("its address"));
        let (asked, rule) = (Arc::new(Mutex::default()), Arc::new(rule));
        let kept = Arc::clone(&asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Connections end with this set, and it with the fake.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (rule, kept) = (Arc::clone(&rule), Arc::clone(&kept));
                connections
                    .spawn(async move { drop(converse(stream, rule.as_ref(), &kept).await) });
            }
        });
        Self {
            url,
            asked,
            _tasks: tasks,
        }
    }

    /// Its definition in a tenant.
    #[must_use]
    pub fn spec(&self) -> Value {
        json!({ "url": self.url })
    }

    /// Where it is served.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until it is asked for a tool.
    pub async fn is_called(&self) {
        wait::so("a call at the upstream", || !self.calls().is_empty()).await;
    }

    /// The calls of tools among what it was asked.
    #[must_use]
    pub fn calls(&self) -> Vec<Asked> {
        self.asked()
            .into_iter()
            .filter(|asked| asked.message["method"] == "tools/call")
            .collect()
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn converse(
    mut stream: TcpStream,
    rule: &(dyn Fn(&Asked) -> Answer + Send + Sync),
    kept: &Mutex<Vec<Asked>>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read);
    while let Some(asked) = hear(&mut read).await? {
        let mut answer = rule(&asked);
        {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT_MAX {
                kept.push(asked);
            }
        }
        while let Answer::After(gate, then) = answer {
            gate.pass().await;
            answer = *then;
        }
        match answer {
            Answer::Whole { status, kind, body } => {
                let head = format!(
                    "HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                write.write_all(head.as_bytes()).await?;
                write.write_all(body.as_bytes()).await?;
            }
            Answer::Flow(flow) => flow.pour(&mut write).await?,
            Answer::Repeated {
                kind,
                chunk,
                times,
                pause_ms,
                last,
            } => {
                let head =
                    format!("HTTP/1.1 200 -\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
                write.write_all(head.as_bytes()).await?;
                for _ in 0..times {
                    write.write_all(chunk.as_bytes()).await?;
                    if pause_ms > 0 {
                        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                    }
                }
                return write.write_all(last.as_bytes()).await;
            }
            Answer::Raw(bytes) => return write.write_all(bytes.as_bytes()).await,
            Answer::Stalled(bytes) => {
                write.write_all(bytes.as_bytes()).await?;
                std::future::pending().await
            }
            // No answer is left behind a gate.
            Answer::Never | Answer::After(..) => std::future::pending().await,
            Answer::HangUp => return Ok(()),
        }
    }
    Ok(())
}

/// The next request of a connection (HTTP/1.1 with `Content-Length`, which is what the gateway sends).
async fn hear<R: AsyncBufReadExt + Unpin>(read: &mut R) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    if read.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let method = line.split(' ').next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        read.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut asked = Asked {
        method,
        headers,
        message: Value::Null,
        text: String::new(),
    };
    let length = asked
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    read.read_exact(&mut body).await?;
    asked.message = serde_json::from_slice(&body).unwrap_or_default();
    asked.text = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(asked))
}

/// The rule of a small, well-behaved server of the session era without sessions: its tools are `names`, and `call`
/// answers calls of them.
pub fn server(
    names: &'static [&'static str],
    call: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Answer + Send + Sync {
    move |asked| {
        let id = asked.message["id"].clone();
        let result = match asked.message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": SESSION_REVISION, "capabilities": { "tools": {} },
                "serverInfo": { "name": "fake", "version": "1" },
            }),
            Some("tools/list") => {
                let tools = names
                    .iter()
                    .map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }));
                json!({ "tools": tools.collect::<Vec<_>>() })
            }
            Some("ping") => json!({}),
            Some("tools/call") => return call(asked),
            Some(method) if method.starts_with("notifications/") => {
                return Answer::Whole {
                    status: 202,
                    kind: "text/plain",
                    body: String::new(),
                };
            }
            Some(_) => {
                let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "Method not found" } });
                return Answer::Whole {
                    status: 400,
                    kind: "application/json",
                    body: error.to_string(),
                };
            }
            None => {
                return Answer::Whole {
                    status: 405,
                    kind: "text/plain",
                    body: String::new(),
                };
            }
        };
        Answer::json(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
    }
}

/// The rule of a server of the stateless era: `result` gives what it says to a method that it knows.
pub fn stateless(
    result: impl Fn(&Asked) -> Option<Value> + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Answer + Send + Sync {
    move |asked| {
        let id = &asked.message["id"];
        let known = result(asked).or_else(|| {
            (asked.message["method"] == "server/discover").then(|| {
                json!({
                    "resultType": "complete", "supportedVersions": [STATELESS_REVISION],
                    "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "private",
                })
            })
        });
        match known {
            Some(result) => Answer::json(&json!({ "jsonrpc": "2.0", "id": id, "result": result })),
            None => {
                let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "Method not found" } });
                Answer::Whole {
                    status: 404,
                    kind: "application/json",
                    body: error.to_string(),
                }
            }
        }
    }
}

/// A tool's answer with this text.
#[must_use]
pub fn says(asked: &Asked, text: &str) -> Answer {
    let result = json!({ "content": [{ "type": "text", "text": text }] });
    Answer::json(&json!({ "jsonrpc": "2.0", "id": asked.message["id"], "result": result }))
}
