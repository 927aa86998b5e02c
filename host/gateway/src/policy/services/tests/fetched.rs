//! Keys behind a URL: fetched in the background, renewed when a token asks for more, and let go of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::signer::{Signer, claims};
use super::{Bench, ISS, JwksTiming, named, with_url};

/// Longer than anything takes here; reached only when something is wrong.
const LONG: Duration = Duration::from_secs(20);

/// An issuer's web server: one answer to everything, or silence.
struct Server {
    url: String,
    /// Status and body; none holds the answer back.
    answer: watch::Sender<Option<(u16, String)>>,
    hits: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks?tenant=x", listener.local_addr().unwrap());
        let (answer, waiting) = watch::channel(None::<(u16, String)>);
        let hits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&hits);
        let task = TaskSet::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let mut waiting = waiting.clone();
                let answer = waiting.wait_for(Option::is_some).await.unwrap().clone();
                let (status, body) = answer.unwrap();
                let reply = format!(
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                // A client that had enough has closed.
                let _ = stream.write_all(reply.as_bytes()).await;
            }
        });
        Self {
            url,
            answer,
            hits,
            task,
        }
    }

    fn serve(&self, keys: &[Value]) {
        self.answer
            .send_replace(Some((200, json!({ "keys": keys }).to_string())));
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

/// Tests' own tasks end with their runtime.
struct TaskSet;

impl TaskSet {
    #[allow(
        clippy::disallowed_methods,
        reason = "a test's server is aborted by its owner, not drained"
    )]
    fn spawn(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(future)
    }
}

/// Waits for a condition.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = timeout(LONG, async {
        while !holds() {
            sleep(Duration::from_millis(2)).await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {LONG:?}"));
}

fn never() -> JwksTiming {
    JwksTiming {
        refresh: LONG * 10,
        early_min: LONG * 10,
        retry_min: LONG * 10,
        retry_max: LONG * 10,
        ..JwksTiming::default()
    }
}

