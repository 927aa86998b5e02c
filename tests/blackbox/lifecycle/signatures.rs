//! Keys, signatures and their files: what commands make of them, and what the gateway keeps.

use std::os::unix::fs::PermissionsExt;

use portcullis_tests::gateway::Gateway;
use portcullis_tests::guests;
use portcullis_tests::registry::digest;
use portcullis_tests::show::{listing, redact};
use serde_json::{Value, json};

use super::{Desk, text};

#[tokio::test]
async fn a_private_key_is_the_owners_alone_and_is_never_shown() {
    let desk = Desk::new();
    let made = desk.ok(&["plugin", "keygen", "release"]).await;
    let mode = |name: &str| {
        let metadata = std::fs::metadata(desk.path(name)).expect("a file");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("release.pem"), 0o600);
    let private = desk.read("release.pem");
    let secret = private.lines().nth(1).expect("the key");
    desk.write("a.wasm", &guests::admitter("a", guests::HARMLESS));
    let shown = [
        made.shown(),
        desk.ok(&["plugin", "sign", "a.wasm", "--key", "release.pem"])
            .await
            .shown(),
        desk.run(&["plugin", "sign", "a.wasm", "--key", "release.pub"])
            .await
            .shown(),
        desk.run(&["plugin", "verify", "a.wasm", "--key", "release.pem"])
            .await
            .shown(),
        desk.run(&["plugin", "keygen", "release"]).await.shown(),
        desk.read("a.wasm.sig"),
        desk.read("release.pub"),
    ];
    for shown in &shown {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(
        shown[4].contains("release.pem: File exists"),
        "{}",
        shown[4]
    );
    assert_eq!(
        desk.read("release.pem"),
        private,
        "a key is not written over"
    );
}

#[tokio::test]
async fn a_signature_is_verified_against_the_keys_that_are_given() {
    let desk = Desk::new();
    let (release, other) = (desk.key("release").await, desk.key("other").await);
    desk.write("a.wasm", &guests::admitter("a", guests::HARMLESS));
    desk.write("b.wasm", &guests::admitter("a", guests::TRAP));
    desk.ok(&["plugin", "sign", "a.wasm", "--key", "release.pem"])
        .await;
    for key in [release.as_str(), "release.pub"] {
        let verify = [
            "plugin",
            "verify",
            "a.wasm",
            "--key",
            "other.pub",
            "--key",
            key,
        ];
        let verified = desk
            .ok(&[&verify[..], &["--output", "json"]].concat())
            .await;
        assert_eq!(verified.json()["verified"], true);
    }
    let signature: Value = serde_json::from_str(&desk.read("a.wasm.sig")).expect("JSON");
    let change = |field: &str, value: Value| {
        let mut changed = signature.clone();
        changed[field] = value;
        desk.write("bad.sig", changed.to_string().as_bytes());
    };
    let with = ["--signature", "bad.sig", "--key", "release.pub"];
    let mut shown = Vec::new();
    let mut keep = |title, run: portcullis_tests::cli::Run| {
        assert_ne!(run.code, 0, "{title}: {}", run.shown());
        shown.push((title, run.shown()));
    };
    let verify_a = ["plugin", "verify", "a.wasm"];
    keep(
        "another key",
        desk.run(&[&verify_a[..], &["--key", "other.pub"]].concat())
            .await,
    );
    keep(
        "another file",
        desk.run(&[
            "plugin",
            "verify",
            "b.wasm",
            "--signature",
            "a.wasm.sig",
            "--key",
            "release.pub",
        ])
        .await,
    );
    change("public_key", json!(other));
    keep(
        "another's name",
        desk.run(&[&verify_a[..], &with].concat()).await,
    );
    change("signature", json!("AAAA"));
    keep(
        "no signature",
        desk.run(&[&verify_a[..], &with].concat()).await,
    );
    change("statement", json!("portcullis-plugin-v2"));
    keep(
        "an unknown form",
        desk.run(&[&verify_a[..], &with].concat()).await,
    );
    keep(
        "no file",
        desk.run(&["plugin", "verify", "b.wasm", "--key", "release.pub"])
            .await,
    );
    desk.ok(&["plugin", "sign", "a.wasm", "--key", "release.pem"])
        .await;
    let over = ["plugin", "sign", "a.wasm", "--key", "other.pem"];
    keep("over another's signature", desk.run(&over).await);
    desk.write("core.wasm", &guests::core_module());
    let sign = ["plugin", "sign", "core.wasm", "--key", "other.pem"];
    keep("what no gateway takes", desk.run(&sign).await);
    let release_id = signature["key_id"].as_str().expect("an id").to_owned();
    let other_id = desk.run(&[
        "plugin",
        "sign",
        "b.wasm",
        "--key",
        "other.pem",
        "--output",
        "json",
    ]);
    let other_id = other_id.await.json()["signature"]["key_id"].clone();
    let (a, b) = (
        digest(&guests::admitter("a", guests::HARMLESS)),
        digest(&guests::admitter("a", guests::TRAP)),
    );
    let changing = [
        (release_id.as_str(), "<release>"),
        (other_id.as_str().expect("an id"), "<other>"),
        (a.as_str(), "<a>"),
        (b.as_str(), "<b>"),
    ];
    insta::assert_snapshot!(redact(&listing(&shown), &changing), @r"
    another key
        exit 1
        portcullis: a.wasm.sig: the signature is by key <release>, which is none of those given
    another file
        exit 1
        portcullis: a.wasm.sig: the signature is for <a>, and the plugin is <b>: sign this very file
    another's name
        exit 1
        portcullis: bad.sig: the signature says key <release>, but its public_key is <other>: leave it as `plugin sign` wrote it
    no signature
        exit 1
        portcullis: bad.sig: the signature of key <release> is wrong: the component, what it says of itself, or the signature was changed
    an unknown form
        exit 1
        portcullis: bad.sig: this is no signature as `portcullis plugin sign` writes it: unknown variant `portcullis-plugin-v2`, expected `portcullis-plugin-v1` at line 1 column 35
    no file
        exit 1
        portcullis: b.wasm.sig: No such file or directory (os error 2)
    over another's signature
        exit 2
        portcullis: a.wasm.sig is a signature by key <release>: name another file with --out
    what no gateway takes
        exit 1
        portcullis: core.wasm: this is a core WebAssembly module, not a component; make one of it with `portcullis-guest componentize` or `wasm-tools component new` (core-module)
    ");
}

#[tokio::test]
async fn a_plugin_is_pushed_with_its_signatures() {
    let gateway = Gateway::start().await;
    let desk = Desk::new();
    let (release, audit) = (desk.key("release").await, desk.key("audit").await);
    desk.write("a.wasm", &guests::admitter("a", guests::HARMLESS));
    desk.write("b.wasm", &guests::admitter("b", guests::HARMLESS));
    desk.sign("a.wasm", "release", "a.wasm.sig").await;
    desk.sign("a.wasm", "audit", "audit.sig").await;
    desk.sign("b.wasm", "release", "of-b.sig").await;
    let signers = async || {
        let plugin = gateway.admin().get("/api/v1/plugins/a@1.0.0").await.ok();
        let signatures = plugin["signatures"].as_array().expect("signatures").clone();
        let keys = signatures.iter().map(|one| one["public_key"].clone());
        keys.collect::<Vec<_>>()
    };
    // The one beside it goes with it.
    let push = ["plugin", "push", text(&desk.path("a.wasm"))].map(str::to_owned);
    let push: Vec<&str> = push.iter().map(String::as_str).collect();
    let pushed = desk
        .on(&gateway, &[&push[..], &["--output", "json"]].concat())
        .await;
    assert_eq!(pushed.json()[0]["signatures"][0]["public_key"], release);
    assert_eq!(signers().await, [json!(release)]);
    let more = ["--signature", "audit.sig", "--signature", "a.wasm.sig"];
    let more = desk.on(&gateway, &[&push[..], &more].concat()).await;
    assert_eq!(more.code, 0, "{}", more.shown());
    assert_eq!(signers().await, [json!(release), json!(audit)]);
    let path = "/api/v1/plugins/a@1.0.0/signatures";
    let shown = gateway.admin().get(path).await.ok();
    assert_eq!(shown.as_array().map(Vec::len), Some(2));

    let wrong = desk
        .on(
            &gateway,
            &[&push[..], &["--signature", "of-b.sig"]].concat(),
        )
        .await;
    assert_eq!(wrong.code, 1);
    let says = [
        "of-b.sig: a@1.0.0: the signature is for sha256:",
        "(wrong-signature)",
    ];
    assert!(
        says.iter().all(|says| wrong.err.contains(says)),
        "{}",
        wrong.shown()
    );
    let mut forged = shown[0].clone();
    forged["signature"] = shown[1]["signature"].clone();
    let forged = gateway.admin().post(path, &forged).await;
    assert_eq!(forged.status, 422, "{}", forged.shown());
    assert_eq!(forged.json()["code"], "wrong-signature");
    assert_eq!(signers().await.len(), 2, "it is not kept");
    let nowhere = gateway
        .admin()
        .post("/api/v1/plugins/c@1.0.0/signatures", &shown[0])
        .await;
    assert_eq!(nowhere.status, 404);
}
