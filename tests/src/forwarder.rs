//! A forwarder on loopback for clients that cannot present a token: it adds an `Authorization` header to each request.
//!
//! Everything else goes through as it was sent, byte for byte and at once: the other headers, bodies, replies, streams
//! of events, and the end of a connection, on either side. Bodies of requests must tell their length; a client that
//! sends one in chunks loses its connection.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Longest request head.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// A listening forwarder. It ends with the runtime of whoever started it.
pub struct Forwarder {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Forwarder {
    /// Starts one before the server at `to`, on which it presents `bearer`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(to: SocketAddr, bearer: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let header = format!("authorization: Bearer {bearer}\r\n");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Connections end with this set, and it with the forwarder.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let header = header.clone();
                // What breaks here is seen by the client, whose connection closes.
                connections.spawn(async move { drop(relay(client, to, &header).await) });
            }
        });
        Self {
            address,
            _tasks: tasks,
        }
    }

    /// Its address, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Serves one connection with one connection, so that each is closed when the other is.
async fn relay(mut client: TcpStream, to: SocketAddr, header: &str) -> Result<()> {
    let mut server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    tokio::select! {
        ended = requests(BufReader::new(from_client), &mut to_server, header) => ended,
        ended = tokio::io::copy(&mut from_server, &mut to_client) => ended.map(drop),
    }
}

async fn requests<R, W>(mut from: R, to: &mut W, header: &str) -> Result<()>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    while let Some(head) = head(&mut from).await? {
        let (line, rest) = head.split_once("\r\n").unwrap_or((&head, ""));
        to.write_all(format!("{line}\r\n{header}{rest}").as_bytes())
            .await?;
        let mut body = (&mut from).take(body_len(rest)?);
        tokio::io::copy(&mut body, to).await?;
    }
    Ok(())
}

/// The next request up to its empty line; nothing when the client has ended.
async fn head<R: AsyncBufRead + Unpin>(from: &mut R) -> Result<Option<String>> {
    let mut from = from.take(HEAD_BYTES_MAX);
    let mut head = String::new();
    while from.read_line(&mut head).await? > 0 {
        if head.ends_with("\r\n\r\n") {
            return Ok(Some(head));
        }
    }
    if head.is_empty() {
        Ok(None)
    } else {
        Err(Error::new(ErrorKind::InvalidData, "a head without an end"))
    }
}

/// Bytes of the body that these headers announce.
fn body_len(headers: &str) -> Result<u64> {
    let refuse = |why| Err(Error::new(ErrorKind::InvalidData, why));
    let mut len = 0;
    for (name, value) in headers.lines().filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return refuse("bodies are forwarded by their length alone");
        }
        if name.eq_ignore_ascii_case("content-length") {
            match value.trim().parse() {
                Ok(announced) => len = announced,
                Err(_not_a_number) => return refuse("a length that is no number"),
            }
        }
    }
    Ok(len)
}
