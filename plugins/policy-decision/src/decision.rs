//! What a decision point answers: OPA's `{"result": …}`.

use serde::Deserialize;

/// Shown to callers, so no longer than a sentence or two.
const REASON_CHARS_MAX: usize = 512;

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Allow,
    /// With a reason for the caller, where there is one.
    Deny(Option<String>),
}

#[derive(Deserialize)]
struct Answer {
    /// Absent where no rule of the path has a value: undefined.
    result: Option<Outcome>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Outcome {
    Plain(bool),
    Explained {
        allow: bool,
        #[serde(alias = "message")]
        reason: Option<String>,
    },
}

/// Reads an answer. An undefined decision is a no.
pub(crate) fn read(body: &[u8]) -> Result<Decision, String> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|error| format!("its answer is no decision: {error}"))?;
    let (allow, reason) = match answer.result {
        Some(Outcome::Plain(allow)) => (allow, None),
        Some(Outcome::Explained { allow, reason }) => (allow, reason),
        None => (false, None),
    };
    Ok(match allow {
        true => Decision::Allow,
        false => Decision::Deny(reason.map(|text| text.chars().take(REASON_CHARS_MAX).collect())),
    })
}
