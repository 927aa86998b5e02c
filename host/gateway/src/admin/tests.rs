//! The admin plane, driven as a service over a real store.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{DOCUMENT_BYTES_MAX, PLUGIN_BYTES_MAX};
use plane::{Plane, TOKEN, request};

mod plane;

#[tokio::test]
async fn everything_but_the_probes_asks_for_the_token() {
    let plane = Plane::new().await;
    let without = |path: &str| Request::builder().uri(path).body(Body::empty()).unwrap();
    for path in ["/health", "/health/live", "/health/ready", "/ready"] {
        assert_eq!(
            plane.ask(without(path)).await.status,
            StatusCode::OK,
            "{path}"
        );
    }
    for path in [
        "/metrics",
        "/config",
        "/stats",
        "/openapi.json",
        "/api/v1/tenants",
        "/api/v1/plugins",
        "/nowhere",
    ] {
        let answer = plane.ask(without(path)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE));
        assert!(answer.problem().contains("unauthorized"));
    }
    plane.ready.store(false, Ordering::Relaxed);
    assert_eq!(
        plane.ask(without("/ready")).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(
        plane.ask(without("/health/live")).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn operations_are_shown_without_secrets() {
    let plane = Plane::new().await;
    assert_eq!(plane.get("/metrics").await.text, "portcullis_up 1\n");
    let config = plane.get("/config").await;
    assert_eq!(config.body["admin_token"], "***");
    assert!(!config.text.contains(TOKEN));
    let stats = plane.get("/stats").await;
    assert_eq!(
        (&stats.body["tenants"], &stats.body["plugins"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn the_openapi_document_has_every_path() {
    let plane = Plane::new().await;
    let document = plane.get("/openapi.json").await;
    let paths: Vec<String> = document.body["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, methods)| {
            format!(
                "{path} {}",
                methods
                    .as_object()
                    .unwrap()
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(" ")
            )
        })
        .collect();
    insta::assert_snapshot!(paths.join("\n"), @r#"
/api/v1/plugins get post
/api/v1/plugins/pull post
/api/v1/plugins/{plugin} get delete
/api/v1/plugins/{plugin}/signatures get post
/api/v1/tenants get
/api/v1/tenants/{tenant} get put delete
/api/v1/tenants/{tenant}/explain post
/api/v1/tenants/{tenant}/issuers get
/api/v1/tenants/{tenant}/issuers/{name} get put delete
/api/v1/tenants/{tenant}/keys get post
/api/v1/tenants/{tenant}/keys/{id} delete
/api/v1/tenants/{tenant}/policies get put
/api/v1/tenants/{tenant}/policies/diff get
/api/v1/tenants/{tenant}/policies/revisions get
/api/v1/tenants/{tenant}/policies/revisions/{revision} get
/api/v1/tenants/{tenant}/policies/rollback post
/api/v1/tenants/{tenant}/rollouts get post
/api/v1/tenants/{tenant}/rollouts/{rollout} get patch
/api/v1/tenants/{tenant}/rollouts/{rollout}/promote post
/api/v1/tenants/{tenant}/rollouts/{rollout}/rollback post
/api/v1/tenants/{tenant}/samples get delete
/api/v1/tenants/{tenant}/servers get
/api/v1/tenants/{tenant}/servers/{name} get put delete
/api/v1/tenants/{tenant}/trust get put
/api/v1/tenants/{tenant}/upstreams get
/api/v1/tenants/{tenant}/upstreams/{name} get put delete
/api/v1/tenants/{tenant}/upstreams/{name}/authorization get post delete
/config get
/metrics get
/stats get
"#);
    assert_eq!(
        document.body["components"]["securitySchemes"]["admin-token"]["scheme"],
        "bearer"
    );
    assert!(
        document.body["components"]["schemas"]["UpstreamSpec"]["properties"]["timeout_ms"]
            .is_object(),
        "{}",
        document.text
    );
}

#[tokio::test]
async fn a_tenant_is_created_replaced_and_deleted() {
    let plane = Plane::new().await;
    let tenant = "/api/v1/tenants/acme";
    let made = plane.put(tenant, json!({"description": "one"})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let changed = plane.put(tenant, json!({"description": "two"})).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!(plane.get(tenant).await.body, json!({"description": "two"}));
    assert_eq!(
        plane.get("/api/v1/tenants").await.body,
        json!({"items": [{"name": "acme", "spec": {"description": "two"}}]})
    );
    assert_eq!(plane.delete(tenant).await.status, StatusCode::NO_CONTENT);
    assert_eq!(plane.get(tenant).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn documents_stay_while_others_refer_to_them() {
    let plane = Plane::new().await;
    plane.put("/api/v1/tenants/acme", json!({})).await;
    let upstream = "/api/v1/tenants/acme/upstreams/a";
    let server = "/api/v1/tenants/acme/servers/main";
    plane
        .put(upstream, json!({"url": "https://a.example/mcp"}))
        .await;
    let made = plane
        .put(server, json!({"upstreams": [{"name": "a"}]}))
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(plane.delete(upstream).await.status, StatusCode::CONFLICT);
    assert_eq!(plane.delete(server).await.status, StatusCode::NO_CONTENT);
    assert_eq!(plane.delete(upstream).await.status, StatusCode::NO_CONTENT);
    assert_eq!(plane.get(upstream).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_document_can_be_read_edited_and_put_back() {
    let plane = Plane::new().await;
    plane.put("/api/v1/tenants/acme", json!({})).await;
    let upstream = "/api/v1/tenants/acme/upstreams/a";
    let document = json!({"url": "https://a.example/mcp", "headers": {"x-key": "s3cret"}});
    let made = plane.put(upstream, document).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let mut shown = plane.get(upstream).await.body;
    assert_eq!(
        shown,
        json!({"url": "https://a.example/mcp", "headers": {"x-key": "***"}, "timeout_ms": 30_000})
    );
    assert_eq!(made.body, shown);
    shown["timeout_ms"] = json!(5_000);
    assert_eq!(plane.put(upstream, shown).await.status, StatusCode::OK);
    let stored = plane.store.tenant_state("acme").await.unwrap().unwrap();
    assert_eq!(stored.upstreams["a"].headers["x-key"].expose(), "s3cret");
    assert_eq!(stored.upstreams["a"].timeout_ms, 5_000);

    let issuers = "/api/v1/tenants/acme/issuers";
    let mut issuer = json!({"issuer": "https://login.example", "secret": "s3cret".repeat(6)});
    let made = plane.put(&format!("{issuers}/login"), issuer.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED);
    issuer["secret"] = json!("***");
    assert_eq!(
        plane.get(issuers).await.body,
        json!({"items": [{"name": "login", "spec": issuer}]})
    );
}

#[tokio::test]
async fn a_key_is_shown_once() {
    let plane = Plane::new().await;
    plane.put("/api/v1/tenants/acme", json!({})).await;
    let made = plane
        .send(
            Method::POST,
            "/api/v1/tenants/acme/keys",
            &json!({"name": "ci", "subject": "bot", "roles": ["r"]}),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let key = made.body["key"].as_str().unwrap();
    assert!(key.starts_with("pk_") && key.len() == 46, "{key}");
    let listed = plane.get("/api/v1/tenants/acme/keys").await;
    assert_eq!(listed.body["items"][0]["id"], made.body["id"]);
    assert_eq!(listed.body["items"][0]["spec"]["subject"], "bot");
    assert!(!listed.text.contains(key));
    let stored = plane.store.tenant_state("acme").await.unwrap().unwrap();
    use sha2::Digest;
    assert_eq!(stored.keys[0].sha256[..], sha2::Sha256::digest(key)[..]);
    let path = format!(
        "/api/v1/tenants/acme/keys/{}",
        made.body["id"].as_str().unwrap()
    );
    assert_eq!(plane.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(plane.delete(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn policies_have_revisions() {
    let plane = Plane::new().await;
    let policies = "/api/v1/tenants/acme/policies";
    plane.put("/api/v1/tenants/acme", json!({})).await;
    let empty = plane.get(policies).await;
    assert_eq!(
        (empty.headers[header::ETAG].to_str().unwrap(), &empty.body),
        ("\"0\"", &json!({"bindings": [], "anonymous": false}))
    );

    let put = plane
        .put(policies, json!({"bindings": [], "anonymous": true}))
        .await;
    assert_eq!(
        (
            put.status,
            put.headers[header::ETAG].to_str().unwrap(),
            &put.body
        ),
        (StatusCode::OK, "\"1\"", &json!({"revision": 1}))
    );

    let matching = |tag: &str| {
        let mut request = request(
            Method::PUT,
            policies,
            "application/json",
            json!({"bindings": []}).to_string(),
        );
        request
            .headers_mut()
            .insert(header::IF_MATCH, tag.parse().unwrap());
        request
    };
    let moved = plane.ask(matching("\"0\"")).await;
    insta::assert_snapshot!(moved.problem(), @"412 revision-moved: the policies are at revision 1, not 0: read them again, and apply the change to that");
    assert_eq!(
        plane.ask(matching("1")).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        plane.ask(matching("\"7\", \"1\"")).await.headers[header::ETAG],
        "\"2\""
    );
    assert_eq!(
        plane.ask(matching("*")).await.headers[header::ETAG],
        "\"3\""
    );
}

#[tokio::test]
async fn revisions_are_listed_and_shown() {
    let plane = Plane::new().await;
    let policies = "/api/v1/tenants/acme/policies";
    plane.put("/api/v1/tenants/acme", json!({})).await;
    for anonymous in [true, false, false] {
        plane
            .put(policies, json!({"bindings": [], "anonymous": anonymous}))
            .await;
    }
    let first = plane.get(&format!("{policies}/revisions?limit=2")).await;
    assert_eq!(
        (
            &first.body["items"][0]["revision"],
            &first.body["next_cursor"]
        ),
        (&json!(3), &json!("2"))
    );
    let rest = plane
        .get(&format!("{policies}/revisions?limit=2&cursor=2"))
        .await;
    assert_eq!(
        (
            &rest.body["items"][0]["revision"],
            &rest.body["next_cursor"]
        ),
        (&json!(1), &Value::Null)
    );
    let one = plane.get(&format!("{policies}/revisions/1")).await;
    assert_eq!(
        (&one.body["chain"]["anonymous"], &one.body["author"]),
        (&json!(true), &json!("admin"))
    );
    assert_eq!(
        plane.get(&format!("{policies}/revisions/9")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn writers_that_race_get_revisions_of_their_own() {
    let plane = Plane::new().await;
    plane.put("/api/v1/tenants/acme", json!({})).await;
    let puts = (0..8).map(|_| plane.put("/api/v1/tenants/acme/policies", json!({"bindings": []})));
    let mut revisions: Vec<u64> = futures_util::future::join_all(puts)
        .await
        .iter()
        .map(|put| put.body["revision"].as_u64().unwrap())
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=8).collect::<Vec<_>>());
}

#[tokio::test]
async fn plugins_are_found_paged_and_deleted() {
    let plane = Plane::new().await;
    let digest = plane.publish("b", 'a').await;
    plane.publish("a", 'b').await;
    let first = plane.get("/api/v1/plugins?limit=1").await;
    assert_eq!(
        (&first.body["items"][0]["name"], &first.body["next_cursor"]),
        (&json!("a"), &json!("a@1.0.0"))
    );
    let last = plane.get("/api/v1/plugins?limit=1&cursor=a@1.0.0").await;
    assert_eq!(
        (&last.body["items"][0]["name"], &last.body["next_cursor"]),
        (&json!("b"), &Value::Null)
    );
    let named = plane.get("/api/v1/plugins?name=b").await;
    let items = named.body["items"].as_array();
    assert_eq!(items.map(Vec::len), Some(1), "{}", named.text);
    assert_eq!(named.body["items"][0]["signatures"], json!([]));
    for reference in [digest.as_str(), "b@1.0.0"] {
        assert_eq!(
            plane
                .get(&format!("/api/v1/plugins/{reference}"))
                .await
                .body["digest"],
            digest
        );
    }
    assert_eq!(
        plane.delete("/api/v1/plugins/b@1.0.0").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        plane.get("/api/v1/plugins/b@1.0.0").await.status,
        StatusCode::NOT_FOUND
    );
}

/// The problems that requests end in, one a line.
async fn problems(plane: &Plane, requests: Vec<Request<Body>>) -> String {
    let mut problems = Vec::new();
    for request in requests {
        problems.push(plane.ask(request).await.problem());
    }
    problems.join("\n")
}

fn json_put(path: &str, body: &str) -> Request<Body> {
    let path = format!("/api/v1/tenants/{path}");
    request(Method::PUT, &path, "application/json", body.to_owned())
}

#[tokio::test]
async fn paths_that_lead_nowhere_say_where_to_go() {
    let plane = Plane::new().await;
    plane.put("/api/v1/tenants/acme", json!({})).await;
    let get = |path: &str| request(Method::GET, path, "", "");
    let requests = vec![
        get("/api/v2/tenants"),
        request(Method::PATCH, "/api/v1/tenants", "", ""),
        request(Method::POST, "/health", "", ""),
        get("/api/v1/tenants/nobody"),
        get("/api/v1/tenants/acme/upstreams/zebra"),
        get("/api/v1/tenants?limit=many"),
        get("/api/v1/tenants?page=2"),
        get("/api/v1/plugins/what"),
        get("/api/v1/plugins/p@1"),
        get("/api/v1/tenants/acme/policies/revisions/last"),
        json_put("nobody/upstreams/x", r#"{"url": "http://x"}"#),
        json_put("Acme", "{}"),
    ];
    insta::assert_snapshot!(problems(&plane, requests).await, @r#"
404 not-found: /api/v2/tenants leads nowhere; GET /openapi.json lists every path
405 method-not-allowed: /api/v1/tenants does not take PATCH; GET /openapi.json lists what it takes
405 method-not-allowed: /health does not take POST; GET /openapi.json lists what it takes
404 not-found: there is no tenant `nobody`: create it with PUT /api/v1/tenants/nobody
404 not-found: there is no upstream `zebra`
400 bad-request: the query is not valid: limit: invalid digit found in string. Use limit=1 to 500 and cursor
400 bad-request: the query is not valid: page: unknown field `page`, expected `limit` or `cursor`. Use limit=1 to 500 and cursor
400 bad-request: `what` names no plugin: write `name@version`, or `sha256:` and 64 lower-case hex digits
404 not-found: the plugin p@1 is not published
400 bad-request: a revision is a number
404 not-found: there is no tenant `nobody`: create it with PUT /api/v1/tenants/nobody
400 bad-request: `Acme` is not a name: use 1-63 of a-z, 0-9 and `-`, starting with a letter and without `--`
"#);
}

#[tokio::test]
async fn documents_are_refused_with_the_field() {
    let plane = Plane::new().await;
    plane.put("/api/v1/tenants/acme", json!({})).await;
    plane
        .put(
            "/api/v1/tenants/acme/upstreams/a",
            json!({"url": "http://a"}),
        )
        .await;
    let requests = vec![
        json_put("acme", "{"),
        json_put("acme", "{} {}"),
        json_put("acme", r#"{"descripton": "x"}"#),
        json_put("acme/upstreams/x", r#"{"url": 7}"#),
        json_put(
            "acme/upstreams/x",
            r#"{"url": "http://x", "labels": {"a/b": 1}}"#,
        ),
        json_put(
            "acme/servers/x",
            r#"{"upstreams": [{"name": "a"}, {"nam": "a"}]}"#,
        ),
        json_put(
            "acme/servers/x",
            r#"{"upstreams": [{"name": "a"}], "naming": "prefix"}"#,
        ),
        json_put("acme/policies", r#"{"bindings": [{"plugin": "p@1.0.0"}]}"#),
        json_put("acme/policies", r#"{"bindings": [{"plugin": "latest"}]}"#),
        json_put(
            "acme/policies",
            r#"{"bindings": [{"plugin": "p@1", "limit": {}}]}"#,
        ),
    ];
    insta::assert_snapshot!(problems(&plane, requests).await, @r#"
400 bad-request: the body is not JSON: EOF while parsing an object at line 1 column 1
400 bad-request: the body is not one JSON document: trailing characters at line 1 column 4
422 invalid-document /descripton: unknown key `descripton`: did you mean `description`?
422 invalid-document /url: invalid type: integer `7`, expected a string
422 invalid-document /labels/a~1b: invalid type: integer `1`, expected a string
422 invalid-document /upstreams/1/nam: unknown key `nam`: did you mean `name`?
422 invalid-document /naming: unknown value `prefix`: did you mean `prefixed`?
422 invalid-document /bindings/0/plugin: the plugin p@1.0.0 is not published: push it first, or see GET /api/v1/plugins
422 invalid-document /bindings/0/plugin: `latest` names no plugin: write `name@version`, or `sha256:` and 64 lower-case hex digits
422 invalid-document /bindings/0/limit: unknown key `limit`: did you mean `limits`?
"#);
}

#[tokio::test]
async fn names_of_the_whole_gateway_belong_to_one_tenant() {
    let plane = Plane::new().await;
    for tenant in ["acme", "globex"] {
        plane
            .put(&format!("/api/v1/tenants/{tenant}"), json!({}))
            .await;
        plane
            .put(
                &format!("/api/v1/tenants/{tenant}/upstreams/a"),
                json!({"url": "http://a"}),
            )
            .await;
    }
    let server = json!({"upstreams": [{"name": "a"}], "hosts": ["a.example"]});
    plane
        .put("/api/v1/tenants/acme/servers/main", server.clone())
        .await;
    let requests = vec![
        json_put("globex/servers/main", r#"{"upstreams": [{"name": "a"}]}"#),
        json_put("globex/servers/other", &server.to_string()),
    ];
    insta::assert_snapshot!(problems(&plane, requests).await, @r#"
409 name-taken: the server name `main` belongs to tenant `acme`: server names are unique in the whole gateway
409 name-taken /hosts: the host `a.example` already leads to server `main`
"#);
}

#[tokio::test]
async fn bodies_are_refused_by_type_size_and_content() {
    let plane = Plane::new().await;
    let long = "x".repeat(DOCUMENT_BYTES_MAX);
    let wasm = |bytes: Vec<u8>| request(Method::POST, "/api/v1/plugins", "application/wasm", bytes);
    let requests = vec![
        request(Method::PUT, "/api/v1/tenants/acme", "text/plain", "{}"),
        request(Method::POST, "/api/v1/plugins", "application/json", "{}"),
        json_put("acme", &format!(r#"{{"description": "{long}"}}"#)),
        wasm(vec![0; PLUGIN_BYTES_MAX + 1]),
        wasm(b"not a component".to_vec()),
        wasm(b"\0asm\x01\0\0\0".to_vec()),
    ];
    insta::assert_snapshot!(problems(&plane, requests).await, @r#"
415 media-type: send the body with Content-Type: application/json
415 media-type: send the body with Content-Type: application/wasm
413 too-large: at most 1048576 bytes are accepted here
413 too-large: at most 33554432 bytes are accepted here
422 plugin-refused not-wasm: this is not a WebAssembly component: it does not begin with `\0asm`
422 plugin-refused core-module: this is a core WebAssembly module, not a component; make one of it with `portcullis-guest componentize` or `wasm-tools component new`
"#);
}

#[tokio::test]
async fn a_restart_serves_what_was_put() {
    let plane = Plane::new().await;
    plane.put("/api/v1/tenants/acme", json!({})).await;
    plane
        .put(
            "/api/v1/tenants/acme/policies",
            json!({"bindings": [], "anonymous": true}),
        )
        .await;
    let Plane { folder, .. } = plane;
    let plane = Plane::over(folder).await;
    assert_eq!(
        plane.get("/api/v1/tenants/acme/policies").await.body["anonymous"],
        true
    );
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_nothing_half_done() {
    let plane = Plane::new().await;
    plane.put("/api/v1/tenants/acme", json!({})).await;
    let request = request(
        Method::PUT,
        "/api/v1/tenants/acme/upstreams/a",
        "application/json",
        json!({"url": "http://a"}).to_string(),
    );
    let mut answer = Box::pin(plane.router.clone().oneshot(request));
    // Poll it until the change is under way, then hang up.
    while plane
        .store
        .tenant_state("acme")
        .await
        .unwrap()
        .unwrap()
        .upstreams
        .is_empty()
    {
        if futures_util::FutureExt::now_or_never(answer.as_mut()).is_some() {
            break;
        }
        tokio::task::yield_now().await;
    }
    drop(answer);
    // The lock of the tenant is free again only when the change has ended.
    assert_eq!(
        plane
            .put(
                "/api/v1/tenants/acme/upstreams/b",
                json!({"url": "http://b"})
            )
            .await
            .status,
        StatusCode::CREATED
    );
    let names: Vec<String> = plane
        .store
        .tenant_state("acme")
        .await
        .unwrap()
        .unwrap()
        .upstreams
        .into_keys()
        .collect();
    assert_eq!(names, ["a", "b"]);
}
