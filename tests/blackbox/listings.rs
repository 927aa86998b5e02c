//! Long lists in pages: what a reader gets who follows cursors, and what a cursor opens for.

use std::collections::BTreeSet;

use portcullis_tests::admin::{Tenant, binding};
use portcullis_tests::gateway::Gateway;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::shared::Shared;
use portcullis_tests::stage::Stage;
use portcullis_tests::upstreams::example_command;
use serde_json::{Value, json};

/// A gateway whose pages have three entries, and whose cursors outlive it.
static STAGE: Shared<Stage> = Shared::new();
const SETTINGS: &str =
    "catalogue:\n  page_entries_max: 3\nseal_key: only-for-tests-only-for-tests-only-for-tests\n";
const PAGE_ENTRIES_MAX: usize = 3;

const ERAS: [Era; 2] = [Era::Session, Era::Stateless];

/// Every list: its method, the member with its entries, and what addresses them.
const LISTS: [[&str; 3]; 4] = [
    ["tools/list", "tools", "name"],
    ["prompts/list", "prompts", "name"],
    ["resources/list", "resources", "uri"],
    [
        "resources/templates/list",
        "resourceTemplates",
        "uriTemplate",
    ],
];

async fn stage() -> Stage {
    Stage::on(Gateway::configured(SETTINGS).await).await
}

/// Names on one page, and the cursor of the next.
async fn page(peer: &Peer, list: [&str; 3], cursor: Option<&str>) -> (Vec<String>, Option<String>) {
    let [method, member, key] = list;
    let params = cursor.map_or(json!({}), |cursor| json!({ "cursor": cursor }));
    let result = peer.request(method, params).await.result();
    let entries = result[member].as_array().expect("entries");
    let name = |entry: &Value| entry[key].as_str().expect("a name").to_owned();
    let next = result["nextCursor"].as_str().map(str::to_owned);
    (entries.iter().map(name).collect(), next)
}

/// Every page from this cursor on.
async fn pages(peer: &Peer, list: [&str; 3], from: Option<String>) -> Vec<Vec<String>> {
    let (mut read, mut cursor) = (Vec::new(), from);
    loop {
        let (names, next) = page(peer, list, cursor.as_deref()).await;
        read.push(names);
        assert!(read.len() < 1_000, "the list does not end: {read:?}");
        match next {
            Some(next) => cursor = Some(next),
            None => return read,
        }
    }
}

#[tokio::test]
async fn who_follows_the_cursors_reads_the_whole_list_once() {
    let stage = STAGE.get(stage).await;
    let whole = Stage::set().await;
    for era in ERAS {
        let peer = stage.alice(era).await;
        for list in LISTS {
            let (want, end) = page(&whole.alice(era).await, list, None).await;
            assert_eq!(end, None, "a short list is one page: {era:?} {list:?}");
            let read = pages(&peer, list, None).await;
            let (last, full) = read.split_last().expect("a page");
            assert!(
                full.iter().all(|page| page.len() == PAGE_ENTRIES_MAX)
                    && (1..=PAGE_ENTRIES_MAX).contains(&last.len()),
                "{era:?} {list:?}: {read:?}"
            );
            assert_eq!(read.concat(), want, "{era:?} {list:?}");
            assert!(want.is_sorted(), "{era:?} {list:?}: {want:?}");
        }
        assert!(pages(&peer, LISTS[0], None).await.len() > 5, "many pages");
    }
}

#[tokio::test]
async fn a_cursor_opens_for_the_list_and_the_caller_that_it_was_given_to() {
    let stage = STAGE.get(stage).await;
    let tenant = stage.tenant();
    tenant.server("acme-again", &["demo"]).await;
    for era in ERAS {
        let alice = stage.alice(era).await;
        let (first, next) = page(&alice, LISTS[0], None).await;
        let next = next.expect("a second page");
        let (second, _) = page(&alice, LISTS[0], Some(&next)).await;
        assert_ne!(first, second);
        assert_eq!(
            page(&alice, LISTS[0], Some(&next)).await.0,
            second,
            "{era:?}: it opens as often as it is brought"
        );
        assert_eq!(
            page(&alice, LISTS[0], Some("")).await.0,
            first,
            "{era:?}: the empty cursor is the first page"
        );
        let bob = Peer::connect(era, &stage.url(), &stage.bob).await;
        let again = Peer::connect(era, &stage.gateway.mcp("acme-again"), &stage.alice).await;
        let mut tampered = next.clone().into_bytes();
        let middle = tampered.len() / 2;
        tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).expect("text");
        for (title, peer, method, cursor, words) in [
            (
                "another list",
                &alice,
                "prompts/list",
                json!(next),
                "not from this listing",
            ),
            (
                "another caller",
                &bob,
                "tools/list",
                json!(next),
                "not from this listing",
            ),
            (
                "another server",
                &again,
                "tools/list",
                json!(next),
                "not from this listing",
            ),
            (
                "changed",
                &alice,
                "tools/list",
                json!(tampered),
                "not from this listing",
            ),
            (
                "cut short",
                &alice,
                "tools/list",
                json!(next[..next.len() - 1]),
                "not from this listing",
            ),
            (
                "made up",
                &alice,
                "tools/list",
                json!("3"),
                "not from this listing",
            ),
            (
                "not base64",
                &alice,
                "tools/list",
                json!("ü"),
                "not from this listing",
            ),
            (
                "a number",
                &alice,
                "tools/list",
                json!(3),
                "must be a string",
            ),
            (
                "an object",
                &alice,
                "tools/list",
                json!({}),
                "must be a string",
            ),
        ] {
            let reply = peer.request(method, json!({ "cursor": cursor })).await;
            let (code, message) = reply.error();
            assert_eq!((reply.status, code), (200, -32602), "{era:?} {title}");
            assert!(message.contains(words), "{era:?} {title}: {message}");
        }
        assert_eq!(
            alice
                .request("tools/list", json!({ "cursor": null }))
                .await
                .result()["tools"]
                .as_array()
                .map(Vec::len),
            Some(PAGE_ENTRIES_MAX),
            "{era:?}: no cursor at all"
        );
    }
}

