//! Bytes under their digest, and names that mean the same bytes for ever.

use portcullis_tests::admin::{Admin, binding};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::guests;
use portcullis_tests::registry::digest;
use portcullis_tests::stage::Stage;
use serde_json::{Value, json};

use super::Desk;

#[tokio::test]
async fn the_same_bytes_are_kept_once_and_a_name_never_moves() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin();
    let first = guests::admitter("kept", guests::HARMLESS);
    let other = guests::admitter("kept", guests::TRAP);
    let published = admin.publish(first.clone()).await;
    assert_eq!(published.status, 201);
    let info = published.json();
    assert_eq!(info["digest"], digest(&first));
    assert_eq!(info["size_bytes"], first.len());
    // What it asks for, and who vouches for it, is said at once.
    assert_eq!(
        (&info["grants"], &info["signatures"]),
        (&json!([]), &json!([]))
    );
    let again = admin.publish(first.clone()).await;
    assert_eq!((again.status, again.json()), (200, info.clone()));
    assert_eq!(admin.get("/stats").await.ok()["plugins"], 1);

    let moved = admin.publish(other.clone()).await;
    assert_eq!(
        (moved.status, &moved.json()["type"]),
        (409, &json!("plugin-moved"))
    );
    assert_eq!(admin.get("/api/v1/plugins/kept@1.0.0").await.ok(), info);
    let refused = admin
        .get(&format!("/api/v1/plugins/{}", digest(&other)))
        .await;
    assert_eq!(refused.status, 404, "nothing of it was kept");
    // Not even when its bytes are gone.
    admin.delete("/api/v1/plugins/kept@1.0.0").await.ok();
    assert_eq!(admin.publish(other).await.status, 409);
    assert_eq!(admin.publish(first).await.status, 201);
}

#[tokio::test]
async fn what_an_upload_asks_for_is_in_its_answer() {
    let gateway = Gateway::start().await;
    let component = std::fs::read(portcullis_tests::places::plugin("rate-limit"));
    let component = component.expect("a plugin");
    let info = gateway.admin().publish(component.clone()).await.ok();
    assert_eq!(info["grants"], json!(["quota"]));
    let desk = Desk::new();
    desk.write("rate-limit.wasm", &component);
    let pushed = desk
        .on(&gateway, &["plugin", "push", "rate-limit.wasm"])
        .await;
    let said = "already there\n  asks for   quota\n  signed by  nothing\n";
    assert!(pushed.out.ends_with(said), "{}", pushed.shown());
}

#[tokio::test]
async fn a_chain_is_pinned_to_digests_and_what_it_uses_stays() {
    let stage = Stage::set().await;
    let admin = stage.admin();
    let component = guests::admitter("pinned", guests::HARMLESS);
    let sha256 = digest(&component);
    admin.admit(component).await;
    let (tenant, _) = stage.guest_tenant("pins").await;
    for reference in ["pinned@1.0.0", sha256.as_str()] {
        let revision = stage
            .chain(&tenant, &[binding(reference, &[], json!({}))])
            .await;
        let path = tenant.path(&format!("/policies/revisions/{revision}"));
        let shown = admin.get(&path).await.ok();
        assert_eq!(shown["chain"]["bindings"][1]["plugin"], reference);
        assert_eq!(shown["resolved"]["bindings"][1]["plugin"], sha256);
    }
    for reference in ["pinned@1.0.0", sha256.as_str()] {
        let used = admin.delete(&format!("/api/v1/plugins/{reference}")).await;
        assert_eq!(used.status, 409, "{}", used.shown());
        assert!(used.text.contains("pins"), "{}", used.text);
    }
    stage.chain(&tenant, &[]).await;
    let unused = admin.delete("/api/v1/plugins/pinned@1.0.0").await;
    assert_eq!(unused.status, 204);
}

/// Names and versions of a list, page after page.
async fn listed(admin: &Admin, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = admin.get(&format!("/api/v1/plugins?{query}{cursor}")).await;
        let page = page.ok();
        let items = page["items"].as_array().expect("items");
        let text = |item: &Value, field: &str| item[field].as_str().expect("text").to_owned();
        found.extend(
            items
                .iter()
                .map(|item| format!("{}@{}", text(item, "name"), text(item, "version"))),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn a_hundred_versions_are_listed_newest_first() {
    let gateway = Gateway::start().await;
    let admin = gateway.admin();
    let mut want = Vec::new();
    for minor in 0..100 {
        let version = format!("1.{minor}.0");
        let component = guests::versioned("many", &version, guests::HARMLESS);
        want.insert(0, admin.admit(component).await);
    }
    admin
        .admit(guests::admitter("other", guests::HARMLESS))
        .await;
    for limit in [7, 50, 100, 500] {
        let query = format!("name=many&limit={limit}");
        assert_eq!(listed(&admin, &query).await, want, "{limit}");
    }
    let all = listed(&admin, "limit=33").await;
    assert_eq!(
        (all.len(), all.last().map(String::as_str)),
        (101, Some("other@1.0.0"))
    );

    let desk = Desk::new();
    let page = desk
        .on(&gateway, &["plugin", "list", "many", "--limit", "2"])
        .await;
    let newest: Vec<&str> = page.out.lines().skip(1).take(2).collect();
    assert!(newest[0].starts_with("many@1.99.0 ") && newest[1].starts_with("many@1.98.0 "));
    let rest = "there are more: --cursor many@1.98.0";
    assert!(page.out.ends_with(&format!("{rest}\n")), "{}", page.shown());
    let arguments = [
        "plugin",
        "list",
        "many",
        "--limit",
        "2",
        "--cursor",
        "many@1.98.0",
    ];
    let next = desk.on(&gateway, &arguments).await;
    assert!(next.out.contains("\nmany@1.97.0 "), "{}", next.shown());
    let whole = desk
        .on(&gateway, &["plugin", "list", "many", "--output", "json"])
        .await;
    assert_eq!(whole.json().as_array().map(Vec::len), Some(100));
}
