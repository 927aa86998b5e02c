//! What the demo leaves in its data folder, and what it says when everything is ready.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::model::Secret;

use super::error::DemoError;
use super::home::{Home, Mode};
use super::tenants::Tenant;
use super::upstreams::Upstream;

const CALL: &str = include_str!("call.sh");

/// Everything that runs.
pub(super) struct Ready<'a> {
    pub(super) gateway: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) admin_token: &'a Secret,
    /// Each with the upstreams that it serves.
    pub(super) tenants: [(&'a Tenant, &'a [Upstream]); 2],
    pub(super) home: &'a Home,
}

/// Files that the printed commands name.
struct Files {
    call: PathBuf,
    relaxed: PathBuf,
    original: PathBuf,
}

impl Ready<'_> {
    /// Writes the files; `demo.json` last, since a script waits for it.
    pub(super) fn write(&self) -> Result<Value, DemoError> {
        self.home.write("call", &self.call(), Mode::Script)?;
        for (tenant, _) in self.tenants {
            self.document(&format!("{}.json", tenant.name), &tenant.chain)?;
        }
        let [(acme, _), _] = self.tenants;
        self.document("acme-relaxed.json", &acme.relaxed_chain())?;
        let ready = self.json();
        self.document("demo.json", &ready)?;
        Ok(ready)
    }

    fn document(&self, name: &str, document: &Value) -> Result<PathBuf, DemoError> {
        self.home
            .write(name, &format!("{document:#}\n"), Mode::Data)
    }

    fn json(&self) -> Value {
        let mut tenants = Map::new();
        for (tenant, _) in self.tenants {
            let tokens: Map<String, Value> = tenant
                .callers
                .iter()
                .map(|caller| (caller.person.name.to_owned(), json!(caller.token)))
                .collect();
            let document = json!({"mcp": self.endpoint(tenant), "tokens": tokens});
            tenants.insert(tenant.name.to_owned(), document);
        }
        json!({
            "gateway": format!("http://{}", self.gateway),
            "admin": format!("http://{}", self.admin),
            "admin_token": self.admin_token.expose(),
            "tenants": tenants,
        })
    }

    fn endpoint(&self, tenant: &Tenant) -> String {
        format!("http://{}/servers/{}/mcp", self.gateway, tenant.name)
    }

    /// A script of one curl, which knows the callers' tokens.
    fn call(&self) -> String {
        let (mut cases, mut who) = (Vec::new(), Vec::new());
        for (tenant, _) in self.tenants {
            for caller in &tenant.callers {
                let (tenant, name) = (tenant.name, caller.person.name);
                cases.push(format!("{tenant}/{name}) token='{}' ;;", caller.token));
                who.push(format!("{tenant} {name}"));
            }
        }
        CALL.replace("@CALLERS@", &cases.join("\n"))
            .replace("@WHO@", &who.join(", "))
            .replace("@GATEWAY@", &format!("http://{}", self.gateway))
    }

    /// What runs where, and five calls to paste.
    pub(super) fn text(&self, paint: Paint) -> String {
        format!("{}\n{}", self.overview(paint), self.calls(paint))
    }

    fn overview(&self, paint: Paint) -> String {
        let ends = if self.home.is_kept() {
            "kept"
        } else {
            "removed when the demo ends"
        };
        let mut text = format!(
            "{}\n\n  gateway    http://{}\n  admin API  http://{}  (token in demo.json)\n  data       {}  ({ends})\n",
            paint.bold("The demo is ready."),
            self.gateway,
            self.admin,
            self.home.path().display(),
        );
        for (tenant, upstreams) in self.tenants {
            let callers = tenant.callers.iter().map(|caller| {
                let person = caller.person;
                format!("{} (team {}, {})", person.name, person.team, person.role)
            });
            let upstreams = upstreams.iter().map(|upstream| {
                format!(
                    "{} (process {}, {})",
                    upstream.name, upstream.pid, upstream.url
                )
            });
            text.push_str(&format!(
                "\n  {}  {}\n    policies   {}\n    callers    {}\n    upstreams  {}\n",
                paint.bold(tenant.name),
                self.endpoint(tenant),
                tenant.policies().join(" > "),
                callers.collect::<Vec<_>>().join(", "),
                upstreams.collect::<Vec<_>>().join("\n               "),
            ));
        }
        text
    }

    fn calls(&self, paint: Paint) -> String {
        let files = self.files();
        let call = files.call.display();
        let put = |chain: &PathBuf| {
            format!(
                "curl -sS -X PUT http://{}/api/v1/tenants/acme/policies -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' -d @{}",
                self.admin,
                self.admin_token.expose(),
                chain.display()
            )
        };
        let calls = [
            (
                "1 allowed",
                "alice calls a tool; `whoami` tells which replica answered",
                format!("{call} acme alice whoami"),
            ),
            (
                "2 refused",
                "bob is no admin: he may not delete, and does not see the tool in tools/list",
                format!("{call} acme bob delete_customer '{{\"id\": \"42\"}}'"),
            ),
            (
                "3 rate-limited",
                "the sixth `echo` within ten seconds is told when to come back",
                format!(
                    "for i in 1 2 3 4 5 6; do {call} acme alice echo '{{\"message\": \"hello\"}}'; done"
                ),
            ),
            (
                "4 redacted",
                "what the upstream tells of a customer, as each tenant's own patterns leave it",
                format!(
                    "{call} acme alice customer_lookup '{{\"id\": \"42\"}}'\n    {call} globex carol customer_lookup '{{\"id\": \"42\"}}'"
                ),
            ),
            (
                "5 hot swap",
                "another chain for acme, while it serves: then paste 2 and 3 again",
                put(&files.relaxed),
            ),
        ];
        let mut text = format!("{}\n", paint.bold("Paste into another terminal"));
        for (name, about, command) in calls {
            text.push_str(&format!(
                "\n  {}  {about}\n    {command}\n",
                paint.bold(name)
            ));
        }
        text.push_str(&format!(
            "\n  The chain that acme began with is {}. `call` is one curl: read it.\n  Ctrl-C stops everything.\n",
            files.original.display()
        ));
        text
    }

    fn files(&self) -> Files {
        let path = |name: &str| self.home.path().join(name);
        Files {
            call: path("call"),
            relaxed: path("acme-relaxed.json"),
            original: path("acme.json"),
        }
    }
}

/// Whether the reader is a terminal that shows bold text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Bold,
    Plain,
}

impl Paint {
    fn bold(self, text: &str) -> String {
        match self {
            Self::Bold => format!("\u{1b}[1m{text}\u{1b}[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}