/// Reads the first page of a server's tools, lets `change` happen, and reads the rest.
async fn read_across<F: Future<Output = ()>>(
    peer: &Peer,
    change: impl FnOnce() -> F,
) -> (Vec<String>, Vec<String>) {
    let (first, next) = page(peer, LISTS[0], None).await;
    change().await;
    let rest = pages(peer, LISTS[0], next).await.concat();
    (first, rest)
}

#[tokio::test]
async fn a_cursor_stands_at_the_same_place_in_another_catalogue() {
    let stage = STAGE.get(stage).await;
    for (era, name) in ERAS.into_iter().zip(["moving-session", "moving-stateless"]) {
        let (tenant, key) = stage.guest_tenant(name).await;
        for upstream in ["aaa", "zzz"] {
            tenant
                .upstream(upstream, example_command(upstream, &[]))
                .await;
        }
        let server = format!("{name}-tools");
        let mounts = |mounts: &'static [&'static str]| {
            let (tenant, server): (&Tenant, &str) = (&tenant, &server);
            async move { tenant.server(server, mounts).await }
        };
        mounts(&["demo"]).await;
        let peer = Peer::connect(era, &stage.gateway.mcp(&server), &key).await;
        let (first, rest) = read_across(&peer, || mounts(&["zzz", "demo", "aaa"])).await;
        let of = |mount: &str, names: &[String]| {
            names.iter().filter(|name| name.starts_with(mount)).count()
        };
        assert_eq!(
            of("aaa__", &rest),
            0,
            "{era:?}: what sorts before is past: {rest:?}"
        );
        assert_eq!(
            of("zzz__", &rest),
            of("demo__", &[first, rest.clone()].concat()),
            "{era:?}"
        );
        let read: BTreeSet<&String> = rest.iter().collect();
        assert_eq!(
            read.len(),
            rest.len(),
            "{era:?}: nothing comes twice: {rest:?}"
        );
        // The entry that a cursor stands at may be gone.
        let (first, rest) = read_across(&peer, || mounts(&["demo"])).await;
        assert!(
            first.iter().all(|name| name.starts_with("aaa__")),
            "{era:?}: {first:?}"
        );
        assert_eq!(rest, pages(&peer, LISTS[0], None).await.concat(), "{era:?}");
    }
}

#[tokio::test]
async fn whatever_a_policy_hides_no_page_is_empty() {
    let stage = STAGE.get(stage).await;
    let access = stage.admin().push("access-control").await;
    for (era, name) in ERAS.into_iter().zip(["hiding-session", "hiding-stateless"]) {
        let (tenant, key) = stage.guest_tenant(name).await;
        let peer = Peer::connect(era, &stage.gateway.mcp(&format!("{name}-tools")), &key).await;
        let all = pages(&peer, LISTS[0], None).await.concat();
        for visible in [
            vec!["demo__whoami"],
            vec!["demo__add"],
            vec![],
            vec!["demo__add", "demo__echo", "demo__slow"],
            vec!["demo__add", "demo__echo", "demo__slow", "demo__whoami"],
        ] {
            let rules =
                json!({ "default": "deny", "rules": [{ "effect": "allow", "tools": visible }] });
            let rules = if visible.is_empty() {
                json!({ "default": "deny", "rules": [] })
            } else {
                rules
            };
            stage.chain(&tenant, &[binding(&access, &[], rules)]).await;
            let read = pages(&peer, LISTS[0], None).await;
            let want: Vec<_> = all
                .iter()
                .filter(|name| visible.contains(&name.as_str()))
                .cloned()
                .collect();
            let want: Vec<_> = want
                .chunks(PAGE_ENTRIES_MAX)
                .map(<[String]>::to_vec)
                .collect();
            let want = if want.is_empty() { vec![vec![]] } else { want };
            assert_eq!(read, want, "{era:?}");
        }
    }
}

#[tokio::test]
async fn a_cursor_outlives_the_process_where_the_key_does() {
    for (settings, survives) in [
        (SETTINGS, true),
        ("catalogue:\n  page_entries_max: 3\n", false),
    ] {
        let mut stage = Stage::on(Gateway::configured(settings).await).await;
        let (_, next) = page(&stage.alice(Era::Stateless).await, LISTS[0], None).await;
        stage.gateway.restart().await;
        let asked = json!({ "cursor": next.expect("a second page") });
        let reply = stage
            .alice(Era::Stateless)
            .await
            .request("tools/list", asked)
            .await;
        if survives {
            assert_eq!(
                reply.result()["tools"].as_array().map(Vec::len),
                Some(PAGE_ENTRIES_MAX)
            );
        } else {
            assert_eq!(reply.error().0, -32602);
        }
    }
}
