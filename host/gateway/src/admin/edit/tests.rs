//! Edits on states in memory: what they refuse, and what they leave behind.

use serde_json::{Value, json};

use super::*;
use crate::model::{ChainSpec, IssuerSpec, ResourceSpec, ServerSpec, UpstreamSpec};

fn spec<T: ResourceSpec>(document: Value) -> Resource {
    serde_json::from_value::<T>(document).unwrap().into()
}

fn upstream(document: Value) -> Resource {
    spec::<UpstreamSpec>(document)
}

fn server(document: Value) -> Resource {
    spec::<ServerSpec>(document)
}

fn issuer(document: Value) -> Resource {
    spec::<IssuerSpec>(document)
}

fn put(name: &str, resource: Resource) -> Edit {
    Edit::Put {
        name: name.to_owned(),
        resource,
    }
}

fn delete(kind: ResourceKind, name: &str) -> Edit {
    Edit::Delete {
        kind,
        name: name.to_owned(),
    }
}

fn chain(if_match: Option<Vec<u64>>) -> Edit {
    let chain = NewChain {
        written: ChainSpec::default(),
        resolved: ChainSpec::default(),
        author: "admin".to_owned(),
    };
    Edit::Chain {
        if_match,
        chain: Box::new(chain),
    }
}

/// A tenant with upstreams `a` and `b`, server `main` over `a` and over `b` as `pool`, and issuer `login`.
fn state() -> TenantState {
    let mut state = TenantState {
        name: "acme".to_owned(),
        ..TenantState::default()
    };
    for edit in [
        put(
            "a",
            upstream(
                json!({"url": "https://a.example/mcp", "headers": {"authorization": "Bearer s3cret"}}),
            ),
        ),
        put(
            "b",
            upstream(json!({"command": ["b-server", "--stdio"], "env": {"TOKEN": "s3cret"}})),
        ),
        put("c", upstream(json!({"url": "http://c.example"}))),
        put(
            "main",
            server(
                json!({"upstreams": [{"name": "a"}, {"name": "pool", "replicas": ["b"]}], "hosts": ["mcp.example"]}),
            ),
        ),
        put(
            "login",
            issuer(
                json!({"issuer": "https://login.example", "secret": "0123456789abcdef0123456789abcdef"}),
            ),
        ),
    ] {
        assert!(edit.apply(&mut state).is_ok());
    }
    state
}

/// `status pointer: detail` of a refusal.
fn refusal(edit: Edit) -> String {
    let problem = edit.apply(&mut state()).err().expect("a refusal");
    format!(
        "{} {}: {}",
        problem.status,
        problem.pointer.unwrap_or_default(),
        problem.detail
    )
}

/// Refusals of documents that are put as `x`, one a line.
fn refusals<T: ResourceSpec>(documents: &[&str]) -> String {
    let put_x = |text: &&str| put("x", serde_json::from_str::<T>(text).unwrap().into());
    let refusals: Vec<String> = documents.iter().map(put_x).map(refusal).collect();
    refusals.join("\n")
}

