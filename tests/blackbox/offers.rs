//! Prompts, resources, templates and completion: listed from every upstream, asked of the one that offers them, and
//! under the same policies as tools.

use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use portcullis_tests::upstreams::{Upstream, example_command};
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

const ERAS: [Era; 2] = [Era::Session, Era::Stateless];

/// What is listed, by the member that addresses it.
async fn listed(peer: &Peer, method: &str, member: &str, key: &str) -> Vec<String> {
    let result = peer.request(method, json!({})).await.result();
    let entries = result[member]
        .as_array()
        .unwrap_or_else(|| panic!("{method}: {result}"));
    let name = |entry: &Value| entry[key].as_str().unwrap_or_default().to_owned();
    entries.iter().map(name).collect()
}

/// A client of a server of two mounts, both of them the example: by HTTP and by stdio.
async fn two_mounts(stage: &Stage, tenant: &str, era: Era) -> Peer {
    let (made, alice) = stage.guest_tenant(tenant).await;
    made.upstream("files", example_command("files", &[])).await;
    let server = format!("{tenant}-both");
    made.server(&server, &["demo", "files"]).await;
    Peer::connect(era, &stage.gateway.mcp(&server), &alice).await
}

#[tokio::test]
async fn every_kind_is_merged_under_names_that_tell_upstreams_apart() {
    let stage = STAGE.get(Stage::set).await;
    for (era, tenant) in ERAS.into_iter().zip(["merged-session", "merged-stateless"]) {
        let peer = two_mounts(&stage, tenant, era).await;
        let prompts = listed(&peer, "prompts/list", "prompts", "name").await;
        for prompt in ["demo__test_simple_prompt", "files__test_simple_prompt"] {
            assert!(prompts.contains(&prompt.to_owned()), "{era:?}: {prompts:?}");
        }
        let resources = listed(&peer, "resources/list", "resources", "uri").await;
        let uris = resources.iter().filter(|uri| *uri == "test://static-text");
        assert_eq!(
            uris.count(),
            1,
            "a URI stays with the first that has it: {resources:?}"
        );
        let templates = listed(
            &peer,
            "resources/templates/list",
            "resourceTemplates",
            "uriTemplate",
        )
        .await;
        assert_eq!(templates, ["test://template/{id}/data"], "{era:?}");
    }
}

#[tokio::test]
async fn what_is_listed_can_be_had() {
    let stage = STAGE.get(Stage::set).await;
    for (era, tenant) in ERAS.into_iter().zip(["had-session", "had-stateless"]) {
        let peer = two_mounts(&stage, tenant, era).await;
        for mount in ["demo", "files"] {
            let prompt = json!({
                "name": format!("{mount}__test_prompt_with_arguments"),
                "arguments": { "arg1": "hello", "arg2": "world" },
            });
            let got = peer.request("prompts/get", prompt).await.result();
            let text = got["messages"][0]["content"]["text"]
                .as_str()
                .unwrap_or_default();
            assert!(
                text.contains("hello") && text.contains("world"),
                "{era:?} {mount}: {got}"
            );
            let asked = json!({
                "ref": { "type": "ref/prompt", "name": format!("{mount}__test_prompt_with_arguments") },
                "argument": { "name": "arg1", "value": "par" },
            });
            let completed = peer.request("completion/complete", asked).await.result();
            assert!(
                completed["completion"]["values"].is_array(),
                "{era:?} {mount}: {completed}"
            );
        }
        for uri in ["test://static-text", "test://template/123/data"] {
            let read = peer
                .request("resources/read", json!({ "uri": uri }))
                .await
                .result();
            assert_eq!(read["contents"][0]["uri"], uri, "{era:?}: {read}");
        }
    }
}

