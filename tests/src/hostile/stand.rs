//! Where a guest is let loose: a tenant of its own on a gateway, from the upload to the last call.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Aftermath, End, Guest, Place, Request};
use crate::admin::Tenant;
use crate::mcp::{Peer, Reply};
use crate::show::Answer;
use crate::stage::Stage;

/// Settings of a gateway that meets the corpus: bounds of the compiler that its bombs go beyond, and that every policy
/// keeps.
pub const SETTINGS: &str = "
sandbox:
  compile_time_s_max: 6
  compile_memory_bytes_max: 536870912
  compile_output_bytes_max: 2097152
";

/// Calls that a guest gets: below the number of failures that puts it in quarantine.
const CALLS: usize = 4;
/// Deadline of guests that do not loop: long, so that they end as what they are also on a busy machine.
const DEADLINE_MS: u32 = 1_000;

/// How a guest ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// In the words of [`End`], with the harm that was done, if any.
    pub actual: String,
    /// From the request that met the guest to its answer, in milliseconds; of several, the longest.
    pub contained_ms: f64,
}

/// A tenant that a guest is bound for.
pub struct Stand<'a> {
    stage: &'a Stage,
    guest: &'a Guest,
    tenant: Tenant,
    key: String,
    component: Vec<u8>,
    plugin: Option<Value>,
}

impl<'a> Stand<'a> {
    /// Gives a guest its tenant.
    pub async fn set(stage: &'a Stage, guest: &'a Guest) -> Self {
        let (tenant, key) = stage.guest_tenant(guest.name).await;
        Self {
            stage,
            guest,
            tenant,
            key,
            component: (guest.component)(guest.name),
            plugin: None,
        }
    }

    /// Lets the guest do its deed, as far as it comes.
    pub async fn meet(&mut self) -> Outcome {
        let (uploaded, upload_ms) = timed(self.upload()).await;
        if uploaded.status >= 300 {
            return Outcome {
                actual: format!("upload: {}", named(&uploaded, ["code", "type"])),
                contained_ms: upload_ms,
            };
        }
        self.plugin = Some(uploaded.json());
        let (bound, bound_ms) = timed(self.bind()).await;
        if bound.status >= 300 {
            return Outcome {
                actual: format!("chain: {}", named(&bound, ["pointer", "type"])),
                contained_ms: bound_ms,
            };
        }
        self.calls().await
    }

    /// Uploads the component.
    pub async fn upload(&self) -> Answer {
        self.stage.admin().publish(self.component.clone()).await
    }

    /// Makes the guest part of its tenant's chain.
    pub async fn bind(&self) -> Answer {
        let plugin = self.plugin.as_ref().unwrap_or(&Value::Null);
        let mut binding = json!({
            "plugin": plugin["digest"], "grants": self.guest.grants, "instances": self.guest.instances,
        });
        if self.guest.end != End::Call("deadline") {
            binding["limits"] = json!({ "deadline_ms": DEADLINE_MS });
        }
        let chain = match self.guest.place {
            Place::First => [binding, self.stage.by_key()],
            Place::Last => [self.stage.by_key(), binding],
        };
        self.tenant.try_chain(&chain).await
    }

    /// A client of the guest's tenant.
    #[must_use]
    pub fn caller(&self) -> Peer {
        let url = self
            .stage
            .gateway
            .mcp(&format!("{}-tools", self.guest.name));
        Peer::stateless(&url, &self.key)
    }

    /// The request that reaches the guest.
    pub async fn request(&self, caller: &Peer) -> Reply {
        let call = |tool: &str, arguments: Value| json!({ "name": tool, "arguments": arguments });
        match self.guest.request {
            Request::Call => {
                let call = call("demo__echo", json!({ "message": "x" }));
                caller.request("tools/call", call).await
            }
            Request::Stream => {
                let mut call = call("demo__progress", json!({ "steps": 3, "step_ms": 1 }));
                call["_meta"] = json!({ "progressToken": "p" });
                caller.request("tools/call", call).await
            }
            Request::List => caller.request("tools/list", json!({})).await,
        }
    }

    async fn calls(&self) -> Outcome {
        let caller = self.caller();
        let logged = self.stage.gateway.printed().len();
        let (mut replies, mut ends, mut contained_ms) = (Vec::new(), Vec::new(), 0.0_f64);
        for _ in 0..CALLS {
            let (reply, took_ms) = timed(self.request(&caller)).await;
            contained_ms = contained_ms.max(took_ms);
            ends.push(end(&reply));
            replies.push(reply);
        }
        ends.dedup();
        let printed = self.stage.gateway.printed();
        let of_tenant = format!("tenant=\"{}\"", self.guest.name);
        let metrics = self.stage.admin().metrics().await.0;
        let aftermath = Aftermath {
            replies,
            log: printed[logged..].lines().map(str::to_owned).collect(),
            metrics: metrics
                .lines()
                .filter(|line| line.contains(&of_tenant))
                .map(str::to_owned)
                .collect(),
        };
        let mut actual = ends.join(", then ");
        if let Some(Err(harm)) = self.guest.proof.map(|proof| proof(&aftermath)) {
            actual = format!("{actual}, but {harm}");
        }
        Outcome {
            actual,
            contained_ms,
        }
    }

    /// Takes everything away again.
    pub async fn clear(self) {
        self.tenant.remove().await;
        if let Some(plugin) = &self.plugin {
            let digest = plugin["digest"].as_str().expect("a digest");
            let path = format!("/api/v1/plugins/{digest}");
            self.stage.admin().delete(&path).await.ok();
        }
    }
}

/// How a call ended, in the words of [`End`].
fn end(reply: &Reply) -> String {
    let answer = reply
        .messages()
        .into_iter()
        .rfind(|message| message.get("method").is_none())
        .unwrap_or_default();
    match answer
        .pointer("/error/data/failure")
        .and_then(Value::as_str)
    {
        Some(failure) => format!("call: {failure}"),
        None if answer.get("result").is_some() => End::Served.to_string(),
        None => End::Denied(reply.status).to_string(),
    }
}

/// The first of these members that a problem has.
fn named(problem: &Answer, members: [&str; 2]) -> String {
    let body = problem.json();
    let found = members.iter().find_map(|member| body[member].as_str());
    found.unwrap_or_default().to_owned()
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, f64) {
    let started = Instant::now();
    let done = work.await;
    (done, started.elapsed().as_secs_f64() * 1e3)
}
