//! What reaches an upstream, byte for byte: a forwarder on loopback before a server, or a copy of what a process reads.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

/// Everything that was sent to one upstream. A forwarder ends with the runtime of whoever started it.
pub struct Recorder {
    spec: Value,
    record: Record,
}

enum Record {
    Wire {
        heard: Arc<Mutex<Vec<u8>>>,
        _tasks: JoinSet<()>,
    },
    /// In a folder of its own.
    File(TempDir),
}

/// The record of a process, in its folder.
const FILE: &str = "input";
/// Writes each line down before the process gets it.
const COPY: &str = r#"while IFS= read -r line; do printf '%s\n' "$line" >>"$0"; printf '%s\n' "$line"; done | "$@""#;

impl Recorder {
    /// Of an upstream with this definition, by URL or by command.
    ///
    /// # Panics
    /// When it cannot be recorded.
    pub async fn before(mut spec: Value) -> Self {
        if spec.get("command").is_some() {
            return Self::of_process(spec);
        }
        let mut url: Url = spec["url"]
            .as_str()
            .and_then(|url| url.parse().ok())
            .expect("a URL");
        let to = url.socket_addrs(|| None).expect("an address")[0];
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        url.set_port(Some(port)).expect("a URL with a port");
        spec["url"] = json!(url.as_str());
        let (heard, mut tasks) = (Arc::new(Mutex::default()), JoinSet::new());
        tasks.spawn(forward(listener, to, Arc::clone(&heard)));
        let record = Record::Wire {
            heard,
            _tasks: tasks,
        };
        Self { spec, record }
    }

    fn of_process(mut spec: Value) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join(FILE);
        std::fs::write(&file, "").expect("a file");
        let mut command = vec![json!("sh"), json!("-c"), json!(COPY), json!(file)];
        command.extend(
            spec["command"]
                .as_array()
                .expect("a command")
                .iter()
                .cloned(),
        );
        spec["command"] = json!(command);
        let record = Record::File(folder);
        Self { spec, record }
    }

    /// The upstream's definition, by which all goes through here.
    #[must_use]
    pub fn spec(&self) -> Value {
        self.spec.clone()
    }

    /// What was sent to it so far.
    ///
    /// # Panics
    /// When the record is lost.
    #[must_use]
    pub fn heard(&self) -> String {
        let heard = match &self.record {
            Record::Wire { heard, .. } => {
                heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
            Record::File(folder) => std::fs::read(folder.path().join(FILE)).expect("the record"),
        };
        String::from_utf8_lossy(&heard).into_owned()
    }
}

async fn forward(listener: TcpListener, to: SocketAddr, heard: Arc<Mutex<Vec<u8>>>) {
    // Connections end with this set, and it with the recorder.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let heard = Arc::clone(&heard);
        // What breaks here is seen by the client, whose connection closes.
        connections.spawn(async move { drop(relay(client, to, &heard).await) });
    }
}

async fn relay(
    mut client: TcpStream,
    to: SocketAddr,
    heard: &Mutex<Vec<u8>>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let sent = async {
        let mut chunk = vec![0; 16 << 10];
        loop {
            let read = from_client.read(&mut chunk).await?;
            if read == 0 {
                return Ok(());
            }
            heard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(&chunk[..read]);
            to_server.write_all(&chunk[..read]).await?;
        }
    };
    tokio::select! {
        ended = sent => ended,
        ended = tokio::io::copy(&mut from_server, &mut to_client) => ended.map(drop),
    }
}
