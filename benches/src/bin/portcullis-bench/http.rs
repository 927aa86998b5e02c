//! A client for one kept-alive connection: for set-up, for the open loop, never for the closed loop, which is wrk's.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::error::BenchError;

/// What came back, in full.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// The body as text, shortened, for messages.
    pub fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.body)
            .chars()
            .take(400)
            .collect()
    }
}

/// One connection.
pub struct Connection {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
    /// Drives the connection, and ends with it.
    _driver: JoinSet<()>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(address)
            .await
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let stream = stream
            .map_err(|source| BenchError::io(format!("{address} does not answer"), source))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|source| BenchError::http(format!("{address} speaks no HTTP"), source))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Its error reaches the request that it breaks.
            let _ = connection.await;
        });
        Ok(Self {
            address,
            sender,
            _driver: driver,
        })
    }

    /// Sends one request and reads its reply to the end. A connection that the peer closed is opened anew.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, BenchError> {
        let what = format!("{} {} at {}", request.method(), request.uri(), self.address);
        let (head, body) = self.begin(request).await?.into_parts();
        let body = body.collect().await;
        let body = body.map_err(|source| BenchError::http(what, source))?;
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    /// Sends one request and answers when its reply begins.
    pub async fn begin(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, BenchError> {
        let what = format!("{} {} at {}", request.method(), request.uri(), self.address);
        if self.sender.ready().await.is_err() {
            *self = Self::open(self.address).await?;
        }
        let reply = self.sender.send_request(request).await;
        reply.map_err(|source| BenchError::http(what, source))
    }
}
