//! Whose signatures count: for the operator, for a tenant, and what becomes of a chain when that changes.

use portcullis_tests::admin::{Tenant, binding};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::guests;
use portcullis_tests::mcp::Peer;
use portcullis_tests::registry::digest;
use portcullis_tests::show::{listing, redact};
use portcullis_tests::stage::Stage;
use portcullis_tests::wait;
use serde_json::{Value, json};

use super::Desk;

/// A published component, signed by these keys of the desk.
async fn publish(desk: &Desk, gateway: &Gateway, name: &str, keys: &[&str]) -> String {
    let file = format!("{name}.wasm");
    desk.write(&file, &guests::admitter(name, guests::HARMLESS));
    let mut push = vec!["plugin".to_owned(), "push".to_owned(), file.clone()];
    for key in keys {
        let out = format!("{name}.{key}.sig");
        desk.sign(&file, key, &out).await;
        push.extend(["--signature".to_owned(), out]);
    }
    let push: Vec<&str> = push.iter().map(String::as_str).collect();
    let pushed = desk.on(gateway, &push).await;
    assert_eq!(pushed.code, 0, "{}", pushed.shown());
    format!("{name}@1.0.0")
}

async fn add(peer: &Peer) -> String {
    let called = peer.call("demo__add", json!({ "a": 2, "b": 40 })).await;
    called.text_content()
}

fn plain(plugin: &str) -> Value {
    binding(plugin, &[], json!({}))
}

/// Only the guest's binding: the tenant lets anybody in.
async fn try_open(
    stage: &Stage,
    tenant: &Tenant,
    plugins: &[&str],
) -> portcullis_tests::show::Answer {
    let bindings: Vec<Value> = plugins.iter().map(|plugin| plain(plugin)).collect();
    let chain = json!({ "bindings": bindings, "anonymous": true });
    stage.admin().put(&tenant.path("/policies"), &chain).await
}

