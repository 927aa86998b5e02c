//! What became of each step of a pair.

use std::time::Duration;

use serde_json::{Value, json};

use super::clients::{Client, Transport};
use super::meet::{STEPS, Seen, endless, key};
use super::scene::Scene;
use super::servers::Server;
use super::{Lack, Step};

/// How long it may take until a server was told that a call is cancelled, after its client has ended.
const TOLD_BOUND: Duration = Duration::from_secs(10);

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// One of the two cannot do it.
    Lacking(&'static str),
    Failed(String),
}

/// Who meets whom, and how.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) client: &'static Client,
    pub(super) transport: Transport,
    pub(super) server: &'static Server,
}

/// A client and a server that have met.
pub(super) struct Pair {
    pub(super) way: Way,
    pub(super) outcomes: Vec<(Step, Outcome)>,
}

impl Pair {
    /// Judges what the client saw of the server.
    pub(super) async fn of(scene: &Scene, way: Way, seen: &Seen) -> Self {
        let line = seen.get(&key(way.transport, way.server));
        let line = line.cloned().unwrap_or_default();
        let mut outcomes = Vec::new();
        for step in Step::ALL {
            let outcome = match lacking(way, step) {
                Some(why) => Outcome::Lacking(why),
                None if !is_seen(way, step, &line) => Outcome::Failed(format!("saw {line}")),
                None if step == Step::Cancel => told(scene, way).await,
                None => Outcome::Done,
            };
            outcomes.push((step, outcome));
        }
        Self { way, outcomes }
    }

    /// What went wrong.
    pub(super) fn failures(&self) -> Vec<String> {
        let who = self.way.client.package;
        let way = key(self.way.transport, self.way.server);
        let mut failures = Vec::new();
        for (step, outcome) in &self.outcomes {
            if let Outcome::Failed(why) = outcome {
                failures.push(format!("{who}, {way}, {}: {why}", step.name()));
            }
        }
        failures
    }
}

fn lacking(way: Way, step: Step) -> Option<&'static str> {
    let of = |lack: &'static Lack| lack.steps.contains(&step).then_some(lack.why);
    of(&way.client.lack).or_else(|| of(&way.server.program.lack))
}

/// Whether a client has seen what this step has to show.
fn is_seen(way: Way, step: Step, line: &Value) -> bool {
    let program = way.server.program;
    let says = |field: &str, wanted: &str| {
        let text = line[field].as_str();
        text.is_some_and(|text| text.contains(wanted))
    };
    match step {
        Step::Open => line["version"] == way.transport.era().revision(),
        Step::List => {
            let has = |tool| {
                let tools = line["tools"].as_array();
                tools.is_some_and(|tools| tools.contains(&json!(way.server.public(tool))))
            };
            has(program.tool) && !has(program.withheld)
        }
        Step::Call => says("text", program.answer),
        Step::Progress => {
            let steps = line["steps"].as_array().into_iter().flatten();
            let steps: Vec<Option<f64>> = steps.map(Value::as_f64).collect();
            let whole = [Some(1.0), Some(2.0), Some(3.0)];
            const { assert!(STEPS == 3, "as many as there are to come") };
            let is_enough = steps.len() >= way.client.steps_min;
            says("done", "completed") && whole.starts_with(&steps) && is_enough
        }
        Step::Cancel => line["cancelled"] == true && says("after", program.answer),
    }
}

/// Whether the server was told that the call is given up.
async fn told(scene: &Scene, way: Way) -> Outcome {
    let arguments = endless(way);
    let heard = scene.tap(way.server).hears_cancelled(&arguments);
    match tokio::time::timeout(TOLD_BOUND, heard).await {
        Ok(()) => Outcome::Done,
        Err(_elapsed) => {
            let what =
                format!("the server was not told that the call with {arguments} is given up");
            Outcome::Failed(what)
        }
    }
}
