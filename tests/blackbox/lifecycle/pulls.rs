//! Components from a real registry, and from one that is not what it should be.

use portcullis_tests::admin::{Admin, binding};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::guests;
use portcullis_tests::registry::{
    Front, FrontRule, MANIFEST, PASSWORD, Registry, USERNAME, WASM, at, digest,
};
use portcullis_tests::show::{Answer, listing, redact};
use portcullis_tests::upstreams::free_port;
use serde_json::{Value, json};

use super::Desk;

async fn pull(admin: &Admin, reference: &str) -> Answer {
    let document = json!({ "reference": reference });
    admin.post("/api/v1/plugins/pull", &document).await
}

/// A gateway with a word about these registries.
async fn gateway(registries: &Value) -> Gateway {
    Gateway::configured(&format!(
        "plugins: {}\n",
        json!({ "registries": registries })
    ))
    .await
}

#[tokio::test]
async fn a_component_is_pulled_by_its_digest() {
    let registry = Registry::open().await;
    let gateway = gateway(&json!([{ "host": registry.host() }])).await;
    let admin = gateway.admin();
    let component = guests::admitter("pulled", guests::HARMLESS);
    let reference = registry.push("acme/pulled", WASM, &component).await;
    let pulled = pull(&admin, &reference).await;
    assert_eq!(pulled.status, 201, "{}", pulled.shown());
    assert_eq!(pulled.json()["digest"], digest(&component));
    // It is the same plugin, however it came.
    let again = pull(&admin, &reference).await;
    assert_eq!((again.status, again.json()), (200, pulled.json()));
    assert_eq!(admin.publish(component).await.status, 200);
    let tenant = admin.tenant("acme").await;
    tenant
        .chain(&[binding("pulled@1.0.0", &[], json!({}))])
        .await;

    let older = guests::admitter("older", guests::HARMLESS);
    let kind = "application/vnd.wasm.content.layer.v1+wasm";
    let reference = registry.push("acme/deep/er__path", kind, &older).await;
    let desk = Desk::new();
    let run = desk
        .on(
            &gateway,
            &["plugin", "pull", &reference, "--output", "json"],
        )
        .await;
    assert_eq!(run.json()["published"], true, "{}", run.shown());
    assert_eq!(run.json()["digest"], digest(&older));
    let tag = desk
        .on(&gateway, &["plugin", "pull", "oci://ghcr.io/a:latest"])
        .await;
    assert_eq!(tag.code, 2, "{}", tag.shown());
    assert!(tag.err.contains("a tag can be moved"), "{}", tag.shown());
}

