//! Resources: the conformance fixtures, one to watch, and one that asks before it is read.
//!
//! `server` lists and reads them; `changes` tells who watches.

use std::collections::BTreeMap;

use rmcp::{
    ErrorData, RoleServer,
    model::{
        CacheScope, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource,
        ResourceContents, ResourceTemplate,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    fixtures::RED_PIXEL_PNG,
    inputs::{elicitation, field, gather},
    paging::Freshness,
};

const STATIC_TEXT: &str = "test://static-text";
const STATIC_BINARY: &str = "test://static-binary";
const WATCHED: &str = "test://watched-resource";
const INPUT_REQUIRED: &str = "test://unlocked-by-a-reason";
const TEMPLATE: &str = "test://template/{id}/data";

/// The resources with a fixed URI.
pub fn list() -> Vec<Resource> {
    let resource = |uri: &str, name: &str, description: &str, mime_type: &str| {
        Resource::new(uri, name)
            .with_description(description)
            .with_mime_type(mime_type)
    };
    vec![
        resource(
            STATIC_TEXT,
            "static-text",
            "A text that never changes",
            "text/plain",
        ),
        resource(STATIC_BINARY, "static-binary", "A red pixel", "image/png"),
        resource(
            WATCHED,
            "watched-resource",
            "Reported as updated by the tool touch_resource",
            "text/plain",
        ),
        resource(
            INPUT_REQUIRED,
            "input-required",
            "Asks for a reason before it is read",
            "text/plain",
        ),
    ]
}

/// The families of resources.
pub fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(TEMPLATE, "template-data")
            .with_description("Data for any id")
            .with_mime_type("application/json"),
    ]
}

/// One resource, or the question to answer first.
///
/// # Errors
///
/// Resource not found (-32002, which rmcp turns into -32602 for the stateless era).
pub async fn read(
    request: ReadResourceRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<ReadResourceResponse, ErrorData> {
    let uri = request.uri;
    let contents = match uri.as_str() {
        STATIC_TEXT => {
            ResourceContents::text("This is the content of the static text resource.", uri)
                .with_mime_type("text/plain")
        }
        STATIC_BINARY => ResourceContents::blob(RED_PIXEL_PNG, uri).with_mime_type("image/png"),
        WATCHED => ResourceContents::text("Watched.", uri).with_mime_type("text/plain"),
        INPUT_REQUIRED => {
            let question = elicitation(
                "Why do you want to read this?",
                json!({"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]}),
            )?;
            let questions = BTreeMap::from([("reason".to_owned(), question)]);
            match gather(context, questions, request.input_responses)
                .await?
                .or_ask(None)
            {
                // Two rounds of one reading share nothing that a cache could keep.
                Err(ask) => return Ok((*ask).into()),
                Ok(answers) => {
                    let reason = field(&answers, "reason", "reason")
                        .and_then(Value::as_str)
                        .unwrap_or("none");
                    let text = format!("Read for this reason: {reason}");
                    let contents = ResourceContents::text(text, uri).with_mime_type("text/plain");
                    return Ok(ReadResourceResult::new(vec![contents]).into());
                }
            }
        }
        _ => from_template(&uri)?,
    };
    let freshness = Freshness::of(context, 60_000, CacheScope::Public);
    let mut result = ReadResourceResult::new(vec![contents]);
    result.ttl_ms = freshness.ttl_ms;
    result.cache_scope = freshness.cache_scope;
    Ok(result.into())
}

fn from_template(uri: &str) -> Result<ResourceContents, ErrorData> {
    let id = uri
        .strip_prefix("test://template/")
        .and_then(|rest| rest.strip_suffix("/data"))
        .filter(|id| !id.is_empty() && !id.contains('/'))
        .ok_or_else(|| {
            ErrorData::resource_not_found("resource not found", Some(json!({ "uri": uri })))
        })?;
    let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
    Ok(ResourceContents::text(data.to_string(), uri).with_mime_type("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_takes_exactly_one_segment() {
        for (uri, found) in [
            ("test://template/123/data", true),
            ("test://template//data", false),
            ("test://template/1/2/data", false),
            ("test://template/1", false),
            ("other://template/1/data", false),
        ] {
            assert_eq!(from_template(uri).is_ok(), found, "{uri}");
        }
    }
}