#[tokio::test]
async fn a_tenant_may_require_a_trusted_signature() {
    let mut stage = Stage::set().await;
    let desk = Desk::new();
    let release = desk.key("release").await;
    desk.key("stranger").await;
    let (tenant, _) = stage.guest_tenant("signed").await;
    let gateway = &stage.gateway;
    publish(&desk, gateway, "bare", &[]).await;
    publish(&desk, gateway, "foreign", &["stranger"]).await;
    publish(&desk, gateway, "good", &["stranger", "release"]).await;
    let path = tenant.path("/trust");
    let none = stage.admin().get(&path).await.ok();
    assert_eq!(none, json!({ "require_signature": false, "keys": [] }));
    assert_eq!(try_open(&stage, &tenant, &["bare@1.0.0"]).await.status, 200);

    // What is served goes on, and is named.
    let arguments = [
        "tenant",
        "trust",
        "signed",
        "--key",
        "release.pub",
        "--require-signature",
    ];
    let said = desk.on(gateway, &arguments).await;
    assert_eq!(said.code, 0, "{}", said.shown());
    let trust = stage.admin().get(&path).await.ok();
    assert_eq!(trust["keys"][0]["public_key"], release);
    assert_eq!(trust["keys"][0]["name"], "release");
    assert_eq!(trust["untrusted"][0]["binding"], "bare");
    let put_back = stage.admin().put(&path, &trust).await;
    assert_eq!(put_back.ok(), trust, "what GET shows can be put");
    let peer = Peer::stateless(&stage.gateway.mcp("signed-tools"), "no-one");
    assert_eq!(add(&peer).await, "42");

    let id = trust["keys"][0]["id"].as_str().expect("an id").to_owned();
    let stranger = stage
        .admin()
        .get("/api/v1/plugins/foreign@1.0.0")
        .await
        .ok();
    let stranger = stranger["signatures"][0]["key_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let mut shown = Vec::new();
    for plugin in ["bare@1.0.0", "foreign@1.0.0"] {
        let refused = try_open(&stage, &tenant, &["good@1.0.0", plugin]).await;
        shown.push((plugin, refused.shown()));
    }
    let digest_of = |name| digest(&guests::admitter(name, guests::HARMLESS));
    let (bare, foreign) = (digest_of("bare"), digest_of("foreign"));
    let changing = [
        (id.as_str(), "<release>"),
        (stranger.as_str(), "<stranger>"),
        (bare.as_str(), "<bare>"),
        (foreign.as_str(), "<foreign>"),
    ];
    insta::assert_snapshot!(redact(&listing(&shown), &changing), @r#"
    bare@1.0.0
        422
        {"type":"plugin-untrusted","title":"The plugin is not trusted","status":422,"detail":"the binding `bare` may not use bare@1.0.0 (<bare>): it is not signed, and the tenant requires a signature by key <release>: sign it with `portcullis plugin sign`, and push it with its signature","pointer":"/bindings/1/plugin","code":"unsigned"}
    foreign@1.0.0
        422
        {"type":"plugin-untrusted","title":"The plugin is not trusted","status":422,"detail":"the binding `foreign` may not use foreign@1.0.0 (<foreign>): it is signed by key <stranger>, and the tenant requires a signature by key <release>","pointer":"/bindings/1/plugin","code":"unknown-signer"}
    "#);
    // Other changes do not touch the chain.
    tenant.key("somebody").await;
    assert_eq!(add(&peer).await, "42");

    assert_eq!(try_open(&stage, &tenant, &["good@1.0.0"]).await.status, 200);
    let trust = stage.admin().get(&path).await.ok();
    assert_eq!(trust["untrusted"], Value::Null);
    assert_eq!(add(&peer).await, "42");

    // A key that is trusted no more takes nothing out of service, not even at a restart.
    let nobody =
        json!({ "require_signature": true, "keys": [{ "public_key": desk.key("next").await }] });
    stage.admin().put(&path, &nobody).await.ok();
    stage.gateway.restart().await;
    let peer = Peer::stateless(&stage.gateway.mcp("signed-tools"), "no-one");
    assert_eq!(add(&peer).await, "42");
    let log = stage.gateway.log();
    let warned = log.iter().any(|line| {
        line["level"] == "WARN" && line.to_string().contains("not signed as is required")
    });
    assert!(warned, "{log:?}");
    let again = try_open(&stage, &tenant, &["good@1.0.0"]).await;
    assert_eq!(
        (again.status, &again.json()["code"]),
        (422, &json!("unknown-signer"))
    );
    // Another tenant requires nothing.
    let (free, _) = stage.guest_tenant("free").await;
    assert_eq!(try_open(&stage, &free, &["bare@1.0.0"]).await.status, 200);
}

#[tokio::test]
async fn a_candidate_is_held_to_it_as_well() {
    let stage = Stage::set().await;
    let desk = Desk::new();
    let (release, next) = (desk.key("release").await, desk.key("next").await);
    let (tenant, _) = stage.guest_tenant("tried").await;
    publish(&desk, &stage.gateway, "bare", &[]).await;
    publish(&desk, &stage.gateway, "good", &["release"]).await;
    let trust = async |key: &str| {
        let trust = json!({ "require_signature": true, "keys": [{ "public_key": key }] });
        stage.admin().put(&tenant.path("/trust"), &trust).await.ok()
    };
    let start = async |plugin: &str| {
        let policies = json!({ "bindings": [plain(plugin)], "anonymous": true });
        let plan = json!({ "strategy": "shadow", "promote_after": { "calls": 3, "seconds": 0 }, "policies": policies });
        stage.admin().post(&tenant.path("/rollouts"), &plan).await
    };
    assert_eq!(try_open(&stage, &tenant, &["bare@1.0.0"]).await.status, 200);
    trust(&release).await;
    // What is live is explained; nothing else of it runs.
    let explain = async |question: Value| {
        let path = tenant.path("/explain");
        stage.admin().post(&path, &question).await
    };
    let params = json!({ "name": "demo__add", "arguments": {} });
    let live = explain(json!({ "params": params })).await;
    assert_eq!(live.status, 200, "{}", live.shown());
    let other = json!({ "params": params, "policies": { "bindings": [plain("bare@1.0.0")] } });
    let other = explain(other).await.json();
    assert_eq!(
        (&other["code"], &other["pointer"]),
        (&json!("unsigned"), &json!("/policies/bindings/0/plugin"))
    );
    let refused = start("bare@1.0.0").await.json();
    assert_eq!(
        (&refused["code"], &refused["pointer"]),
        (&json!("unsigned"), &json!("/policies/bindings/0/plugin"))
    );
    let started = start("good@1.0.0").await;
    assert_eq!(started.status, 201, "{}", started.shown());
    let rollout = tenant.path("/rollouts/1");

    // Its key is trusted no more while it is tried: it goes no further, by nobody's hand.
    let shown = trust(&next).await;
    assert_eq!(
        shown["untrusted"].as_array().map(Vec::len),
        Some(2),
        "{shown}"
    );
    let promote = stage
        .admin()
        .post(&format!("{rollout}/promote"), &json!({}))
        .await;
    assert_eq!(
        (promote.status, &promote.json()["code"]),
        (422, &json!("unknown-signer"))
    );
    let peer = Peer::stateless(&stage.gateway.mcp("tried-tools"), "no-one");
    let ended = wait::until("the end of the rollout", async || {
        assert_eq!(add(&peer).await, "42");
        let rollout = stage.admin().get(&rollout).await.ok();
        (rollout["state"] != "running").then_some(rollout)
    })
    .await;
    assert_eq!(ended["state"], "rolled-back", "{ended}");
    let reason = ended["reason"].as_str().expect("a reason");
    assert!(reason.contains("may not use good@1.0.0"), "{reason}");
}

#[tokio::test]
async fn the_operator_may_require_one_of_everybody() {
    let desk = Desk::new();
    let operator = desk.key("operator").await;
    desk.key("tenant").await;
    let settings =
        format!("plugins:\n  require_signature: true\n  trusted_keys: [\"{operator}\"]\n");
    let gateway = Gateway::configured(&settings).await;
    for name in ["bare", "by-tenant"] {
        let keys: &[&str] = if name == "bare" { &[] } else { &["tenant"] };
        publish(&desk, &gateway, name, keys).await;
    }
    publish(&desk, &gateway, "by-operator", &["operator"]).await;
    let tenant = gateway.admin().tenant("acme").await;
    // A tenant adds requirements, and takes none away.
    for spec in [
        json!({}),
        json!({ "keys": [{ "public_key": desk.read("tenant.pub") }] }),
        json!({ "keys": [{ "public_key": desk.read("tenant.pub") }], "require_signature": true }),
        json!({ "require_signature": true }),
    ] {
        let trust = gateway.admin().put(&tenant.path("/trust"), &spec).await;
        assert_eq!(trust.status, 200, "{}", trust.shown());
        for (plugin, status) in [("bare", 422), ("by-tenant", 422), ("by-operator", 200)] {
            let put = tenant.try_chain(&[plain(&format!("{plugin}@1.0.0"))]).await;
            assert_eq!(put.status, status, "{spec} {plugin}: {}", put.shown());
            if status == 422 {
                assert_eq!(put.json()["pointer"], "/bindings/0/plugin");
                assert!(put.text.contains("the operator requires"), "{}", put.text);
            }
        }
    }
}

#[tokio::test]
async fn trust_that_cannot_be_is_refused() {
    let gateway = Gateway::start().await;
    let desk = Desk::new();
    let key = desk.key("release").await;
    let tenant = gateway.admin().tenant("acme").await;
    let cases = [
        (
            "a requirement that nobody meets",
            json!({ "require_signature": true }),
        ),
        (
            "no key",
            json!({ "keys": [{ "public_key": "ed25519:AAAA" }] }),
        ),
        (
            "a private key",
            json!({ "keys": [{ "public_key": desk.read("release.pem") }] }),
        ),
        (
            "another's id",
            json!({ "keys": [{ "public_key": key, "id": "0011223344556677" }] }),
        ),
        (
            "a key twice",
            json!({ "keys": [{ "public_key": key }, { "public_key": key, "name": "b" }] }),
        ),
        ("a typo", json!({ "require_signatures": true })),
    ];
    let mut shown = Vec::new();
    for (title, spec) in cases {
        let refused = gateway.admin().put(&tenant.path("/trust"), &spec).await;
        shown.push((title, refused.shown()));
    }
    let nobody = gateway
        .admin()
        .put("/api/v1/tenants/nobody/trust", &json!({}))
        .await;
    shown.push(("a tenant that is not there", nobody.shown()));
    let trust = json!({ "keys": [{ "public_key": key }] });
    let trust = gateway
        .admin()
        .put(&tenant.path("/trust"), &trust)
        .await
        .ok();
    let id = trust["keys"][0]["id"].as_str().expect("an id").to_owned();
    insta::assert_snapshot!(redact(&listing(&shown), &[(id.as_str(), "<id>")]), @r#"
    a requirement that nobody meets
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"nothing could be signed by a trusted key: name at least one, since the gateway's settings name none (plugins.trusted_keys)","pointer":"/keys"}
    no key
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"this is no Ed25519 public key: write `ed25519:` and its 32 bytes in base64, or PEM (BEGIN PUBLIC KEY)","pointer":"/keys/0/public_key"}
    a private key
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"this is a private key, which nobody else should see: give the public one (.pub)","pointer":"/keys/0/public_key"}
    another's id
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`0011223344556677` is not this key's id, which is `<id>`: leave it out","pointer":"/keys/0/id"}
    a key twice
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"this key is given twice","pointer":"/keys/1/public_key"}
    a typo
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"unknown key `require_signatures`: did you mean `require_signature`?","pointer":"/require_signatures"}
    a tenant that is not there
        404
        {"type":"not-found","title":"Not found","status":404,"detail":"there is no tenant `nobody`: create it with PUT /api/v1/tenants/nobody"}
    "#);
}