#[tokio::test]
async fn a_registry_that_asks_is_told_who_we_are() {
    let (registry, open) = (Registry::asking().await, Registry::open().await);
    let token = Front::before(&open, FrontRule::Token { realm: None }).await;
    let port = registry.host().rsplit(':').next().expect("a port");
    // The same registry under other names, and with other words about it.
    let (localhost, other) = (format!("localhost:{port}"), format!("127.0.0.2:{port}"));
    let front_port = token.host().rsplit(':').next().expect("a port");
    let front = format!("localhost:{front_port}");
    let login = |host: &str, password: &str| json!({ "host": host, "username": USERNAME, "password": password });
    let mut at_realm = login(&front, PASSWORD);
    at_realm["other_hosts"] = json!([token.host()]);
    let gateway = gateway(&json!([
        login(registry.host(), PASSWORD),
        login(&localhost, "a-wrong-password"),
        login(token.host(), PASSWORD),
        at_realm,
    ]))
    .await;
    let admin = gateway.admin();
    let component = guests::admitter("guarded", guests::HARMLESS);
    let reference = registry.push("acme/guarded", WASM, &component).await;
    let pulled = pull(&admin, &reference).await;
    assert_eq!(pulled.status, 201, "{}", pulled.shown());
    let wrong = pull(&admin, &at(&localhost, &reference)).await;
    assert_eq!(
        (wrong.status, &wrong.json()["type"]),
        (422, &json!("pull-refused"))
    );
    assert!(wrong.text.contains("as `acme-bot`"), "{}", wrong.text);
    let private = pull(&admin, &at(&other, &reference)).await;
    assert!(
        private.text.contains("no public address"),
        "{}",
        private.text
    );

    let reference = open.push("acme/guarded", WASM, &component).await;
    let by_token = pull(&admin, &at(token.host(), &reference)).await;
    assert_eq!(by_token.status, 200, "{}", by_token.shown());
    let asked = token.asked();
    let scope = "/token?a=b&scope=repository%3Aacme%2Fguarded%3Apull&service=front";
    assert_eq!(asked[1].target, scope);
    // One token for both requests, and the password for nobody but the realm.
    let shown: Vec<&str> = asked
        .iter()
        .map(|asked| asked.authorization.as_deref().unwrap_or_default())
        .map(|value| value.split(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(shown, ["", "Basic", "Bearer", "Bearer"]);
    // A realm at another host, which the operator named.
    let elsewhere = pull(&admin, &at(&front, &reference)).await;
    assert_eq!(elsewhere.status, 200, "{}", elsewhere.shown());

    let config = admin.get("/config").await.text;
    let log = gateway.log();
    for text in [config, format!("{log:?}"), wrong.text] {
        assert!(
            !text.contains(PASSWORD) && !text.contains("a-wrong-password"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_is_not_what_it_should_be_is_refused() {
    let registry = Registry::open().await;
    let component = guests::admitter("refused", guests::HARMLESS);
    let good = registry.push("acme/refused", WASM, &component).await;
    let front = async |rule| Front::before(&registry, rule).await;
    let strange = Some("http://127.0.0.9:1/token".to_owned());
    let fronts = [
        ("bytes that were changed", front(FrontRule::Forge).await),
        (
            "a host that nobody named",
            front(FrontRule::Blobs(registry.host().to_owned())).await,
        ),
        (
            "the metadata of a cloud",
            front(FrontRule::Blobs("169.254.169.254".to_owned())).await,
        ),
        (
            "a realm that nobody named",
            front(FrontRule::Token { realm: strange }).await,
        ),
        (
            "a token without a login",
            front(FrontRule::Token { realm: None }).await,
        ),
        ("a circle", front(FrontRule::Circle).await),
        ("a flood", front(FrontRule::Flood).await),
        ("a failure", front(FrontRule::Fail(500)).await),
    ];
    let down = format!("127.0.0.1:{}", free_port());
    let mut known = vec![json!({ "host": registry.host() }), json!({ "host": down })];
    known.extend(
        fronts
            .iter()
            .map(|(_, front)| json!({ "host": front.host() })),
    );
    let gateway = gateway(&json!(known)).await;
    let admin = gateway.admin();

    let layer = registry.blob("acme/refused", WASM, &component).await;
    let mut image = layer.clone();
    image["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip");
    let mut huge = layer.clone();
    huge["size"] = json!(33 << 20);
    let index = "application/vnd.oci.image.index.v1+json";
    let list = json!({ "schemaVersion": 2, "mediaType": index, "manifests": [] });
    let missing = format!("sha256:{}", "0".repeat(64));
    let base = format!("oci://{}/acme/refused", registry.host());
    let mut huge_manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [huge] });
    huge_manifest["config"] = layer.clone();
    let mut cases = vec![
        ("a tag", format!("{base}:latest")),
        ("nothing of the kind", "rate-limit@0.1.0".to_owned()),
        ("a manifest that is not there", format!("{base}@{missing}")),
        (
            "two layers",
            registry
                .push_layers("acme/refused", &[layer.clone(), layer.clone()])
                .await,
        ),
        (
            "an image",
            registry.push_layers("acme/refused", &[image]).await,
        ),
        (
            "an index",
            registry.manifest("acme/refused", index, &list).await,
        ),
        (
            "a huge layer",
            registry
                .manifest("acme/refused", MANIFEST, &huge_manifest)
                .await,
        ),
        (
            "no component",
            registry.push("acme/refused", WASM, b"hello").await,
        ),
        ("a registry that is down", at(&down, &good)),
        (
            "a registry of this machine that nobody named",
            at("127.0.0.3:5000", &good),
        ),
        ("a name that leads inside", at("localhost:5000", &good)),
    ];
    cases.extend(
        fronts
            .iter()
            .map(|(title, front)| (*title, at(front.host(), &good))),
    );
    let mut shown = Vec::new();
    for (title, reference) in cases {
        let refused = pull(&admin, &reference).await;
        assert!(refused.status >= 400, "{title}: {}", refused.shown());
        shown.push((title, refused.shown()));
    }
    assert_eq!(
        admin.get("/stats").await.ok()["plugins"],
        0,
        "nothing was kept"
    );
    let (_, manifest) = good.split_once('@').expect("a digest");
    let mut forged = component.clone();
    *forged.last_mut().expect("bytes") ^= 1;
    let (component, forged) = (digest(&component), digest(&forged));
    let mut changing = vec![
        (registry.host(), "<registry>"),
        (down.as_str(), "<down>"),
        (manifest, "<manifest>"),
        (component.as_str(), "<component>"),
        (forged.as_str(), "<forged>"),
    ];
    changing.extend(fronts.iter().map(|(_, front)| (front.host(), "<front>")));
    insta::assert_snapshot!(redact(&listing(&shown), &changing), @r#"
    a tag
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`oci://<registry>/acme/refused:latest` has no digest: a tag can be moved to other bytes, so write oci://registry/repository@sha256:<64 hex digits>; `crane digest` and `oras resolve` tell it","pointer":"/reference"}
    nothing of the kind
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`rate-limit@0.1.0` is no reference to a component: write oci://registry/repository@sha256:<64 hex digits>","pointer":"/reference"}
    a manifest that is not there
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"<registry> has no manifest sha256:0000000000000000000000000000000000000000000000000000000000000000 in `acme/refused`"}
    two layers
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"the manifest has 2 layers: a component is one layer"}
    an image
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"the manifest has a layer of `application/vnd.oci.image.layer.v1.tar+gzip`: a component is `application/wasm` or `application/vnd.wasm.content.layer.v1+wasm`"}
    an index
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"the manifest is a `application/vnd.oci.image.index.v1+json`, not a `application/vnd.oci.image.manifest.v1+json`: of an index, give the digest of one of its manifests"}
    a huge layer
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"the manifest has a layer of 34603008 bytes: a component has at most 33554432"}
    no component
        422
        {"type":"plugin-refused","title":"The component is not admitted","status":422,"detail":"this is not a WebAssembly component: it does not begin with `\\0asm`","code":"not-wasm"}
    a registry that is down
        502
        {"type":"registry-failed","title":"The registry cannot be read","status":502,"detail":"http://<down>/v2/acme/refused/manifests/<manifest> cannot be read: client error (Connect): tcp connect error: Connection refused (os error 111)"}
    a registry of this machine that nobody named
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"`127.0.0.3:5000` leads to 127.0.0.3, which is no public address: where that is meant, say `private_addresses: true` of its registry in the settings (plugins.registries)"}
    a name that leads inside
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"`localhost` leads to 127.0.0.1, which is no public address: where that is meant, say `private_addresses: true` of its registry in the settings (plugins.registries)"}
    bytes that were changed
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"the layer that the registry gave is <forged>, not <component>: it was changed, or cut off, on the way or at the registry"}
    a host that nobody named
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"http://<front>/v2/acme/refused/blobs/<component> sends us to `<registry>`, which its registry's `other_hosts` in the settings (plugins.registries) do not name: name it there if that is meant"}
    the metadata of a cloud
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"http://<front>/v2/acme/refused/blobs/<component> sends us to `169.254.169.254`, which its registry's `other_hosts` in the settings (plugins.registries) do not name: name it there if that is meant"}
    a realm that nobody named
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"http://<front>/v2/acme/refused/manifests/<manifest> sends us to `127.0.0.9:1`, which its registry's `other_hosts` in the settings (plugins.registries) do not name: name it there if that is meant"}
    a token without a login
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"<front> lets nobody read `acme/refused` as anonymous: check the reference, and `username` and `password` of the registry in the settings (plugins.registries)"}
    a circle
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"http://<front>/v2/acme/refused/manifests/<manifest> redirects more than 4 times"}
    a flood
        422
        {"type":"pull-refused","title":"The component is not pulled","status":422,"detail":"http://<front>/v2/acme/refused/manifests/<manifest> has more than 4194304 bytes"}
    a failure
        502
        {"type":"registry-failed","title":"The registry cannot be read","status":502,"detail":"http://<front>/v2/acme/refused/manifests/<manifest> answered with HTTP status 500 Internal Server Error"}
    "#);
}
