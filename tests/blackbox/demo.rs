//! The demo: it comes up, says where everything is, does what it prints, and leaves nothing behind.

use std::path::Path;
use std::process::{Command, Stdio};

use portcullis_tests::cli::portcullis;
use portcullis_tests::mcp::{Era, Peer};
use portcullis_tests::process::{self, Process};
use portcullis_tests::{places, wait};
use serde_json::{Value, json};

/// The demo's flags, with a folder `demo` below `folder`.
fn flags(folder: &Path) -> Vec<String> {
    let plugins = places::plugin("redact");
    let plugins = plugins.parent().expect("plugins are in a folder");
    let upstream = places::example_upstream();
    let words = [
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--data-dir",
    ];
    let paths = [
        folder.join("demo"),
        "--plugins-dir".into(),
        plugins.to_owned(),
        "--example-upstream".into(),
        upstream,
    ];
    let paths = paths.iter().map(|path| path.display().to_string());
    words.iter().map(ToString::to_string).chain(paths).collect()
}

#[tokio::test]
async fn it_starts_and_stops_for_scripts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut arguments = flags(folder.path());
    arguments.push("--exit-after-ready".to_owned());
    let run = portcullis(
        folder.path(),
        &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
    assert_eq!(run.code, 0, "{}", run.shown());
    let demo = read(folder.path()).expect("demo.json");
    for (tenant, callers) in [("acme", ["alice", "bob"]), ("globex", ["carol", "dave"])] {
        let tenant = &demo["tenants"][tenant];
        assert!(
            tenant["mcp"]
                .as_str()
                .is_some_and(|url| url.starts_with("http://127.0.0.1:")),
            "{demo}"
        );
        for caller in callers {
            assert!(tenant["tokens"][caller].is_string(), "{caller}: {demo}");
        }
    }
    assert!(
        demo["gateway"].is_string() && demo["admin"].is_string() && demo["admin_token"].is_string(),
        "{demo}"
    );
}

fn read(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(folder.join("demo/demo.json")).ok()?).ok()
}

#[tokio::test]
async fn it_does_what_it_prints() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(places::portcullis());
    command.args(flags(folder.path()));
    let mut running = Process::start("demo", &mut command, folder.path());
    let demo = wait::until("demo.json", || {
        let (demo, ended) = (read(folder.path()), running.ended());
        assert!(ended.is_none(), "the demo ended:\n{}", running.log());
        async move { demo }
    })
    .await;
    wait::so("the printed calls", || {
        running.log().contains("Ctrl-C stops everything.")
    })
    .await;
    call_as_callers(&demo).await;
    if Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok()
    {
        paste(&running.log());
    } else {
        eprintln!("curl is not installed: the calls that the demo prints were not pasted");
    }
    let children = children_of(running.id());
    assert!(!children.is_empty(), "the demo runs upstreams");
    running.signal("INT");
    assert!(running.end().await.success(), "{}", running.log());
    for child in children {
        wait::so("the end of an upstream", || !process::runs(child)).await;
    }
}

/// Each kind of hook, seen through the callers' own tokens.
async fn call_as_callers(demo: &Value) {
    let peer = async |tenant: &str, caller: &str| {
        let of = |field: &Value| field.as_str().expect("a text").to_owned();
        let tenant = &demo["tenants"][tenant];
        Peer::connect(
            Era::Session,
            &of(&tenant["mcp"]),
            &of(&tenant["tokens"][caller]),
        )
        .await
    };
    let (alice, bob, carol) = (
        peer("acme", "alice").await,
        peer("acme", "bob").await,
        peer("globex", "carol").await,
    );
    let tool =
        |tools: &[String], suffix: &str| tools.iter().find(|tool| tool.ends_with(suffix)).cloned();
    let (hers, his) = (alice.tools().await, bob.tools().await);
    let delete = tool(&hers, "delete_customer").expect("alice is an administrator");
    assert_eq!(tool(&his, "delete_customer"), None, "bob is none");
    assert_eq!(
        bob.call(&delete, json!({ "id": "1" })).await.refusal(),
        (403, -32003)
    );
    for caller in [&alice, &carol] {
        let lookup = tool(&caller.tools().await, "customer_lookup").expect("a tool");
        let result = caller
            .call(&lookup, json!({ "id": "1" }))
            .await
            .result()
            .to_string();
        assert!(!result.contains("4111 1111 1111 1111"), "{result}");
    }
    let theirs = peer("acme", "bob").await.carried_to(
        demo["tenants"]["globex"]["mcp"].as_str().expect("a URL"),
        "pk_guess",
    );
    assert_eq!(theirs.request("tools/list", json!({})).await.status, 401);
}

/// Runs every printed command as it stands, in order, and looks for what its title promises.
fn paste(printed: &str) {
    // What each must show, and what it must not.
    let promises = [
        ("allowed", "\"name\"", "\"error\""),
        ("refused", "-32003", "deleted"),
        ("rate-limited", "-32029", "-32003"),
        ("redacted", "Ada Example", "4111 1111 1111 1111"),
        ("hot swap", "revision", "detail"),
    ];
    for (title, shown, hidden) in promises {
        let section = printed
            .lines()
            .skip_while(|line| !line.contains(&format!(" {title}  ")))
            .skip(1);
        let commands: Vec<&str> = section
            .take_while(|line| line.starts_with("    "))
            .collect();
        assert!(
            !commands.is_empty(),
            "nothing to paste for {title}:\n{printed}"
        );
        for command in commands {
            let output = Command::new("bash")
                .args(["-c", command.trim()])
                .env("NO_PROXY", "127.0.0.1")
                .output()
                .expect("bash");
            let said = String::from_utf8_lossy(&output.stdout);
            let said = said.replace("\\\"", "\"");
            assert!(
                said.contains(shown) && !said.contains(hidden),
                "{title}: {command}\n{said}"
            );
        }
    }
}

/// Processes that a process has started.
fn children_of(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(Result::ok);
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // After the name, in parentheses: state, parent.
        let parent_of = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parent_of == Some(parent)
    };
    ids.filter(is_child).collect()
}
