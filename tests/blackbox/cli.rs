//! The command line: what it says, how it ends, and what it does to a running gateway.

use std::path::Path;

use portcullis_tests::cli::portcullis;
use portcullis_tests::guests;
use portcullis_tests::mcp::Peer;
use portcullis_tests::places;
use portcullis_tests::shared::Shared;
use portcullis_tests::show::redact;
use portcullis_tests::stage::Stage;
use portcullis_tests::tokens::{AUDIENCE, ISSUER, SECRET};
use portcullis_tests::upstreams::free_port;
use serde_json::{Value, json};

static STAGE: Shared<Stage> = Shared::new();

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[tokio::test]
async fn help_teaches() {
    let folder = folder();
    let help = portcullis(folder.path(), &["--help"]).await;
    insta::assert_snapshot!(help.shown(), @r#"
    exit 0
    An MCP gateway whose policies are WebAssembly components

    Usage: portcullis [OPTIONS] <COMMAND>

    Commands:
      serve     Serve the gateway and its admin API
      demo      Serve a gateway with two tenants, policies and an upstream to try
      check     Check a settings file, and say which line is wrong
      token     Mint a token (JWT) for development
      plugin    Inspect, sign, publish, pull and list plugins
      policies  Apply and read a tenant's policies
      rollout   Try a chain beside the live one: compare it, or serve a share of sessions with it
      explain   Show what a chain makes of one call, hook by hook
      samples   List and forget captured calls
      tenant    Create, list and delete tenants, and say whom they trust
      key       Create, list and delete API keys
      help      Print this message or the help of the given subcommand(s)

    Options:
          --output <OUTPUT>
              How results and errors are printed

              Possible values:
              - text: For people
              - json: One JSON document
              
              [default: text]

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Start a gateway, give it a plugin and a tenant, and put the tenant's policies:
      portcullis serve
      portcullis plugin push jwt-auth.wasm
      portcullis tenant put acme
      portcullis policies apply --tenant acme policies.yaml

    Commands that talk to a running gateway find it at http://127.0.0.1:4445 and its token in ./portcullis-data;
    --admin, --admin-token and --data-dir (or PORTCULLIS_ADMIN, PORTCULLIS_ADMIN_TOKEN) say otherwise.

    Exit codes:
      0  done
      1  it failed; the message says why and what to do
      2  the command line or the settings are wrong
    "#);
    let commands = [
        &["serve"][..],
        &["demo"],
        &["check"],
        &["token"],
        &["plugin"],
        &["plugin", "inspect"],
        &["plugin", "push"],
        &["plugin", "pull"],
        &["plugin", "keygen"],
        &["plugin", "sign"],
        &["plugin", "verify"],
        &["policies"],
        &["policies", "apply"],
        &["tenant"],
        &["key"],
    ];
    for command in commands {
        let help = portcullis(folder.path(), &[command, &["--help"]].concat()).await;
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{command:?}");
        assert!(
            help.out
                .contains(&format!("Usage: portcullis {}", command.join(" "))),
            "{}",
            help.out
        );
    }
    for leaf in [
        &["serve"][..],
        &["demo"],
        &["check"],
        &["token"],
        &["plugin", "inspect"],
        &["plugin", "push"],
        &["plugin", "pull"],
        &["plugin", "list"],
        &["plugin", "keygen"],
        &["plugin", "sign"],
        &["plugin", "verify"],
        &["tenant", "trust"],
        &["policies", "apply"],
    ] {
        let help = portcullis(folder.path(), &[leaf, &["--help"]].concat()).await;
        assert!(
            help.out.contains("Example"),
            "{leaf:?} has no example:\n{}",
            help.out
        );
    }
}

#[tokio::test]
async fn exit_codes_mean_something() {
    let folder = folder();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--version"], 0, ""),
        (&["no-such-command"], 2, "unrecognized subcommand"),
        (&["serve", "--no-such-flag"], 2, "unexpected argument"),
        (&["serve", "--listen", "nonsense"], 2, "--listen"),
        (&["token", "--subject", "alice"], 2, "--secret"),
        (
            &["plugin", "inspect", "no-such-file.wasm"],
            1,
            "no-such-file.wasm",
        ),
        (
            &["plugin", "list", "--admin", &nobody, "--admin-token", "t"],
            1,
            "nothing answers",
        ),
    ];
    for (arguments, code, says) in cases {
        let run = portcullis(folder.path(), arguments).await;
        assert_eq!(run.code, code, "{arguments:?}: {}", run.shown());
        assert!(run.err.contains(says), "{arguments:?}: {}", run.shown());
    }
    let failed = portcullis(
        folder.path(),
        &[
            "plugin",
            "list",
            "--admin",
            &nobody,
            "--admin-token",
            "t",
            "--output",
            "json",
        ],
    )
    .await;
    let error: Value = serde_json::from_str(&failed.err).expect("an error in JSON");
    assert_eq!(
        (failed.code, &error["exit_code"], failed.out.as_str()),
        (1, &json!(1), "")
    );
}

