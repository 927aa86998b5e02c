//! Asking the client for input, the same way for both eras.
//!
//! A fixture says what it needs. In the session era the question goes out as a request of the server and the call
//! waits; in the stateless era the call ends with `input_required` and the client calls again with the answers.
//! Answers are the client's word: their shape is checked here, their meaning by who asked.
#![expect(
    deprecated,
    reason = "sampling and roots are deprecated for the future, and part of every revision served here"
)]

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer, ServiceError,
    model::{
        ClientCapabilities, CreateMessageRequest, CreateMessageRequestParams, CreateMessageResult,
        ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationSchema, InputRequest,
        InputRequests, InputRequiredResult, InputResponses, ListRootsRequest, ListRootsResult,
        SamplingMessage,
    },
    service::RequestContext,
};
use serde::Serialize;
use serde_json::Value;

use crate::server::is_stateless;

/// How long a person, or a model, may take to answer in the session era.
const ANSWER_MS: u64 = 120_000;

/// What became of the questions.
pub enum Gathered {
    /// An answer of the right shape to every question, by key.
    Answers(InputResponses),
    /// The client has to be asked, and calls again.
    Ask(InputRequests),
}

impl Gathered {
    /// The answers, or the result that asks for them (with `state`, if the caller wants it back).
    pub fn or_ask(self, state: Option<String>) -> Result<InputResponses, Box<InputRequiredResult>> {
        match self {
            Self::Answers(answers) => Ok(answers),
            Self::Ask(questions) => Err(Box::new(InputRequiredResult::new(Some(questions), state))),
        }
    }
}

/// Answers to all of `questions`: those in `given` if they fit, else by asking the client.
///
/// # Errors
///
/// A client that declared no capability for a question (-32021 in the stateless era), that fails to answer, or that
/// takes too long.
pub async fn gather(
    context: &RequestContext<RoleServer>,
    questions: InputRequests,
    given: Option<InputResponses>,
) -> Result<Gathered, ErrorData> {
    let given = given.unwrap_or_default();
    if questions
        .iter()
        .all(|(key, question)| given.get(key).is_some_and(|answer| fits(question, answer)))
    {
        return Ok(Gathered::Answers(given));
    }
    for question in questions.values() {
        require_capability(context, question)?;
    }
    if is_stateless(context) {
        return Ok(Gathered::Ask(questions));
    }
    let mut answers = InputResponses::new();
    for (key, question) in questions {
        let answer = tokio::time::timeout(Duration::from_millis(ANSWER_MS), ask(context, question))
            .await
            .map_err(|elapsed| {
                ErrorData::internal_error(format!("the client did not answer: {elapsed}"), None)
            })?;
        answers.insert(key, answer?);
    }
    Ok(Gathered::Answers(answers))
}

/// Whether the client declared that it can answer `question`.
pub fn can_answer(declared: &ClientCapabilities, question: &InputRequest) -> bool {
    match question {
        InputRequest::CreateMessage(_) => declared.sampling.is_some(),
        InputRequest::Elicitation(_) => declared.elicitation.is_some(),
        InputRequest::ListRoots(_) => declared.roots.is_some(),
        // rmcp leaves room for kinds to come; none of them is asked here.
        _ => false,
    }
}

/// Refuses a client that did not declare that it can answer `question`.
///
/// # Errors
///
/// -32021 in the stateless era, -32600 in the session era, which knows no such code.
pub fn require_capability(
    context: &RequestContext<RoleServer>,
    question: &InputRequest,
) -> Result<(), ErrorData> {
    if can_answer(&context.client_capabilities().unwrap_or_default(), question) {
        return Ok(());
    }
    let (name, required) = match question {
        InputRequest::CreateMessage(_) => (
            "sampling",
            ClientCapabilities::builder().enable_sampling().build(),
        ),
        InputRequest::Elicitation(_) => (
            "elicitation",
            ClientCapabilities::builder().enable_elicitation().build(),
        ),
        InputRequest::ListRoots(_) => (
            "roots",
            ClientCapabilities::builder().enable_roots().build(),
        ),
        _ => ("unknown", ClientCapabilities::default()),
    };
    Err(if is_stateless(context) {
        ErrorData::missing_required_client_capability(required)
    } else {
        ErrorData::invalid_request(format!("the client does not support {name}"), None)
    })
}

/// A form for the person at the client.
///
/// # Errors
///
/// An internal error when `schema` is no elicitation schema.
pub fn elicitation(message: &str, schema: Value) -> Result<InputRequest, ErrorData> {
    let requested_schema = serde_json::from_value::<ElicitationSchema>(schema).map_err(internal)?;
    Ok(InputRequest::Elicitation(ElicitRequest::new(
        ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: message.to_owned(),
            requested_schema,
        },
    )))
}

/// A question for the client's model.
pub fn sampling(prompt: &str, tokens_max: u32) -> InputRequest {
    let params =
        CreateMessageRequestParams::new(vec![SamplingMessage::user_text(prompt)], tokens_max);
    InputRequest::CreateMessage(CreateMessageRequest::new(params))
}

/// The client's roots.
pub fn roots() -> InputRequest {
    InputRequest::ListRoots(ListRootsRequest::default())
}

/// One field of an accepted form; `None` when the person declined or left it out.
pub fn field<'a>(answers: &'a InputResponses, key: &str, field: &str) -> Option<&'a Value> {
    let answer = answers.get(key)?;
    (answer.get("action")?.as_str()? == "accept").then(|| answer.get("content")?.get(field))?
}

/// The text that the client's model answered.
pub fn sampled_text(answers: &InputResponses, key: &str) -> Option<String> {
    let result = serde_json::from_value::<CreateMessageResult>(answers.get(key)?.clone()).ok()?;
    let texts: Vec<String> = result
        .message
        .content
        .into_vec()
        .into_iter()
        .filter_map(|block| block.as_text().map(|text| text.text.clone()))
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

async fn ask(
    context: &RequestContext<RoleServer>,
    question: InputRequest,
) -> Result<Value, ErrorData> {
    match question {
        InputRequest::CreateMessage(request) => {
            answer(context.peer.create_message(request.params).await)
        }
        InputRequest::Elicitation(request) => {
            answer(context.peer.create_elicitation(request.params).await)
        }
        InputRequest::ListRoots(_) => answer(context.peer.list_roots().await),
        _ => Err(ErrorData::internal_error("no such kind of input", None)),
    }
}

fn answer<T: Serialize>(answered: Result<T, ServiceError>) -> Result<Value, ErrorData> {
    serde_json::to_value(answered.map_err(internal)?).map_err(internal)
}

fn fits(question: &InputRequest, answer: &Value) -> bool {
    match question {
        InputRequest::CreateMessage(_) => {
            serde_json::from_value::<CreateMessageResult>(answer.clone()).is_ok()
        }
        InputRequest::Elicitation(_) => {
            serde_json::from_value::<ElicitResult>(answer.clone()).is_ok()
        }
        InputRequest::ListRoots(_) => {
            serde_json::from_value::<ListRootsResult>(answer.clone()).is_ok()
        }
        _ => false,
    }
}

fn internal(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
