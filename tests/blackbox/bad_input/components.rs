//! Components and chains that are not what they should be.

use portcullis_tests::admin::binding;
use portcullis_tests::guests;
use portcullis_tests::mcp::Peer;
use portcullis_tests::show::{listing, redact};
use serde_json::{Value, json};

use super::{STAGE, set};

#[tokio::test]
async fn components() {
    let stage = STAGE.get(set).await;
    let admin = stage.admin();
    let mut cut = guests::admitter("cut-off", guests::HARMLESS);
    cut.truncate(cut.len() / 2);
    admin
        .admit(guests::admitter("taken", guests::HARMLESS))
        .await;
    let cases = [
        ("nothing", Vec::new()),
        ("text", b"hello".to_vec()),
        ("a core module", guests::core_module()),
        ("another world", guests::of_another_world()),
        ("an import of sockets", guests::wants_sockets()),
        ("cut off", cut),
        (
            "an impossible name",
            guests::admitter("Not A Name", guests::HARMLESS),
        ),
        (
            "a name and version that are taken",
            guests::admitter("taken", guests::TRAP),
        ),
    ];
    let mut shown = Vec::new();
    for (title, component) in cases {
        shown.push((title, admin.publish(component).await.shown()));
    }
    insta::assert_snapshot!(redact(&listing(&shown), &[]), @r#"
    nothing
        422
        {"type":"plugin-refused","title":"The component is not admitted","status":422,"detail":"this is not a WebAssembly component: it does not begin with `\\0asm`","code":"not-wasm"}
    text
        422
        {"type":"plugin-refused","title":"The component is not admitted","status":422,"detail":"this is not a WebAssembly component: it does not begin with `\\0asm`","code":"not-wasm"}
    a core module
        422
        {"type":"plugin-refused","title":"The component is not admitted","status":422,"detail":"this is a core WebAssembly module, not a component; make one of it with `portcullis-guest componentize` or `wasm-tools component new`","code":"core-module"}
    another world
        422
        {"type":"plugin-refused","title":"The component is not admitted","status":422,"detail":"the component is not of a world of portcullis:policy@0.1.0: it does not export `portcullis:policy/lifecycle@0.1.0`","code":"wrong-world"}
    an import of sockets
        422
        {"type":"plugin-refused","title":"The component is not admitted","status":422,"detail":"the component imports `wasi:http/outgoing-handler@0.2.6`, which Portcullis does not offer; a policy may import only portcullis:policy interfaces and WASI 0.2","code":"unknown-import"}
    cut off
        422
        {"type":"plugin-refused","title":"The component is not admitted","status":422,"detail":"the component does not compile: failed to parse WebAssembly module: unexpected end-of-file (at offset 0x541)","code":"compile"}
    an impossible name
        422
        {"type":"plugin-refused","title":"The component is not admitted","status":422,"detail":"the component does not describe itself: its name `Not A Name` is not 1-64 of a-z, 0-9 and `-`, starting with a letter","code":"describe"}
    a name and version that are taken
        409
        {"type":"plugin-moved","title":"The change conflicts with what is there","status":409,"detail":"taken@1.0.0 was published as sha256:c40c7bcf8eb6131df1ce06be8a96436767addf30257f0bc6e2d5be9b79d51546, and a published version never changes: publish these bytes as a new version"}
    "#);
    let plugins = admin.get("/api/v1/plugins").await.text;
    assert!(
        !plugins.contains("cut-off") && !plugins.contains("Not A Name"),
        "nothing of it was kept"
    );
}

#[tokio::test]
async fn chains() {
    let stage = STAGE.get(set).await;
    let admin = stage.admin();
    let (rate_limit, access) = (
        admin.push("rate-limit").await,
        admin.push("access-control").await,
    );
    let (tenant, alice) = stage.guest_tenant("bad-chains").await;
    let before = admin.get(&tenant.path("/policies")).await;
    let limits = |limit: Value| json!({ "limits": [limit] });
    let good = json!({ "name": "a", "rate": 1, "period_ms": 1_000 });
    let twice = json!({ "limits": [good, good] });
    let cases = [
        (
            "an import that is not granted",
            binding(&rate_limit, &[], limits(good.clone())),
        ),
        (
            "a grant that does not exist",
            binding(&rate_limit, &["quota", "files"], limits(good.clone())),
        ),
        (
            "a value that the schema refuses",
            binding(
                &rate_limit,
                &["quota"],
                limits(json!({ "name": "a", "rate": "ten", "period_ms": 1_000 })),
            ),
        ),
        (
            "a key that the schema does not know",
            binding(
                &rate_limit,
                &["quota"],
                limits(json!({ "name": "a", "rat": 1, "period_ms": 1_000 })),
            ),
        ),
        (
            "a required key that is missing",
            binding(&rate_limit, &["quota"], json!({})),
        ),
        (
            "what only the plugin can know",
            binding(&rate_limit, &["quota"], twice),
        ),
        (
            "a plugin that is not published",
            binding("rate-limit@9.9.9", &[], json!({})),
        ),
        (
            "no reference to a plugin",
            binding("rate-limit", &[], json!({})),
        ),
        (
            "a digest that nobody knows",
            binding(&format!("sha256:{}", "0".repeat(64)), &[], json!({})),
        ),
        (
            "a configuration that is no object",
            json!({ "plugin": access, "config": [] }),
        ),
        (
            "an unknown key of the binding",
            json!({ "plugin": access, "confg": {} }),
        ),
        (
            "an unknown value",
            json!({ "plugin": access, "on_failure": "opn" }),
        ),
        (
            "a deadline out of range",
            json!({ "plugin": access, "limits": { "deadline_ms": 60_000 } }),
        ),
        (
            "a name that is none",
            json!({ "plugin": access, "name": "No Name" }),
        ),
    ];
    let mut shown = Vec::new();
    for (title, bad) in cases {
        let refused = tenant.try_chain(&[stage.by_key(), bad]).await;
        assert_eq!(refused.status, 422, "{title}: {}", refused.shown());
        shown.push((title, refused.shown()));
    }
    shown.push((
        "the same name twice",
        tenant
            .try_chain(&[stage.by_key(), stage.by_key()])
            .await
            .shown(),
    ));
    insta::assert_snapshot!(listing(&shown), @r#"
    an import that is not granted
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"the plugin imports `portcullis:policy/quota@0.1.0`; add `quota` to the binding's grants to allow it","pointer":"/bindings/1/grants"}
    a grant that does not exist
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`files` is no grant; use some of `quota`, `jwt`, `keys`, `state`, `metrics`, `random`, `http`, `fs`","pointer":"/bindings/1/grants/1"}
    a value that the schema refuses
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"\"ten\" is not of type \"integer\"","pointer":"/bindings/1/config/limits/0/rate"}
    a key that the schema does not know
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"\"rate\" is a required property","pointer":"/bindings/1/config/limits/0"}
    a required key that is missing
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"\"limits\" is a required property","pointer":"/bindings/1/config"}
    what only the plugin can know
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"the plugin refused its configuration: limits[1].name: `a` is taken","pointer":"/bindings/1/config"}
    a plugin that is not published
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"the plugin rate-limit@9.9.9 is not published: push it first, or see GET /api/v1/plugins","pointer":"/bindings/1/plugin"}
    no reference to a plugin
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`rate-limit` names no plugin: write `name@version`, or `sha256:` and 64 lower-case hex digits","pointer":"/bindings/1/plugin"}
    a digest that nobody knows
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"the plugin sha256:0000000000000000000000000000000000000000000000000000000000000000 is not published: push it first, or see GET /api/v1/plugins","pointer":"/bindings/1/plugin"}
    a configuration that is no object
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"a configuration is an object","pointer":"/bindings/1/config"}
    an unknown key of the binding
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"unknown key `confg`: did you mean `config`?","pointer":"/bindings/1/confg"}
    an unknown value
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"unknown value `opn`: did you mean `open`?","pointer":"/bindings/1/on_failure"}
    a deadline out of range
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"60000 is out of bounds; use 1 to 1000","pointer":"/bindings/1/limits/deadline_ms"}
    a name that is none
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`No Name` is not a name: use 1-63 of a-z, 0-9 and `-`, starting with a letter and without `--`","pointer":"/bindings/1/name"}
    the same name twice
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`api-key-auth` is bound twice; give one of them another `name`","pointer":"/bindings/1/name"}
    "#);
    let after = admin.get(&tenant.path("/policies")).await;
    assert_eq!(
        (before.json(), before.header("etag")),
        (after.json(), after.header("etag")),
        "nothing has changed"
    );
    let peer = Peer::stateless(&stage.gateway.mcp("bad-chains-tools"), &alice);
    assert_eq!(
        peer.call("demo__add", json!({ "a": 1, "b": 2 }))
            .await
            .text_content(),
        "3"
    );
}
