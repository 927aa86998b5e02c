//! Every hook, for every message, on every way through the gateway: {client's transport} x {upstream's transport} x {era}
//! x {method}. A guest in every hook counts what it is asked, and what it has counted is held against a table.

mod behind;
mod ledger;
mod refused;
mod table;
mod walk;

use portcullis_tests::admin::{Tenant, binding};
use portcullis_tests::doors::{Client, Door};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::guests::prober;
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use serde_json::{Value, json};

use behind::Behind;
use ledger::Ledger;
use walk::Walk;

/// A gateway, and the plugins that its tenants' chains are made of.
struct Bed {
    stage: Stage,
    prober: String,
}

static BED: Shared<Bed> = Shared::new();

impl Bed {
    async fn set() -> Self {
        let stage = Stage::on(Gateway::start().await).await;
        let prober = stage.admin().admit(prober::prober()).await;
        Self { stage, prober }
    }

    /// The binding that counts.
    fn probes(&self) -> Value {
        binding(&self.prober, &["metrics"], json!({}))
    }

    /// A tenant whose only server is `{name}-up` and whose callers are recognised after they were counted.
    async fn tenant(&self, name: &str, upstream: Value, rest: &[Value]) -> (Tenant, String) {
        let (tenant, key) = self.stage.guest_tenant(name).await;
        tenant.upstream("up", upstream).await;
        tenant.server(&format!("{name}-up"), &["up"]).await;
        self.chain(&tenant, rest).await;
        (tenant, key)
    }

    async fn chain(&self, tenant: &Tenant, rest: &[Value]) {
        let mut bindings = vec![self.probes(), self.stage.by_key()];
        bindings.extend(rest.iter().cloned());
        tenant.chain(&bindings).await;
    }

    /// A client of a tenant; what is counted of its coming in goes into the tenant's books.
    async fn client(&self, name: &str, door: Door, (key, ledger): (&str, &mut Ledger)) -> Client {
        let server = format!("{name}-up");
        let client = Client::open(door, (self.stage.gateway.url(), &server), key).await;
        for method in door.opening() {
            ledger.arrives(*method);
        }
        client
    }

    fn ledger(&self, name: &str) -> Ledger {
        Ledger::of(self.stage.admin(), name)
    }
}

/// Walks every method from every door to one kind of upstream.
async fn walk(behind: Behind) {
    let bed = BED.get(Bed::set).await;
    let upstream = behind.start().await;
    for door in Door::ALL {
        let name = behind.tenant(&format!("fires-{door:?}"));
        let (_tenant, key) = bed.tenant(&name, upstream.spec(), &[]).await;
        let mut ledger = bed.ledger(&name);
        let client = bed.client(&name, door, (&key, &mut ledger)).await;
        Walk::new(name, behind, client, ledger).all().await;
    }
}

#[tokio::test]
async fn before_streamable_http_of_both_eras() {
    walk(Behind::Http).await;
}

#[tokio::test]
async fn before_streamable_http_with_sessions() {
    walk(Behind::HttpSession).await;
}

#[tokio::test]
async fn before_streamable_http_without_sessions() {
    walk(Behind::HttpStateless).await;
}

#[tokio::test]
async fn before_replies_in_json() {
    walk(Behind::HttpJson).await;
}

#[tokio::test]
async fn before_http_and_sse() {
    walk(Behind::Sse).await;
}

#[tokio::test]
async fn before_a_process_for_all_with_a_session() {
    walk(Behind::Shared).await;
}

#[tokio::test]
async fn before_a_process_for_all_without_sessions() {
    walk(Behind::SharedStateless).await;
}

#[tokio::test]
async fn before_a_process_for_each_with_a_session() {
    walk(Behind::Own).await;
}

#[tokio::test]
async fn before_a_process_for_each_without_sessions() {
    walk(Behind::OwnStateless).await;
}

#[tokio::test]
async fn what_a_transform_has_changed_is_admitted_again() {
    let bed = BED.get(Bed::set).await;
    let upstream = Behind::Http.start().await;
    let guest = prober::changer("changer", r#"{"message":"changed"}"#);
    let changer = bed.stage.admin().admit(guest).await;
    let changes = binding(&changer, &["metrics"], json!({}));
    for door in Door::ALL {
        let name = Behind::Http.tenant(&format!("again-{door:?}"));
        let rest = std::slice::from_ref(&changes);
        let (_tenant, key) = bed.tenant(&name, upstream.spec(), rest).await;
        let mut ledger = bed.ledger(&name);
        let client = bed.client(&name, door, (&key, &mut ledger)).await;
        let echo = json!({ "name": "up__echo", "arguments": { "message": "as it was" } });
        let answer = client.request("tools/call", echo).await;
        assert_eq!(answer["result"]["content"][0]["text"], "changed", "{name}");
        ledger.requested("tools/call", &answer);
        ledger.fires("admit", Some("tools/call"), 1);
        ledger.settles(&name, &[&client.heard]).await;
    }
}

#[tokio::test]
async fn no_chain_is_too_long_for_its_last_transform() {
    let bed = BED.get(Bed::set).await;
    let upstream = Behind::Http.start().await;
    let guest = prober::changer("changer-at-last", r#"{"message":"changed"}"#);
    let changer = bed.stage.admin().admit(guest).await;
    let mut rest = Vec::new();
    for number in 0..40 {
        let mut again = bed.probes();
        again["name"] = json!(format!("again-{number}"));
        rest.push(again);
    }
    rest.push(binding(&changer, &["metrics"], json!({})));
    let (_tenant, key) = bed.tenant("long-chain", upstream.spec(), &rest).await;
    let at = (bed.stage.gateway.url(), "long-chain-up");
    let client = Client::open(Door::HttpStateless, at, &key).await;
    let echo = json!({ "name": "up__echo", "arguments": { "message": "as it was" } });
    let answer = client.request("tools/call", echo).await;
    assert_eq!(answer["result"]["content"][0]["text"], "changed");
}
