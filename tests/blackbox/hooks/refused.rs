//! The other half: where a chain refuses, not a byte reaches an upstream, whatever is sent and however it comes.

use portcullis_tests::admin::{Tenant, binding};
use portcullis_tests::doors::{Client, Door};
use portcullis_tests::guests;
use portcullis_tests::mcp::{Era, Peer, Wire};
use portcullis_tests::recorder::Recorder;
use portcullis_tests::websocket::{refused, upgrade};
use serde_json::{Value, json};

use super::behind::Behind;
use super::ledger::Ledger;
use super::{BED, Bed, table};

/// Stands in everything that is sent while it is refused.
const MARK: &str = "must-not-arrive";

/// How a chain refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Nobody is recognised.
    Authenticate,
    /// Nothing is admitted.
    Admit,
}

impl By {
    fn status(self) -> u16 {
        match self {
            Self::Authenticate => 401,
            Self::Admit => 403,
        }
    }

    /// Makes the chain refuse; what clients would be told of that, and are not.
    async fn swap(self, bed: &Bed, tenant: &Tenant) -> &'static [&'static str] {
        match self {
            Self::Authenticate => {
                tenant.chain(&[bed.probes()]).await;
                &[]
            }
            Self::Admit => {
                let refuser = binding("refuser@1.0.0", &[], json!({}));
                bed.chain(tenant, &[refuser]).await;
                &[
                    "notifications/tools/list_changed",
                    "notifications/prompts/list_changed",
                    "notifications/resources/list_changed",
                ]
            }
        }
    }

    /// What has to be counted of a refused message.
    fn counts(self, ledger: &mut Ledger, method: Option<&str>) {
        match self {
            Self::Authenticate => ledger.fires("authenticate", method, 1),
            Self::Admit => ledger.arrives(method),
        }
    }
}

/// Sends everything that a client of this door can send; each is refused.
async fn send_all(by: By, client: &Client, ledger: &mut Ledger) {
    let era = client.door.era();
    for method in table::methods(era) {
        let (_, mut params) = table::row(method);
        params["_meta"]["mark"] = json!(MARK);
        let refused = client.request(method, params).await;
        let code = refused["error"]["code"].as_i64();
        let want = match (by, client.door, *method) {
            (By::Authenticate, _, _) => -32001,
            // No part of a batch: that is known before it would be admitted.
            (By::Admit, Door::Batch, "initialize") => {
                ledger.fires("authenticate", Some(method), 1);
                assert_eq!(code, Some(-32600), "{method}: {refused}");
                continue;
            }
            (By::Admit, _, _) => -32003,
        };
        assert_eq!(code, Some(want), "{method}: {refused}");
        by.counts(ledger, Some(method));
    }
    for (method, mut params) in table::notifications(era) {
        params["_meta"]["mark"] = json!(MARK);
        client.notify(method, params).await;
        by.counts(ledger, Some(method));
    }
    if era == Era::Session {
        let nothing = json!({ "id": MARK });
        client.answer(&nothing, json!({})).await;
        by.counts(ledger, None);
    }
    if let Some(status) = client.end().await {
        assert_eq!(status, by.status());
        by.counts(ledger, None);
    }
}

/// Tries to come in by every door.
async fn come_in(by: By, (url, server): (&str, &str), key: &str, ledger: &mut Ledger) {
    let initialize = portcullis_tests::mcp::initialize();
    let mcp = Wire::new(&format!("{url}/servers/{server}/mcp"), key);
    let reply = mcp.send(initialize.to_string(), &[]).await;
    assert_eq!(reply.status, by.status(), "{}", reply.shown());
    by.counts(ledger, Some("initialize"));
    let stream = Wire::new(&format!("{url}/servers/{server}/sse"), key)
        .request(reqwest::Method::GET)
        .header("accept", "text/event-stream");
    let stream = portcullis_tests::show::Answer::of(stream).await;
    assert_eq!(stream.status, by.status(), "{}", stream.shown());
    by.counts(ledger, None);
    let (status, said) = refused(upgrade(url, server, key)).await;
    assert_eq!(status, by.status(), "{said}");
    by.counts(ledger, None);
}

async fn refuses(bed: &Bed, by: By, behind: Behind) {
    let running = behind.start().await;
    let recorder = Recorder::before(running.spec()).await;
    let name = behind.tenant(&format!("no-{by:?}"));
    let (tenant, key) = bed.tenant(&name, recorder.spec(), &[]).await;
    let server = format!("{name}-up");
    let mut ledger = bed.ledger(&name);
    let echo = |said: &str| json!({ "name": "up__echo", "arguments": { "message": said } });
    let mut clients = Vec::new();
    for door in Door::ALL {
        let client = bed.client(&name, door, (&key, &mut ledger)).await;
        let before = client.request("tools/call", echo("before")).await;
        assert!(before["result"].is_object(), "{name}, {door:?}: {before}");
        ledger.requested("tools/call", &before);
        clients.push(client);
    }
    let heard: Vec<_> = clients.iter().map(|client| &client.heard).collect();
    ledger.settles(&name, &heard).await;
    let recorded = recorder.heard();
    assert!(recorded.contains("before"), "{name} is not recorded");
    let changes = by.swap(bed, &tenant).await;
    for client in &clients {
        if client.door.era() == Era::Session {
            // Lists may be others under another chain; what would say so is refused as well.
            changes.iter().for_each(|method| ledger.asked(method));
        }
        send_all(by, client, &mut ledger).await;
    }
    let at = (bed.stage.gateway.url(), server.as_str());
    come_in(by, at, &key, &mut ledger).await;
    ledger.settles(&name, &heard).await;
    assert_eq!(recorder.heard()[recorded.len()..], *"", "{name}");
    bed.chain(&tenant, &[]).await;
    let again = Peer::stateless(&bed.stage.gateway.mcp(&server), &key);
    let after: Value = again.request("tools/call", echo("after")).await.result();
    assert!(after["content"].is_array(), "{name}: {after}");
    let recorded = recorder.heard();
    assert!(recorded.contains("after"), "{name} is not recorded");
    assert!(!recorded.contains(MARK), "{name}");
}

#[tokio::test]
async fn nothing_of_a_caller_whom_nobody_knows_reaches_an_upstream() {
    let bed = BED.get(Bed::set).await;
    for behind in Behind::ALL {
        refuses(&bed, By::Authenticate, behind).await;
    }
}

#[tokio::test]
async fn nothing_that_is_not_admitted_reaches_an_upstream() {
    let bed = BED.get(Bed::set).await;
    let refuser = guests::admitter("refuser", guests::REFUSAL);
    bed.stage.admin().admit(refuser).await;
    for behind in Behind::ALL {
        refuses(&bed, By::Admit, behind).await;
    }
}
