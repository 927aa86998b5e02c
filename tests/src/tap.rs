//! What an upstream is told: a tap on the line between the gateway and a server, which passes on every byte and keeps it.
//!
//! It shows what no client can see, such as whether a server was told that a call is cancelled.

use std::io::Result;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::wait;

/// How much is passed on at once.
const CHUNK_BYTES: usize = 16 << 10;

/// A tap. One on a connection ends with the runtime of whoever made it.
pub enum Tap {
    /// On the standard input of a command.
    Pipe(PathBuf),
    /// On the connections to a server.
    Wire(Wire),
}

/// A listener that connects whoever comes with a server.
pub struct Wire {
    address: SocketAddr,
    said: Said,
    _tasks: JoinSet<()>,
}

/// What came on each connection so far.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<Vec<u8>>>>);

/// A message that an upstream was told.
#[derive(Debug, PartialEq)]
struct Told {
    /// Path and session: the ids of its requests are told apart in there.
    place: String,
    message: Value,
}

impl Tap {
    /// A tap on this command, and what to run in its place. Both keep one process: the server is what is started.
    #[must_use]
    pub fn on_command(command: &[String], log: &Path) -> (Self, Vec<String>) {
        let script = r#"exec "$@" < <(exec tee -- "$0")"#;
        let mut tapped = vec!["bash".to_owned(), "-c".to_owned(), script.to_owned()];
        tapped.push(log.display().to_string());
        tapped.extend_from_slice(command);
        (Self::Pipe(log.to_owned()), tapped)
    }

    /// Waits until a call with these arguments was told, and that it is cancelled.
    ///
    /// # Panics
    /// When it is not, in [`wait::BOUND`].
    pub async fn hears_cancelled(&self, arguments: &Value) {
        let what = format!("the server to be told that the call with {arguments} is cancelled");
        wait::so(&what, || has_cancelled(&self.told(), arguments)).await;
    }

    fn told(&self) -> Vec<Told> {
        match self {
            Self::Pipe(log) => lines(&std::fs::read(log).unwrap_or_default()),
            Self::Wire(wire) => wire.said.told(),
        }
    }
}

impl Wire {
    /// Starts one before the server at `to`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let said = Said::default();
        let mut tasks = JoinSet::new();
        let noted = said.clone();
        tasks.spawn(async move {
            // Connections end with this set, and it with the tap.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let noted = noted.clone();
                // What breaks here is seen by the gateway, whose connection closes.
                connections.spawn(async move { drop(relay(client, to, &noted).await) });
            }
        });
        Self {
            address,
            said,
            _tasks: tasks,
        }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Said {
    fn open(&self) -> usize {
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connections.push(Vec::new());
        connections.len() - 1
    }

    fn note(&self, connection: usize, bytes: &[u8]) {
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connections[connection].extend_from_slice(bytes);
    }

    fn told(&self) -> Vec<Told> {
        let connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connections
            .iter()
            .flat_map(|bytes| requests(bytes))
            .collect()
    }
}

/// Serves one connection with one connection, so that each is closed when the other is.
async fn relay(mut client: TcpStream, to: SocketAddr, said: &Said) -> Result<()> {
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let connection = said.open();
    let up = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let len = from_client.read(&mut chunk).await?;
            if len == 0 {
                return Ok(());
            }
            said.note(connection, &chunk[..len]);
            to_server.write_all(&chunk[..len]).await?;
        }
    };
    tokio::select! {
        ended = up => ended,
        ended = tokio::io::copy(&mut from_server, &mut to_client) => ended.map(drop),
    }
}

/// Messages that came as lines; the last one may not have ended yet.
fn lines(bytes: &[u8]) -> Vec<Told> {
    let messages = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok());
    let told = messages.map(|message| Told {
        place: String::new(),
        message,
    });
    told.collect()
}

/// Messages that came as the bodies of requests; the last one may not be whole yet.
fn requests(mut bytes: &[u8]) -> Vec<Told> {
    const END: &[u8] = b"\r\n\r\n";
    let mut told = Vec::new();
    while let Some(end) = bytes.windows(END.len()).position(|found| found == END) {
        let head = String::from_utf8_lossy(&bytes[..end]);
        let len = header(&head, "content-length").parse().unwrap_or_default();
        let Some((body, rest)) = bytes[end + END.len()..].split_at_checked(len) else {
            break;
        };
        if let Ok(message) = serde_json::from_slice(body) {
            let line = head.lines().next().unwrap_or_default();
            let place = format!("{line} {}", header(&head, "mcp-session-id"));
            told.push(Told { place, message });
        }
        bytes = rest;
    }
    told
}

/// The value of a header, or nothing.
fn header<'a>(head: &'a str, wanted: &str) -> &'a str {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.map_or("", |(_, value)| value.trim())
}

fn has_cancelled(told: &[Told], arguments: &Value) -> bool {
    let mut calls = told
        .iter()
        .filter(|call| call.message["params"]["arguments"] == *arguments);
    calls.any(|call| {
        told.iter().any(|other| {
            other.place == call.place
                && other.message["method"] == "notifications/cancelled"
                && other.message["params"]["requestId"] == call.message["id"]
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(id: u32) -> Value {
        json!({ "id": id, "method": "tools/call", "params": { "name": "t", "arguments": { "n": id } } })
    }

    fn cancelled(id: u32) -> Value {
        json!({ "method": "notifications/cancelled", "params": { "requestId": id } })
    }

    fn post(session: &str, message: &Value) -> String {
        let body = message.to_string();
        format!(
            "POST /mcp HTTP/1.1\r\nMcp-Session-Id: {session}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    #[test]
    fn a_call_is_cancelled_where_it_was_made() {
        let wire = [
            post("a", &call(1)),
            post("b", &cancelled(1)),
            post("a", &call(2)),
            "GET /mcp HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
            post("a", &cancelled(2)),
        ];
        let whole = wire.concat();
        let told = requests(whole.as_bytes());
        assert_eq!(told.len(), 4);
        assert!(!has_cancelled(&told, &json!({ "n": 1 })), "{told:?}");
        assert!(has_cancelled(&told, &json!({ "n": 2 })), "{told:?}");
        let cut = requests(&whole.as_bytes()[..whole.len() - 1]);
        assert_eq!(cut, told[..3]);
    }

    #[test]
    fn lines_are_messages() {
        let text = format!("{}\n{}\n{{\"id\"", call(1), cancelled(1));
        let told = lines(text.as_bytes());
        assert_eq!(told.len(), 2);
        assert!(has_cancelled(&told, &json!({ "n": 1 })));
        assert!(!has_cancelled(&told, &json!({ "n": 2 })));
    }
}
