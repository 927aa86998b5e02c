//! The tools of the demo: something to allow, to refuse, to limit, to redact, to time and to break.
//!
//! `server` offers them beside the fixtures. They keep no state but counters, and every size and time that a
//! caller may choose is bounded.

mod calls;
mod customers;

use std::time::Duration;

use rmcp::{
    Json, RoleServer,
    handler::server::wrapper::Parameters,
    model::{CallToolResult, ProgressNotificationParam},
    schemars::{self, JsonSchema},
    service::RequestContext,
    tool, tool_router,
};
use serde::{Deserialize, Serialize};

pub use self::calls::CallCounts;
use self::customers::Customer;
use crate::{changes::Change, server::Upstream};

const SLOW_MS_MAX: u64 = 60_000;
const BIG_BYTES_MAX: usize = 100 * 1024 * 1024;
const PROGRESS_STEPS_MAX: u32 = 1_000;
const PROGRESS_STEP_MS_MAX: u64 = 10_000;
/// `EX_SOFTWARE`: a supervisor can tell the crash from a clean end.
const CRASH_EXIT_CODE: i32 = 70;

#[derive(Deserialize, JsonSchema)]
struct EchoInput {
    /// Any text; it comes back as it is
    message: String,
}

#[derive(Deserialize, JsonSchema)]
struct AddInput {
    /// First summand
    a: f64,
    /// Second summand
    b: f64,
}

#[derive(Deserialize, JsonSchema)]
struct CustomerInput {
    /// Customer number, such as C-1042
    id: String,
}

#[derive(Deserialize, JsonSchema)]
struct SlowInput {
    /// How long to wait, in milliseconds, at most 60000
    ms: u64,
}

#[derive(Deserialize, JsonSchema)]
struct BigInput {
    /// Length of the text to return, at most 104857600
    bytes: usize,
}

#[derive(Deserialize, JsonSchema)]
struct ProgressInput {
    /// Number of progress notifications, at most 1000
    steps: u32,
    /// Pause before each, in milliseconds, at most 10000
    #[serde(default)]
    step_ms: u64,
}

#[derive(Deserialize, JsonSchema)]
struct TouchInput {
    /// URI of the resource to report as updated
    uri: String,
}

#[derive(Serialize, JsonSchema)]
struct Whoami {
    /// Name of this server
    name: String,
    /// Process id of this server
    pid: u32,
}

#[derive(Serialize, JsonSchema)]
struct Stats {
    /// Tool calls begun since the start, this one included
    started: u64,
    /// Tool calls that ended by themselves
    finished: u64,
    /// Tool calls that their client cancelled or left
    cancelled: u64,
}

#[tool_router(router = demo_tools, vis = "pub(crate)")]
impl Upstream {
    /// Returns the message as it came
    #[tool(annotations(read_only_hint = true))]
    fn echo(&self, Parameters(EchoInput { message }): Parameters<EchoInput>) -> String {
        message
    }

    /// Adds two numbers
    #[tool(annotations(read_only_hint = true))]
    fn add(&self, Parameters(AddInput { a, b }): Parameters<AddInput>) -> String {
        (a + b).to_string()
    }

    /// Tells which server process answered
    #[tool(annotations(read_only_hint = true))]
    fn whoami(&self) -> Json<Whoami> {
        Json(Whoami {
            name: self.shared.name.clone(),
            pid: std::process::id(),
        })
    }

    /// Counts the tool calls of this server process
    #[tool(annotations(read_only_hint = true))]
    fn stats(&self) -> Json<Stats> {
        let [started, finished, cancelled] = self.shared.counts.read();
        Json(Stats {
            started,
            finished,
            cancelled,
        })
    }

    /// Looks up a (made-up) customer, personal data and all
    #[tool(annotations(read_only_hint = true))]
    fn customer_lookup(
        &self,
        Parameters(CustomerInput { id }): Parameters<CustomerInput>,
    ) -> Json<Customer> {
        Json(Customer::of(id))
    }

    /// Deletes a customer for good (in earnest it only says so)
    #[tool(annotations(
        read_only_hint = false,
        destructive_hint = true,
        idempotent_hint = true
    ))]
    fn delete_customer(
        &self,
        Parameters(CustomerInput { id }): Parameters<CustomerInput>,
    ) -> String {
        format!("Customer {id} deleted.")
    }

    /// Waits, then answers
    #[tool(annotations(read_only_hint = true))]
    async fn slow(
        &self,
        Parameters(SlowInput { ms }): Parameters<SlowInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, String> {
        bounded("ms", ms, SLOW_MS_MAX)?;
        pause(&context, ms).await?;
        Ok(format!("Waited {ms} ms."))
    }

    /// Returns a long text
    #[tool(annotations(read_only_hint = true))]
    fn big(&self, Parameters(BigInput { bytes }): Parameters<BigInput>) -> Result<String, String> {
        bounded("bytes", bytes, BIG_BYTES_MAX)?;
        Ok("x".repeat(bytes))
    }

    /// Sends progress notifications to a caller that gave a progress token, then answers
    #[tool(annotations(read_only_hint = true))]
    async fn progress(
        &self,
        Parameters(ProgressInput { steps, step_ms }): Parameters<ProgressInput>,
        context: RequestContext<RoleServer>,
    ) -> Result<String, String> {
        bounded("steps", steps, PROGRESS_STEPS_MAX)?;
        bounded("step_ms", step_ms, PROGRESS_STEP_MS_MAX)?;
        for step in 1..=steps {
            pause(&context, step_ms).await?;
            notify_progress(&context, f64::from(step), f64::from(steps)).await;
        }
        Ok(format!("Took {steps} steps."))
    }

    /// Tells the subscribers of a resource that it was updated
    #[tool(annotations(read_only_hint = false, destructive_hint = false))]
    async fn touch_resource(
        &self,
        Parameters(TouchInput { uri }): Parameters<TouchInput>,
    ) -> String {
        self.shared
            .changes
            .publish(Change::Resource(uri.clone()))
            .await;
        format!("Touched {uri}.")
    }

    /// Ends this server process at once, without an answer
    #[tool(annotations(destructive_hint = true))]
    fn crash(&self) -> CallToolResult {
        tracing::warn!("crashing as asked");
        std::process::exit(CRASH_EXIT_CODE)
    }
}

/// Reports progress if the caller asked for it; one that is gone needs none.
pub async fn notify_progress(context: &RequestContext<RoleServer>, progress: f64, total: f64) {
    let Some(token) = context.meta.get_progress_token() else {
        return;
    };
    let param = ProgressNotificationParam::new(token, progress).with_total(total);
    if let Err(error) = context.peer.notify_progress(param).await {
        tracing::debug!(%error, "progress not delivered");
    }
}

/// Waits, unless the call is cancelled first.
pub async fn pause(context: &RequestContext<RoleServer>, ms: u64) -> Result<(), String> {
    tokio::select! {
        () = context.ct.cancelled() => Err("The call was cancelled.".to_owned()),
        () = tokio::time::sleep(Duration::from_millis(ms)) => Ok(()),
    }
}

fn bounded<T: PartialOrd + std::fmt::Display>(name: &str, value: T, max: T) -> Result<(), String> {
    if value > max {
        return Err(format!(
            "`{name}` is {value}; the most this tool does is {max}."
        ));
    }
    Ok(())
}
