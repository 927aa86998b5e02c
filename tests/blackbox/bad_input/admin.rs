//! What an operator can get wrong at the admin API.

use portcullis_tests::admin::{Admin, http};
use portcullis_tests::show::{Answer, listing};
use portcullis_tests::stage::SERVER;
use reqwest::Method;
use serde_json::json;

use super::{STAGE, set};

#[tokio::test]
async fn tokens() {
    let stage = STAGE.get(set).await;
    let url = stage.gateway.admin_url();
    let wrong = Admin::new(url, "a-guess-of-the-admin-token");
    let cases = [
        (
            "none",
            Answer::of(http().get(format!("{url}/api/v1/tenants"))).await,
        ),
        ("a wrong one", wrong.get("/api/v1/tenants").await),
        (
            "a caller's key",
            Admin::new(url, &stage.alice).get("/api/v1/tenants").await,
        ),
        ("a wrong one, where nothing is", wrong.get("/nothing").await),
        (
            "a wrong one, for a change",
            wrong.put("/api/v1/tenants/evil", &json!({})).await,
        ),
    ];
    let shown: Vec<_> = cases
        .iter()
        .map(|(title, answer)| (*title, answer.shown()))
        .collect();
    insta::assert_snapshot!(listing(&shown), @r#"
    none
        401
        www-authenticate: Bearer realm="portcullis-admin"
        {"type":"unauthorized","title":"The admin token is missing or wrong","status":401,"detail":"send Authorization: Bearer with the admin token; it is admin_token of the settings, or the file admin-token in the data folder"}
    a wrong one
        401
        www-authenticate: Bearer realm="portcullis-admin"
        {"type":"unauthorized","title":"The admin token is missing or wrong","status":401,"detail":"send Authorization: Bearer with the admin token; it is admin_token of the settings, or the file admin-token in the data folder"}
    a caller's key
        401
        www-authenticate: Bearer realm="portcullis-admin"
        {"type":"unauthorized","title":"The admin token is missing or wrong","status":401,"detail":"send Authorization: Bearer with the admin token; it is admin_token of the settings, or the file admin-token in the data folder"}
    a wrong one, where nothing is
        401
        www-authenticate: Bearer realm="portcullis-admin"
        {"type":"unauthorized","title":"The admin token is missing or wrong","status":401,"detail":"send Authorization: Bearer with the admin token; it is admin_token of the settings, or the file admin-token in the data folder"}
    a wrong one, for a change
        401
        www-authenticate: Bearer realm="portcullis-admin"
        {"type":"unauthorized","title":"The admin token is missing or wrong","status":401,"detail":"send Authorization: Bearer with the admin token; it is admin_token of the settings, or the file admin-token in the data folder"}
    "#);
    assert_eq!(stage.admin().get("/api/v1/tenants/evil").await.status, 404);
}

#[tokio::test]
async fn documents() {
    let stage = STAGE.get(set).await;
    let admin = stage.admin();
    let (tenant, _) = stage.guest_tenant("bad-documents").await;
    let put = |below: &str| admin.request(Method::PUT, &tenant.path(below));
    let policies = || put("/policies").json(&json!({ "bindings": [] }));
    let cases = [
        (
            "no JSON",
            put("/policies")
                .header("content-type", "application/json")
                .body("{"),
        ),
        (
            "another media type",
            put("/policies")
                .header("content-type", "text/yaml")
                .body("bindings: []"),
        ),
        (
            "an unknown tenant",
            admin
                .request(Method::PUT, "/api/v1/tenants/nobody/policies")
                .json(&json!({ "bindings": [] })),
        ),
        (
            "a tenant with an impossible name",
            admin
                .request(Method::PUT, "/api/v1/tenants/No%20Name")
                .json(&json!({})),
        ),
        (
            "an upstream without an address",
            put("/upstreams/u").json(&json!({})),
        ),
        (
            "an upstream with two",
            put("/upstreams/u")
                .json(&json!({ "url": "http://127.0.0.1:1/mcp", "command": ["true"] })),
        ),
        (
            "an address that is none",
            put("/upstreams/u").json(&json!({ "url": "ftp://files" })),
        ),
        (
            "a process for an address",
            put("/upstreams/u")
                .json(&json!({ "url": "http://127.0.0.1:1/mcp", "process": "session" })),
        ),
        (
            "a process for nobody",
            put("/upstreams/u").json(&json!({ "command": ["true"], "process": "none" })),
        ),
        (
            "a key that is unknown",
            put("/upstreams/u").json(&json!({ "urll": "http://127.0.0.1:1/mcp" })),
        ),
        (
            "a server over nothing",
            put("/servers/s").json(&json!({ "upstreams": [] })),
        ),
        (
            "a server over an unknown upstream",
            put("/servers/s").json(&json!({ "upstreams": [{ "name": "dmo" }] })),
        ),
        (
            "a server's name that is taken",
            put(&format!("/servers/{SERVER}")).json(&json!({ "upstreams": [{ "name": "demo" }] })),
        ),
        (
            "an issuer with a short secret",
            put("/issuers/i").json(&json!({ "issuer": "x", "secret": "short" })),
        ),
        (
            "a key without a subject",
            admin
                .request(Method::POST, &tenant.path("/keys"))
                .json(&json!({ "name": "k" })),
        ),
        (
            "an upstream in use",
            admin.request(Method::DELETE, &tenant.path("/upstreams/demo")),
        ),
        (
            "what is not there",
            admin.request(Method::DELETE, &tenant.path("/servers/nothing")),
        ),
        (
            "a revision that has passed",
            policies().header("if-match", "\"0\""),
        ),
        (
            "a revision that is none",
            policies().header("if-match", "one"),
        ),
        (
            "an unknown path",
            admin.request(Method::GET, "/api/v1/tenant"),
        ),
        (
            "a method that it has not",
            admin.request(Method::PATCH, &tenant.path("/policies")),
        ),
        (
            "a page that is none",
            admin.request(Method::GET, "/api/v1/tenants?limit=many"),
        ),
    ];
    let mut shown = Vec::new();
    for (title, request) in cases {
        let answer = Answer::of(request).await;
        assert!(
            (400..500).contains(&answer.status),
            "{title}: {}",
            answer.shown()
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{title}"
        );
        shown.push((title, answer.shown()));
    }
    insta::assert_snapshot!(listing(&shown), @r#"
    no JSON
        400
        {"type":"bad-request","title":"The request is not valid","status":400,"detail":"the body is not JSON: EOF while parsing an object at line 1 column 1"}
    another media type
        415
        {"type":"media-type","title":"The media type is not accepted","status":415,"detail":"send the body with Content-Type: application/json"}
    an unknown tenant
        404
        {"type":"not-found","title":"Not found","status":404,"detail":"there is no tenant `nobody`: create it with PUT /api/v1/tenants/nobody"}
    a tenant with an impossible name
        400
        {"type":"bad-request","title":"The request is not valid","status":400,"detail":"`No Name` is not a name: use 1-63 of a-z, 0-9 and `-`, starting with a letter and without `--`"}
    an upstream without an address
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"give `url` (HTTP) or `command` (stdio)","pointer":"/url"}
    an upstream with two
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"give `url` or `command`, not both","pointer":"/command"}
    an address that is none
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`ftp://files` is not an http or https URL","pointer":"/url"}
    a process for an address
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"`process` is for an upstream with `command`: remove it","pointer":"/process"}
    a process for nobody
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"unknown value `none`: use one of shared, session","pointer":"/process"}
    a key that is unknown
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"unknown key `urll`: did you mean `url`?","pointer":"/urll"}
    a server over nothing
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"a server has at least one upstream","pointer":"/upstreams"}
    a server over an unknown upstream
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"there is no upstream `dmo`: did you mean `demo`?","pointer":"/upstreams/0/name"}
    a server's name that is taken
        409
        {"type":"name-taken","title":"The change conflicts with what is there","status":409,"detail":"the server name `acme-tools` belongs to tenant `acme`: server names are unique in the whole gateway"}
    an issuer with a short secret
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"an HS256 secret has at least 32 bytes (RFC 7518, section 3.2)","pointer":"/secret"}
    a key without a subject
        422
        {"type":"invalid-document","title":"The document is not valid","status":422,"detail":"missing field `subject`","pointer":""}
    an upstream in use
        409
        {"type":"in-use","title":"The change conflicts with what is there","status":409,"detail":"the server `bad-documents-tools` mounts the upstream `demo`: change the server first"}
    what is not there
        404
        {"type":"not-found","title":"Not found","status":404,"detail":"there is no server `nothing`"}
    a revision that has passed
        412
        {"type":"revision-moved","title":"The policies were changed in between","status":412,"detail":"the policies are at revision 1, not 0: read them again, and apply the change to that"}
    a revision that is none
        400
        {"type":"bad-request","title":"The request is not valid","status":400,"detail":"If-Match is a revision in double quotes, as ETag gave it"}
    an unknown path
        404
        {"type":"not-found","title":"Not found","status":404,"detail":"/api/v1/tenant leads nowhere; GET /openapi.json lists every path"}
    a method that it has not
        405
        allow: GET,HEAD,PUT
        {"type":"method-not-allowed","title":"The method is not allowed","status":405,"detail":"/api/v1/tenants/bad-documents/policies does not take PATCH; GET /openapi.json lists what it takes"}
    a page that is none
        400
        {"type":"bad-request","title":"The request is not valid","status":400,"detail":"the query is not valid: limit: invalid digit found in string. Use limit=1 to 500 and cursor"}
    "#);
}
