//! Requests over real connections, to a server of this test's own.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::Request as Received;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;

use crate::model::Network;

use super::*;

/// A server on this machine, for as long as the test's runtime lives. `/echo` tells what it was sent.
async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/echo", any(echo))
        .route(
            "/moved",
            any(|| async { (StatusCode::FOUND, [("location", "/echo")]) }),
        )
        .route("/large", any(|| async { "x".repeat(2_000) }))
        .route("/endless", any(endless))
        .route("/never", any(std::future::pending::<()>));
    #[allow(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::task::spawn(async move { axum::serve(listener, app).await });
    address.to_string()
}

async fn echo(headers: HeaderMap, request: Received) -> Response {
    let method = request.method().to_string();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20)
        .await
        .unwrap();
    let told = headers.get("x-told").cloned();
    let mut answer = ([("x-method", method)], body).into_response();
    answer
        .headers_mut()
        .extend(told.map(|told| (HeaderName::from_static("x-told"), told)));
    answer
}

/// Without a length, and without an end.
async fn endless() -> Body {
    let chunk = || async { Ok::<_, std::io::Error>("x".repeat(500)) };
    Body::from_stream(futures_util::stream::repeat_with(chunk).then(|chunk| chunk))
}

fn room() -> OutboundRoom {
    let room = OutboundRoom::new((Handle::current(), TaskTracker::new()), &Registry::new());
    room.unwrap()
}

fn grant(host: &str, networks: &[Network]) -> HttpGrant {
    HttpGrant {
        hosts: vec![host.to_owned()],
        methods: vec!["GET".to_owned(), "POST".to_owned()],
        networks: networks.to_vec(),
        timeout_ms: Some(30_000),
        request_bytes_max: Some(1_000),
        response_bytes_max: Some(1_000),
        concurrent_max: Some(1),
    }
}

fn request(method: &str, url: String) -> HttpRequest {
    HttpRequest {
        method: method.to_owned(),
        url,
        headers: Vec::new(),
        body: None,
        timeout_ms: None,
    }
}

async fn send(outbound: &Outbound, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let scope = Scope {
        tenant: "acme".into(),
        plugin: "guest".into(),
        binding: "asks".into(),
    };
    outbound.send(&scope, request).await
}

fn outcome(sent: &Result<HttpResponse, HttpError>) -> String {
    match sent {
        Ok(response) => response.status.to_string(),
        Err(error) => label(error).to_owned(),
    }
}

#[tokio::test]
async fn a_granted_request_is_sent_and_answered() {
    let (room, host) = (room(), server().await);
    let outbound = room
        .of_binding(&grant(&host, &[Network::Loopback]))
        .unwrap();
    let sent = HttpRequest {
        headers: vec![("X-Told".into(), "this".into())],
        body: Some(b"hello".to_vec()),
        ..request("POST", format!("http://{host}/echo"))
    };
    for _ in 0..3 {
        let response = send(&outbound, sent.clone()).await.unwrap();
        let headers: BTreeMap<_, _> = response.headers.into_iter().collect();
        assert_eq!(response.status, 200);
        assert_eq!(
            (headers["x-told"].as_str(), headers["x-method"].as_str()),
            ("this", "POST")
        );
        assert_eq!(response.body, b"hello");
    }
    let ok = outbound.requests.with_label_values(&["acme", "asks", "ok"]);
    assert_eq!(ok.get(), 3);
}

#[tokio::test]
async fn what_the_grant_does_not_cover_is_not_sent() {
    let (room, host) = (room(), server().await);
    let port = host.rsplit(':').next().unwrap();
    let by_name = format!("localhost:{port}");
    let open = [Network::Loopback];
    for (granted, networks, url, want) in [
        (&host, &open[..], format!("http://{host}/echo"), "200"),
        (&by_name, &open[..], format!("http://{by_name}/echo"), "200"),
        // The address is looked at, whether it is written or resolved.
        (&host, &[], format!("http://{host}/echo"), "denied"),
        (&by_name, &[], format!("http://{by_name}/echo"), "denied"),
        (
            &by_name,
            &[Network::Private],
            format!("http://{by_name}/echo"),
            "denied",
        ),
        (&by_name, &open[..], format!("http://{host}/echo"), "denied"),
        // A redirect is an answer.
        (&host, &open[..], format!("http://{host}/moved"), "302"),
        (
            &host,
            &open[..],
            format!("http://{host}/large"),
            "too-large",
        ),
        (
            &host,
            &open[..],
            format!("http://{host}/endless"),
            "too-large",
        ),
    ] {
        let outbound = room.of_binding(&grant(granted, networks)).unwrap();
        let sent = send(&outbound, request("GET", url.clone())).await;
        assert_eq!(
            outcome(&sent),
            want,
            "{granted} {networks:?} {url}: {sent:?}"
        );
    }
    let outbound = room.of_binding(&grant(&host, &open)).unwrap();
    let large = HttpRequest {
        body: Some(vec![0; 1_001]),
        ..request("POST", format!("http://{host}/echo"))
    };
    assert_eq!(outcome(&send(&outbound, large).await), "too-large");
    let deleted = send(&outbound, request("DELETE", format!("http://{host}/echo"))).await;
    assert_eq!(outcome(&deleted), "denied");
}

#[tokio::test]
async fn nobody_waits_longer_than_granted_or_beside_more_than_granted() {
    let (room, host) = (room(), server().await);
    let outbound = room
        .of_binding(&grant(&host, &[Network::Loopback]))
        .unwrap();
    let never = || HttpRequest {
        timeout_ms: Some(100),
        ..request("GET", format!("http://{host}/never"))
    };
    let (first, second) = tokio::join!(send(&outbound, never()), send(&outbound, never()));
    assert_eq!(
        (outcome(&first), outcome(&second)),
        ("timeout".into(), "busy".into())
    );
    // Who is not waited for any more leaves its place.
    let given_up = send(&outbound, request("GET", format!("http://{host}/never")));
    let given_up = tokio::time::timeout(Duration::from_millis(10), given_up).await;
    assert!(given_up.is_err());
    let sent = send(&outbound, request("GET", format!("http://{host}/echo"))).await;
    assert_eq!(outcome(&sent), "200");
}

#[tokio::test]
async fn where_nobody_answers_is_said() {
    let room = room();
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    for (host, url) in [
        (closed.clone(), format!("http://{closed}/")),
        (
            "no-such-host.invalid".to_owned(),
            "http://no-such-host.invalid/".to_owned(),
        ),
    ] {
        let outbound = room
            .of_binding(&grant(&host, &[Network::Loopback]))
            .unwrap();
        let sent = send(&outbound, request("GET", url)).await;
        assert_eq!(outcome(&sent), "unreachable", "{sent:?}");
    }
}