#[tokio::test]
async fn plugins_are_inspected_without_a_gateway() {
    let folder = folder();
    let info = portcullis(
        folder.path(),
        &[
            "plugin",
            "inspect",
            path(&places::plugin("rate-limit")),
            "--output",
            "json",
        ],
    )
    .await;
    let info = info.json();
    assert_eq!(
        (&info["name"], &info["hooks"], &info["grants"]),
        (&json!("rate-limit"), &json!(["admit"]), &json!(["quota"]))
    );
    assert_eq!(info["config_schema"]["title"], "rate-limit");
    let file = folder.path().join("core.wasm");
    std::fs::write(&file, guests::core_module()).expect("a file");
    let refused = portcullis(folder.path(), &["plugin", "inspect", "core.wasm"]).await;
    insta::assert_snapshot!(refused.shown(), @r#"
    exit 1
    portcullis: core.wasm: this is a core WebAssembly module, not a component; make one of it with `portcullis-guest componentize` or `wasm-tools component new` (core-module)
    "#);
}

#[tokio::test]
async fn a_tenant_is_set_up_by_commands_alone() {
    let stage = STAGE.get(Stage::set).await;
    let folder = folder();
    let gateway = [
        "--admin".to_owned(),
        stage.gateway.admin_url().to_owned(),
        "--data-dir".to_owned(),
        stage.gateway.data_dir().display().to_string(),
    ];
    let run = async |arguments: &[&str]| {
        let arguments: Vec<&str> = arguments
            .iter()
            .copied()
            .chain(gateway.iter().map(String::as_str))
            .collect();
        let run = portcullis(folder.path(), &arguments).await;
        assert_eq!(run.code, 0, "{arguments:?}: {}", run.shown());
        run
    };
    run(&["tenant", "put", "by-hand"]).await;
    let tenant = stage.admin().existing("by-hand");
    tenant.upstream("demo", stage.upstream.spec()).await;
    tenant.server("by-hand-tools", &["demo"]).await;
    tenant
        .issuer("login", json!({ "issuer": ISSUER, "secret": SECRET }))
        .await;

    let pushed = run(&[
        "plugin",
        "push",
        path(&places::plugin("jwt-auth")),
        "--output",
        "json",
    ])
    .await
    .json();
    let reference = format!(
        "{}@{}",
        pushed[0]["name"].as_str().expect("a name"),
        pushed[0]["version"].as_str().expect("a version")
    );
    let again = run(&["plugin", "push", path(&places::plugin("jwt-auth"))]).await;
    assert!(again.out.contains("already there"), "{}", again.out);
    // One plugin by reference, one by a path beside the file.
    std::fs::copy(
        places::plugin("access-control"),
        folder.path().join("access.wasm"),
    )
    .expect("a copy");
    let policies = format!(
        "bindings:\n  - plugin: {reference}\n    grants: [jwt]\n    config: {{issuers: [\"{ISSUER}\"], audiences: [\"{AUDIENCE}\"]}}\n  \
         - plugin: ./access.wasm\n    config: {{rules: [{{effect: allow, roles: [developer]}}]}}\n"
    );
    std::fs::write(folder.path().join("policies.yaml"), policies).expect("a file");
    let applied = run(&[
        "policies",
        "apply",
        "--tenant",
        "by-hand",
        "policies.yaml",
        "--output",
        "json",
    ])
    .await
    .json();
    assert_eq!(applied["revision"], 1);

    let mint = [
        "token",
        "--secret",
        SECRET,
        "--issuer",
        ISSUER,
        "--audience",
        AUDIENCE,
        "--subject",
        "dora",
    ];
    let developer = portcullis(
        folder.path(),
        &[&mint[..], &["--role", "developer"]].concat(),
    )
    .await
    .out;
    let other = portcullis(folder.path(), &mint).await.out;
    let expired = portcullis(
        folder.path(),
        &[&mint[..], &["--expires-in", "-5m"]].concat(),
    )
    .await
    .out;
    let url = stage.gateway.mcp("by-hand-tools");
    let call = async |token: &str| {
        Peer::stateless(&url, token.trim())
            .call("demo__add", json!({ "a": 2, "b": 40 }))
            .await
    };
    assert_eq!(call(&developer).await.text_content(), "42");
    assert_eq!(call(&other).await.refusal(), (403, -32003));
    assert_eq!(call(&expired).await.refusal(), (401, -32001));

    let shown = run(&["policies", "get", "--tenant", "by-hand"]).await;
    assert!(
        shown.out.contains("revision 1") && shown.out.contains(&reference),
        "{}",
        shown.out
    );
    std::fs::write(
        folder.path().join("keys.yaml"),
        "bindings: [{plugin: \"api-key-auth@0.1.0\", grants: [keys]}]\n",
    )
    .expect("a file");
    let key = run(&[
        "key",
        "create",
        "--tenant",
        "by-hand",
        "--name",
        "ci",
        "--subject",
        "ci-bot",
    ])
    .await;
    run(&[
        "policies",
        "apply",
        "--tenant",
        "by-hand",
        "--if-match",
        "1",
        "keys.yaml",
    ])
    .await;
    assert_eq!(call(&key.out).await.text_content(), "42");
}

#[tokio::test]
async fn policies_that_are_refused_name_the_field() {
    let stage = STAGE.get(Stage::set).await;
    let folder = folder();
    stage.admin().tenant("refused-by-cli").await;
    stage.admin().push("rate-limit").await;
    let cases = [
        (
            "typo.yaml",
            "bindings:\n  - plugin: rate-limit@0.1.0\n    confg: {}\n",
        ),
        (
            "schema.yaml",
            "bindings:\n  - plugin: rate-limit@0.1.0\n    grants: [quota]\n    config: {limits: [{name: a, rate: ten, period_ms: 1}]}\n",
        ),
        ("unknown.yaml", "bindings:\n  - plugin: no-such@1.0.0\n"),
    ];
    let mut shown = Vec::new();
    for (file, text) in cases {
        std::fs::write(folder.path().join(file), text).expect("a file");
        let gateway = [
            "--admin",
            stage.gateway.admin_url(),
            "--admin-token",
            stage.gateway.admin_token(),
        ];
        let run = portcullis(
            folder.path(),
            &[
                &["policies", "apply", "--tenant", "refused-by-cli", file][..],
                &gateway,
            ]
            .concat(),
        )
        .await;
        shown.push((file, run.shown()));
    }
    insta::assert_snapshot!(redact(&portcullis_tests::show::listing(&shown), &[]), @r#"
    typo.yaml
        exit 2
        portcullis: typo.yaml:3: bindings[0]: unknown key `confg`: did you mean `config`?
    schema.yaml
        exit 1
        portcullis: schema.yaml: /bindings/0/config/limits/0/rate: "ten" is not of type "integer"
    unknown.yaml
        exit 1
        portcullis: unknown.yaml: /bindings/0/plugin: the plugin no-such@1.0.0 is not published: push it first, or see GET /api/v1/plugins
    "#);
}