#[tokio::test]
async fn what_nobody_offers_is_refused_by_name() {
    let stage = STAGE.get(Stage::set).await;
    for (era, tenant) in ERAS
        .into_iter()
        .zip(["unknown-session", "unknown-stateless"])
    {
        let peer = two_mounts(&stage, tenant, era).await;
        let resource_code = match era {
            Era::Session => -32002,
            Era::Stateless => -32602,
        };
        for (method, params, code, words) in [
            (
                "prompts/get",
                json!({ "name": "test_simple_prompt" }),
                -32602,
                "unknown prompt",
            ),
            ("prompts/get", json!({}), -32602, "params.name"),
            (
                "resources/read",
                json!({ "uri": "test://nowhere" }),
                resource_code,
                "unknown resource",
            ),
            ("resources/read", json!({}), -32602, "params.uri"),
            (
                "completion/complete",
                json!({ "ref": { "type": "ref/odd" } }),
                -32602,
                "params.ref",
            ),
            (
                "prompts/list",
                json!({ "cursor": "stale" }),
                -32602,
                "cursor",
            ),
            ("prompts/sing", json!({}), -32601, "prompts/sing"),
        ] {
            let (said, message) = peer.request(method, params).await.error();
            assert_eq!(said, code, "{era:?} {method}: {message}");
            assert!(message.contains(words), "{era:?} {method}: {message}");
        }
    }
}

/// A resource may be read without being listed: where there is one upstream, it has the word. Of another era than the
/// client, it says it with another code.
#[tokio::test]
async fn one_upstream_is_asked_for_what_it_does_not_list() {
    let stage = STAGE.get(Stage::set).await;
    for (name, flags) in [
        ("alone", &[][..]),
        ("alone-before", &["--era", "session"]),
        ("alone-before-in-json", &["--era", "session", "--json"]),
    ] {
        let upstream = Upstream::example_with(name, flags).await;
        let (made, alice) = stage.guest_tenant(name).await;
        made.upstream("alone", upstream.spec()).await;
        let server = format!("{name}-alone");
        made.server(&server, &["alone"]).await;
        for (era, code) in [(Era::Session, -32002), (Era::Stateless, -32602)] {
            let peer = Peer::connect(era, &stage.gateway.mcp(&server), &alice).await;
            let asked = peer.request("resources/read", json!({ "uri": "test://nowhere" }));
            let (said, message) = asked.await.error();
            assert!(
                !message.contains("list the resources"),
                "{name}: the upstream's own words: {message}"
            );
            assert_eq!(said, code, "{name} {era:?}: {message}");
        }
    }
}

#[tokio::test]
async fn nobody_gets_anything_without_credentials() {
    let stage = STAGE.get(Stage::set).await;
    let alice = stage.alice(Era::Session).await;
    let (prompt, uri) = (
        json!({ "name": "demo__test_simple_prompt" }),
        json!({ "uri": "test://static-text" }),
    );
    let completion = json!({ "ref": { "type": "ref/prompt", "name": "demo__test_simple_prompt" } });
    for (method, params) in [
        ("prompts/list", json!({})),
        ("prompts/get", prompt),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
        ("resources/read", uri.clone()),
        ("resources/subscribe", uri.clone()),
        ("resources/unsubscribe", uri),
        ("completion/complete", completion),
        ("logging/setLevel", json!({ "level": "info" })),
    ] {
        for era in ERAS {
            let peer = match era {
                Era::Session => alice.stolen_by("pk_nobody"),
                Era::Stateless => Peer::stateless(&stage.url(), "pk_nobody"),
            };
            let reply = peer.request(method, params.clone()).await;
            // A method that an era does not know may be refused before anybody asks who is calling.
            let is_refused = reply.status == 401 || (era == Era::Stateless && reply.status == 404);
            assert!(is_refused, "{era:?} {method}: {}", reply.status);
        }
    }
}

#[tokio::test]
async fn a_log_level_is_one_of_eight() {
    let stage = STAGE.get(Stage::set).await;
    let alice = stage.alice(Era::Session).await;
    let set = |level: &'static str| alice.request("logging/setLevel", json!({ "level": level }));
    assert_eq!(set("warning").await.result(), json!({}));
    let (code, message) = set("loud").await.error();
    assert_eq!(code, -32602, "{message}");
}
