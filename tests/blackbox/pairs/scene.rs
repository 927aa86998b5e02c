//! A tenant with policies whose upstreams are all the servers, each with a tap on what it is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use portcullis_tests::admin::binding;
use portcullis_tests::mcp::Peer;
use portcullis_tests::stage::{Stage, TENANT};
use portcullis_tests::tap::{Tap, Wire};
use portcullis_tests::upstreams::Upstream;
use portcullis_tests::wait;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::clients::Transport;
use super::servers::{Over, SERVERS, Server, fill};

/// More calls in a second than clients make: they are counted, and none is refused.
const CALLS_PER_S: u32 = 1_000_000;

/// The running processes. They end with it, the gateway first.
pub(super) struct Scene {
    stage: Stage,
    taps: BTreeMap<&'static str, Tap>,
    upstreams: Vec<Upstream>,
    folder: TempDir,
}

impl Scene {
    /// Starts everything, and waits until every server offers its tools.
    pub(super) async fn set() -> Self {
        let mut scene = Self {
            stage: Stage::set().await,
            taps: BTreeMap::new(),
            upstreams: Vec::new(),
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        furnish(scene.folder.path());
        scene.guard().await;
        let tenant = scene.stage.tenant();
        for server in &SERVERS {
            let spec = scene.spec(server).await;
            tenant.upstream(server.name, spec).await;
            tenant.server(&address(server), &[server.name]).await;
        }
        for server in &SERVERS {
            let url = scene.url(server, Transport::Stateless);
            let peer = Peer::stateless(&url, scene.token());
            wait::until(&format!("the tools of {}", server.name), || async {
                let tools = peer.tools().await;
                tools
                    .contains(&server.public(server.program.tool))
                    .then_some(())
            })
            .await;
        }
        scene
    }

    /// Gives the tenant a chain whose doings every pair can see.
    async fn guard(&self) {
        let admin = self.stage.admin();
        let withheld = SERVERS
            .iter()
            .map(|server| server.public(server.program.withheld));
        let rules = json!([{ "effect": "deny", "tools": withheld.collect::<Vec<_>>() }]);
        let limit = json!({ "name": "subject", "key": ["subject", "tool"], "rate": CALLS_PER_S, "period_ms": 1_000 });
        let chain = [
            (
                "access-control",
                &[][..],
                json!({ "default": "allow", "rules": rules }),
            ),
            ("rate-limit", &["quota"], json!({ "limits": [limit] })),
            ("redact", &[], json!({ "patterns": ["email"] })),
        ];
        let mut bindings = Vec::with_capacity(chain.len());
        for (plugin, grants, config) in chain {
            bindings.push(binding(&admin.push(plugin).await, grants, config));
        }
        self.stage.chain(&admin.existing(TENANT), &bindings).await;
    }

    /// Starts a server where the gateway does not, and taps it; its definition.
    async fn spec(&mut self, server: &Server) -> Value {
        let (tap, spec) = match server.over {
            Over::Stdio => self.tapped_command(server),
            Over::Http => self.tapped(Upstream::everything().await).await,
            Over::Sse => self.tapped(Upstream::everything_sse().await).await,
        };
        self.taps.insert(server.name, tap);
        spec
    }

    fn tapped_command(&self, server: &Server) -> (Tap, Value) {
        let words = server.program.command.iter();
        let command: Vec<String> = words.map(|word| self.fill(word)).collect();
        let log = self.folder.path().join(format!("{}.told", server.name));
        let (tap, command) = Tap::on_command(&command, &log);
        let env = server.program.env.iter();
        let env: Map<String, Value> = env
            .map(|(name, value)| ((*name).to_owned(), json!(self.fill(value))))
            .collect();
        (tap, json!({ "command": command, "env": env }))
    }

    async fn tapped(&mut self, upstream: Upstream) -> (Tap, Value) {
        let mut url: url::Url = upstream.url().parse().expect("an address");
        let port = url.port().expect("a port");
        let wire = Wire::start(([127, 0, 0, 1], port).into()).await;
        url.set_port(Some(wire.port())).expect("a port of its own");
        self.upstreams.push(upstream);
        (Tap::Wire(wire), json!({ "url": url }))
    }

    /// What callers present.
    pub(super) fn token(&self) -> &str {
        &self.stage.alice
    }

    /// Where a server is reached.
    pub(super) fn url(&self, server: &Server, transport: Transport) -> String {
        transport.url(self.stage.gateway.url(), &address(server))
    }

    /// What a server is told.
    pub(super) fn tap(&self, server: &Server) -> &Tap {
        &self.taps[server.name]
    }

    /// A text of a table with what belongs to this scene.
    pub(super) fn fill(&self, text: &str) -> String {
        fill(text, &self.folder.path().display().to_string())
    }
}

fn address(server: &Server) -> String {
    format!("{TENANT}-{}", server.name)
}

/// Puts into the folder what servers serve from there.
fn furnish(folder: &Path) {
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("a file");
    };
    write("notes.txt", "Ask ada@example.com for the key.\n");
    let ada = json!({ "type": "entity", "name": "Ada", "entityType": "person", "observations": ["reads mail at ada@example.com"] });
    write("memory.jsonl", &format!("{ada}\n"));
    let git = |arguments: &[&str]| {
        let done = Command::new("git")
            .args(arguments)
            .current_dir(folder)
            .output();
        let done = done.expect("git is installed");
        assert!(done.status.success(), "git {arguments:?}: {done:?}");
    };
    git(&["init", "--quiet", "repository"]);
    let who = [
        "user.name=Ada",
        "user.email=ada@example.com",
        "commit.gpgsign=false",
    ];
    let mut commit = vec!["-C", "repository"];
    commit.extend(who.iter().flat_map(|setting| ["-c", setting]));
    let message = "Ask ada@example.com first";
    commit.extend(["commit", "--quiet", "--allow-empty", "--message", message]);
    git(&commit);
}
