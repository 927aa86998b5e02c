//! The pool against real servers on loopback, whose connections are counted.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;

use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::*;

const BODY: &str = "what was asked for";

/// An HTTP server that counts connections and can cut them all.
struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    tasks: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            accepted: Arc::default(),
            open: Arc::default(),
            tasks: Arc::default(),
        };
        let (accepted, open, tasks) = (
            Arc::clone(&server.accepted),
            Arc::clone(&server.open),
            Arc::clone(&server.tasks),
        );
        let tracker = TaskTracker::new();
        tracker.clone().spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let open = Open::of(&open);
                let service = service_fn(|_| async {
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(
                        BODY.as_bytes(),
                    ))))
                });
                let task = tracker.spawn(async move {
                    let _open = open;
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                });
                tasks.lock().unwrap().push(task.abort_handle());
            }
        });
        server
    }

    fn pool(&self, idle_for: Duration) -> Arc<Pool> {
        let uri = format!("http://{}/", self.address).parse().unwrap();
        let line = (HttpConnector::new(), uri);
        Arc::new(Pool::new(line, (8, idle_for), Default::default()))
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Closes every connection, and waits until they are closed.
    async fn cut(&self) {
        self.tasks
            .lock()
            .unwrap()
            .drain(..)
            .for_each(|task| task.abort());
        self.until_open(0).await;
    }

    async fn until_open(&self, count: usize) {
        while self.open.load(Ordering::SeqCst) != count {
            tokio::task::yield_now().await;
        }
    }
}

/// A connection, counted while it lives.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn request() -> Request<Full<Bytes>> {
    Request::post("/")
        .body(Full::new(Bytes::from_static(b"{}")))
        .unwrap()
}

async fn ask(pool: &Arc<Pool>) -> Response<PooledBody> {
    let response = pool.send(request()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response
}

async fn read(response: Response<PooledBody>) {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, BODY);
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn one_call_after_another_takes_one_connection() {
    let server = Server::start().await;
    let pool = server.pool(LONG);
    for _ in 0..20 {
        read(ask(&pool).await).await;
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn calls_at_once_take_one_connection_each_and_keep_it() {
    let server = Server::start().await;
    let pool = server.pool(LONG);
    for _ in 0..3 {
        let (one, other) = tokio::join!(ask(&pool), ask(&pool));
        read(one).await;
        read(other).await;
    }
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let server = Server::start().await;
    let pool = server.pool(LONG);
    read(ask(&pool).await).await;
    server.cut().await;
    read(ask(&pool).await).await;
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_reply_that_is_not_read_to_its_end_closes_the_connection() {
    let server = Server::start().await;
    let pool = server.pool(LONG);
    drop(ask(&pool).await);
    server.until_open(0).await;
    read(ask(&pool).await).await;
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn what_nobody_uses_is_closed() {
    let server = Server::start().await;
    let pool = server.pool(Duration::from_millis(20));
    read(ask(&pool).await).await;
    server.until_open(0).await;
    assert!(pool.idle.iter().all(|shard| lock(shard).is_empty()));
    read(ask(&pool).await).await;
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn nothing_is_looked_after_once_the_gateway_stops() {
    let server = Server::start().await;
    let pool = server.pool(LONG);
    read(ask(&pool).await).await;
    assert_eq!(pool.tracker.len(), 1);
    pool.stop.cancel();
    pool.tracker.close();
    pool.tracker.wait().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_from_one_that_breaks_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let line = (HttpConnector::new(), uri.clone());
    let pool = Arc::new(Pool::new(line, (8, LONG), Default::default()));
    let (sent, ()) = tokio::join!(pool.send(request()), async {
        drop(listener.accept().await.unwrap());
    });
    assert!(matches!(sent, Err(SendError::Interrupted(_))), "{sent:?}");
    drop(listener);
    let sent = pool.send(request()).await;
    assert!(matches!(sent, Err(SendError::Connect(_))), "{sent:?}");
}
