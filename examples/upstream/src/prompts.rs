//! Prompts: the conformance fixtures, and one that comes and goes.
//!
//! `server` lists, gets and completes them. One asks the client for input first (`inputs`).

use std::collections::BTreeMap;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CompleteRequestParams, CompleteResult, CompletionInfo, ContentBlock,
        GetPromptRequestParams, GetPromptResponse, GetPromptResult, JsonObject, Prompt,
        PromptArgument, PromptMessage, Reference, ResourceContents, Role,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    fixtures::RED_PIXEL_PNG,
    inputs::{elicitation, field, gather},
};

const SIMPLE: &str = "test_simple_prompt";
const WITH_ARGUMENTS: &str = "test_prompt_with_arguments";
const WITH_RESOURCE: &str = "test_prompt_with_embedded_resource";
const WITH_IMAGE: &str = "test_prompt_with_image";
const INPUT_REQUIRED: &str = "test_input_required_result_prompt";
const DYNAMIC: &str = "test_dynamic_prompt";

const ARGUMENT_SUGGESTIONS: [&str; 5] = ["paris", "park", "party", "test", "testing"];
const ID_SUGGESTIONS: [&str; 3] = ["1", "12", "123"];

/// All prompts, in the order of their names.
pub fn list(dynamic: bool) -> Vec<Prompt> {
    let argument = |name: &str, description: &str| {
        PromptArgument::new(name)
            .with_description(description)
            .with_required(true)
    };
    let mut prompts = vec![
        Prompt::new(
            INPUT_REQUIRED,
            Some("Asks what context to use before it answers"),
            None,
        ),
        Prompt::new(
            WITH_ARGUMENTS,
            Some("Repeats its two arguments"),
            Some(vec![
                argument("arg1", "First test argument"),
                argument("arg2", "Second test argument"),
            ]),
        ),
        Prompt::new(
            WITH_RESOURCE,
            Some("Embeds a resource"),
            Some(vec![argument(
                "resourceUri",
                "URI of the resource to embed",
            )]),
        ),
        Prompt::new(WITH_IMAGE, Some("Shows an image"), None),
        Prompt::new(SIMPLE, Some("One message, no arguments"), None),
    ];
    if dynamic {
        prompts.insert(
            0,
            Prompt::new(
                DYNAMIC,
                Some("Comes and goes with test_trigger_prompt_change"),
                None,
            ),
        );
    }
    prompts
}

/// The messages of one prompt, or the questions to answer first.
///
/// # Errors
///
/// -32602 for an unknown prompt or a missing argument.
pub async fn get(
    request: GetPromptRequestParams,
    context: &RequestContext<RoleServer>,
    dynamic: bool,
) -> Result<GetPromptResponse, ErrorData> {
    let arguments = request.arguments.unwrap_or_default();
    let messages = match request.name.as_str() {
        SIMPLE => vec![user_text("This is a simple prompt for testing.")],
        WITH_ARGUMENTS => {
            let (first, second) = (required(&arguments, "arg1")?, required(&arguments, "arg2")?);
            vec![user_text(format!(
                "Prompt with arguments: arg1='{first}', arg2='{second}'"
            ))]
        }
        WITH_RESOURCE => {
            let uri = required(&arguments, "resourceUri")?;
            let resource = ResourceContents::text("Embedded resource content for testing.", uri)
                .with_mime_type("text/plain");
            vec![
                PromptMessage::new(Role::User, ContentBlock::resource(resource)),
                user_text("Please process the embedded resource above."),
            ]
        }
        WITH_IMAGE => vec![
            PromptMessage::new(Role::User, ContentBlock::image(RED_PIXEL_PNG, "image/png")),
            user_text("Please analyze the image above."),
        ],
        INPUT_REQUIRED => {
            let question = elicitation(
                "What context should the prompt use?",
                json!({"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]}),
            )?;
            let questions = BTreeMap::from([("user_context".to_owned(), question)]);
            match gather(context, questions, request.input_responses)
                .await?
                .or_ask(None)
            {
                Err(ask) => return Ok((*ask).into()),
                Ok(answers) => {
                    let given = field(&answers, "user_context", "context")
                        .and_then(Value::as_str)
                        .unwrap_or("none");
                    vec![user_text(format!("Use this context: {given}"))]
                }
            }
        }
        DYNAMIC if dynamic => vec![user_text("Here for now.")],
        _ => {
            return Err(ErrorData::invalid_params(
                "prompt not found",
                Some(json!({ "name": request.name })),
            ));
        }
    };
    Ok(GetPromptResult::new(messages).into())
}

/// Suggestions for an argument of a prompt or of a resource template.
///
/// # Errors
///
/// An internal error if there were more suggestions than the protocol allows.
pub fn complete(request: &CompleteRequestParams) -> Result<CompleteResult, ErrorData> {
    let suggestions: &[&str] = match (&request.r#ref, request.argument.name.as_str()) {
        (Reference::Prompt(prompt), "arg1" | "arg2") if prompt.name == WITH_ARGUMENTS => {
            &ARGUMENT_SUGGESTIONS
        }
        (Reference::Resource(_), "id") => &ID_SUGGESTIONS,
        _ => &[],
    };
    let values = suggestions
        .iter()
        .filter(|suggestion| suggestion.starts_with(&request.argument.value))
        .map(|suggestion| (*suggestion).to_owned())
        .collect();
    let completion = CompletionInfo::with_all_values(values)
        .map_err(|error| ErrorData::internal_error(error, None))?;
    Ok(CompleteResult::new(completion))
}

fn user_text(text: impl Into<String>) -> PromptMessage {
    PromptMessage::new_text(Role::User, text)
}

fn required<'a>(arguments: &'a JsonObject, name: &str) -> Result<&'a str, ErrorData> {
    arguments
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| ErrorData::invalid_params(format!("missing argument `{name}`"), None))
}