#[test]
fn upstreams_are_refused_with_the_field() {
    let documents = [
        r#"{}"#,
        r#"{"url": "http://x", "command": ["x"]}"#,
        r#"{"url": "ftp://x"}"#,
        r#"{"url": "x.example/mcp"}"#,
        r#"{"url": "https://user:pass@x.example/"}"#,
        r#"{"url": "http://x", "env": {"A": "b"}}"#,
        r#"{"url": "http://x", "timeout_ms": 0}"#,
        r#"{"url": "http://x", "headers": {"a b": "c"}}"#,
        r#"{"url": "http://x", "headers": {"Host": "c"}}"#,
        r#"{"url": "http://x", "headers": {"x-a": "c\nd"}}"#,
        r#"{"url": "http://x", "headers": {"x-a": "***"}}"#,
        r#"{"command": ["x"], "env": {"A=B": "c"}}"#,
        r#"{"command": ["x"], "headers": {"x-a": "c"}}"#,
    ];
    insta::assert_snapshot!(refusals::<UpstreamSpec>(&documents), @r#"
422 /url: give `url` (HTTP) or `command` (stdio)
422 /command: give `url` or `command`, not both
422 /url: `ftp://x` is not an http or https URL
422 /url: `x.example/mcp` is not an http or https URL
422 /url: a URL with credentials is shown to everyone who may read it: use `headers`
422 /env: `env` is for an upstream with `command`: remove it
422 /timeout_ms: 0 is out of range: use 1 to 3600000
422 /headers/a b: `a b` is not a header name
422 /headers/Host: the gateway sets `host` itself: remove it
422 /headers/x-a: the value holds characters that no header may hold
422 /headers/x-a: `***` keeps the value that is stored, and none is stored here: send the secret itself
422 /env/A=B: a variable's name is not empty and holds no `=`; neither name nor value holds a NUL
422 /headers: `headers` are for an upstream with `url`: remove them
"#);
}

#[test]
fn servers_are_refused_with_the_field() {
    let documents = [
        r#"{"upstreams": []}"#,
        r#"{"upstreams": [{"name": "a"}, {"name": "a"}]}"#,
        r#"{"upstreams": [{"name": "a"}, {"name": "c"}], "naming": "plain"}"#,
        r#"{"upstreams": [{"name": "alpha"}]}"#,
        r#"{"upstreams": [{"name": "p", "replicas": ["a", "z"]}]}"#,
        r#"{"upstreams": [{"name": "p", "replicas": ["a", "a"]}]}"#,
        r#"{"upstreams": [{"name": "a"}], "hosts": ["Mcp.example:80"]}"#,
    ];
    insta::assert_snapshot!(refusals::<ServerSpec>(&documents), @r#"
422 /upstreams: a server has at least one upstream
422 /upstreams/1/name: `a` is mounted twice: names of a server's mounts are unique
422 /naming: `plain` is for servers of one mount, since two upstreams may offer the same name: use `prefixed`
422 /upstreams/0/name: there is no upstream `alpha`: did you mean `a`?
422 /upstreams/0/replicas/1: there is no upstream `z`: create it first
422 /upstreams/0/replicas/1: `a` is named twice
422 /hosts/0: `Mcp.example:80` is not a host name in lower case without a port, or is named twice
"#);
}

#[test]
fn issuers_are_refused_with_the_field() {
    let documents = [
        r#"{"issuer": "https://x"}"#,
        r#"{"issuer": "https://x", "jwks_url": "https://x/keys", "secret": "s"}"#,
        r#"{"issuer": "https://x", "jwks_url": "file:///keys"}"#,
        r#"{"issuer": "https://x", "jwks": {}}"#,
        r#"{"issuer": "https://x", "jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}"#,
        r#"{"issuer": "https://x", "secret": "short"}"#,
        r#"{"issuer": "https://login.example", "secret": "0123456789abcdef0123456789abcdef"}"#,
    ];
    insta::assert_snapshot!(refusals::<IssuerSpec>(&documents), @r#"
422 : give exactly one of `jwks_url`, `jwks` and `secret`
422 : give exactly one of `jwks_url`, `jwks` and `secret`
422 /jwks_url: `file:///keys` is not an http or https URL
422 /jwks: a JWK Set is an object with an array `keys` (RFC 7517, section 5)
422 /jwks/keys: a key is private or symmetric: give public keys alone
422 /secret: an HS256 secret has at least 32 bytes (RFC 7518, section 3.2)
422 /issuer: `login` is the same issuer: one of them is enough
"#);
}

#[test]
fn edits_that_do_not_fit_are_refused() {
    let refusals = [
        refusal(put("A", upstream(json!({"url": "http://x"})))),
        refusal(delete(ResourceKind::Upstream, "a")),
        refusal(delete(ResourceKind::Upstream, "b")),
        refusal(delete(ResourceKind::Server, "a")),
        refusal(Edit::DeleteKey("key-1".to_owned())),
        refusal(chain(Some(vec![7]))),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @r#"
400 : `A` is not a name: use 1-63 of a-z, 0-9 and `-`, starting with a letter and without `--`
409 : the server `main` mounts the upstream `a`: change the server first
409 : the server `main` mounts the upstream `b`: change the server first
404 : there is no server `a`
404 : there is no key `key-1`
412 : the policies are at revision 0, not 7: read them again, and apply the change to that
"#);
}

#[test]
fn secrets_that_were_shown_redacted_are_kept() {
    let mut state = state();
    let edited = put(
        "a",
        upstream(json!({"url": "https://a2.example/mcp", "headers": {"authorization": "***"}})),
    );
    edited.apply(&mut state).ok().unwrap();
    assert_eq!(
        state.upstreams["a"].headers["authorization"].expose(),
        "Bearer s3cret"
    );
    let edited = put(
        "login",
        issuer(json!({"issuer": "https://login.example", "secret": "***"})),
    );
    edited.apply(&mut state).ok().unwrap();
    assert_eq!(
        state.issuers["login"].secret.as_ref().unwrap().expose(),
        "0123456789abcdef0123456789abcdef"
    );
}

#[test]
fn what_nothing_refers_to_can_go() {
    let mut state = state();
    assert!(
        delete(ResourceKind::Upstream, "c")
            .apply(&mut state)
            .is_ok()
    );
    assert!(
        delete(ResourceKind::Server, "main")
            .apply(&mut state)
            .is_ok()
    );
    assert!(
        delete(ResourceKind::Upstream, "a")
            .apply(&mut state)
            .is_ok()
    );
    assert!(
        delete(ResourceKind::Issuer, "login")
            .apply(&mut state)
            .is_ok()
    );
    assert_eq!(
        (
            state.upstreams.len(),
            state.servers.len(),
            state.issuers.len()
        ),
        (1, 0, 0)
    );
}

#[test]
fn a_chain_moves_the_revision() {
    let mut state = state();
    assert!(chain(None).apply(&mut state).is_ok());
    assert!(chain(Some(vec![0, 1])).apply(&mut state).is_ok());
    assert_eq!(state.revision, 2);
}

#[test]
fn a_tenant_has_room_for_so_many() {
    let mut state = state();
    for n in state.issuers.len()..ISSUERS_MAX {
        let edit = put(
            &format!("i{n}"),
            issuer(json!({"issuer": format!("https://{n}"), "jwks": {"keys": []}})),
        );
        assert!(edit.apply(&mut state).is_ok(), "{n}");
    }
    let again = put(
        "login",
        issuer(json!({"issuer": "https://login.example", "jwks": {"keys": []}})),
    );
    assert!(again.apply(&mut state).is_ok(), "replacing takes no room");
    let one_more = put(
        "more",
        issuer(json!({"issuer": "https://more", "jwks": {"keys": []}})),
    );
    assert_eq!(one_more.apply(&mut state).err().unwrap().status, 409);
}