#[tokio::test]
async fn keys_are_unavailable_until_they_were_fetched() {
    let (server, bench) = (Server::start().await, Bench::new(never()));
    let signer = Signer::new(Algorithm::ES256, "k1");
    let token = signer.token(&claims(json!({})));
    let tenant = bench.tenant(&[("main", with_url(ISS, &server.url))]);
    assert_eq!(bench.verify(&tenant, &token), Err("keys-unavailable"));
    assert!(
        !tenant.keys_fetched(Duration::from_millis(20)).await,
        "the server is silent"
    );
    assert_eq!(bench.verify(&tenant, &token), Err("keys-unavailable"));

    server.serve(&[signer.jwk()]);
    assert!(tenant.keys_fetched(LONG).await);
    assert!(bench.verify(&tenant, &token).is_ok());

    // Another tenant and another generation share them.
    let again = bench.tenant(&[
        ("main", with_url(ISS, &server.url)),
        ("more", with_url("https://more", &server.url)),
    ]);
    let other = bench
        .shared
        .tenant("globex", &named(&[("x", with_url(ISS, &server.url))]), &[])
        .unwrap();
    for tenant in [&again, &other] {
        assert!(tenant.keys_fetched(LONG).await);
        assert!(bench.verify(tenant, &token).is_ok());
    }
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn a_key_that_is_new_is_fetched_and_one_that_is_gone_counts_no_more() {
    let timing = JwksTiming {
        early_min: Duration::ZERO,
        ..never()
    };
    let (server, bench) = (Server::start().await, Bench::new(timing));
    let (old, new) = (
        Signer::new(Algorithm::ES256, "old"),
        Signer::new(Algorithm::EdDSA, "new"),
    );
    let [by_old, by_new] = [&old, &new].map(|signer| signer.token(&claims(json!({}))));
    server.serve(&[old.jwk()]);
    let tenant = bench.tenant(&[("main", with_url(ISS, &server.url))]);
    assert!(tenant.keys_fetched(LONG).await);
    assert!(bench.verify(&tenant, &by_old).is_ok());

    server.serve(&[new.jwk()]);
    assert!(
        bench.verify(&tenant, &by_old).is_ok(),
        "nobody has asked for others yet"
    );
    assert_eq!(bench.verify(&tenant, &by_new), Err("keys-unavailable"));
    until("the new key", || bench.verify(&tenant, &by_new).is_ok()).await;
    assert_eq!(server.hits(), 2);
    // The old token was remembered; its key is gone, and it asks for a set that has it.
    assert!(bench.verify(&tenant, &by_old).is_err());
    until("a third fetch", || server.hits() == 3).await;
    assert!(
        bench.verify(&tenant, &by_new).is_ok(),
        "the same keys came: nothing is forgotten"
    );
}

#[tokio::test]
async fn unknown_keys_do_not_make_the_host_fetch_without_end() {
    let (server, bench) = (Server::start().await, Bench::new(never()));
    let (known, unknown) = (
        Signer::new(Algorithm::ES256, "known"),
        Signer::new(Algorithm::ES256, "unknown"),
    );
    server.serve(&[known.jwk()]);
    let tenant = bench.tenant(&[("main", with_url(ISS, &server.url))]);
    assert!(tenant.keys_fetched(LONG).await);
    for _ in 0..100 {
        assert_eq!(
            bench.verify(&tenant, &unknown.token(&claims(json!({})))),
            Err("bad-signature")
        );
    }
    assert!(
        bench
            .verify(&tenant, &known.token(&claims(json!({}))))
            .is_ok()
    );
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_and_does_no_harm() {
    let retry = Duration::from_millis(1);
    let timing = JwksTiming {
        refresh: retry,
        retry_min: retry,
        retry_max: retry,
        ..never()
    };
    let (server, bench) = (Server::start().await, Bench::new(timing));
    let signer = Signer::new(Algorithm::ES256, "k1");
    let token = signer.token(&claims(json!({})));
    server.answer.send_replace(Some((500, String::new())));
    let tenant = bench.tenant(&[("main", with_url(ISS, &server.url))]);
    assert!(!tenant.keys_fetched(LONG).await);
    assert_eq!(bench.verify(&tenant, &token), Err("keys-unavailable"));

    server.serve(&[signer.jwk()]);
    until("keys after a failure", || {
        bench.verify(&tenant, &token).is_ok()
    })
    .await;

    let oversized = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(300_000));
    for bad in [
        (503, String::new()),
        (302, String::new()),
        (200, "no JSON".to_owned()),
        (200, oversized),
    ] {
        server.answer.send_replace(Some(bad));
        let before = server.hits();
        until("three more fetches", || server.hits() > before + 3).await;
        assert!(
            bench.verify(&tenant, &token).is_ok(),
            "keys stay for as long as no better ones come"
        );
    }
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&bench.registry.gather())
        .unwrap();
    assert!(
        text.contains(r#"portcullis_jwks_fetches_total{outcome="failed"}"#),
        "{text}"
    );
}

#[tokio::test]
async fn keys_that_can_not_be_renewed_are_given_up_in_the_end() {
    let retry = Duration::from_millis(1);
    let timing = JwksTiming {
        refresh: retry,
        retry_min: retry,
        retry_max: retry,
        stale_max: Duration::from_millis(50),
        ..never()
    };
    let (server, bench) = (Server::start().await, Bench::new(timing));
    let signer = Signer::new(Algorithm::ES256, "k1");
    let token = signer.token(&claims(json!({})));
    server.serve(&[signer.jwk()]);
    let tenant = bench.tenant(&[("main", with_url(ISS, &server.url))]);
    assert!(tenant.keys_fetched(LONG).await);
    assert!(bench.verify(&tenant, &token).is_ok());
    server.answer.send_replace(Some((500, String::new())));
    until("keys are stale", || {
        bench.verify(&tenant, &token) == Err("keys-unavailable")
    })
    .await;
    server.serve(&[signer.jwk()]);
    until("keys are back", || bench.verify(&tenant, &token).is_ok()).await;
}

#[tokio::test]
async fn fetching_ends_with_its_last_user_or_the_process() {
    let (server, bench) = (Server::start().await, Bench::new(never()));
    let issuers = [("main", with_url(ISS, &server.url))];
    let (first, second) = (
        bench.tenant(&issuers),
        bench.tenant(&[("other", with_url(ISS, &server.url))]),
    );
    assert_eq!(bench.tracker.len(), 1);
    drop(first);
    assert_eq!(bench.tracker.len(), 1);
    drop(second);
    until("the task ended", || bench.tracker.is_empty()).await;

    let held = bench.tenant(&issuers);
    assert_eq!(bench.tracker.len(), 1);
    bench.shutdown.cancel();
    bench.tracker.close();
    timeout(LONG, bench.tracker.wait()).await.unwrap();
    assert!(!held.keys_fetched(Duration::from_millis(1)).await);
}
