//! What an input schema marks with `x-mcp-header`, and whether it may.
//!
//! The whole schema is looked through, because a mark in the wrong place makes the tool invalid.

use serde_json::{Map, Value};

use super::Argument;
use crate::headers::PARAM_PREFIX;

/// The keyword that marks a property.
pub(super) const KEYWORD: &str = "x-mcp-header";

/// Why a definition cannot be used over HTTP, in words for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMirror {
    /// The keyword is not on a property that leads down from the arguments through properties alone.
    #[error("`x-mcp-header` is only for properties of arguments, not for `{0}`")]
    Place(String),
    /// Not the name of a header (RFC 9110, section 5.1).
    #[error("the `x-mcp-header` of `{0}` is not a header's name")]
    Name(String),
    /// Two properties have the same name, whatever its case.
    #[error("the `x-mcp-header` of `{0}` is that of another property too")]
    Twice(String),
    /// The property is not a string, an integer or a boolean.
    #[error("`{0}` has an `x-mcp-header` and must be a string, an integer or a boolean")]
    Type(String),
}

/// The arguments that a schema marks.
///
/// # Errors
/// The first mark that may not be.
pub(super) fn arguments(schema: &Value) -> Result<Vec<Argument>, InvalidMirror> {
    let mut found = Vec::new();
    visit(schema, &mut Path::root(), &mut found)?;
    Ok(found)
}

/// Where a schema stands: how it is reached, for messages, and whether that is by properties alone.
struct Path {
    keys: Vec<String>,
    is_reached: bool,
}

impl Path {
    fn root() -> Self {
        Self {
            keys: Vec::new(),
            is_reached: true,
        }
    }

    fn beneath<T>(&mut self, key: &str, is_property: bool, look: impl FnOnce(&mut Self) -> T) -> T {
        let was_reached = self.is_reached;
        self.is_reached &= is_property;
        self.keys.push(key.to_owned());
        let seen = look(self);
        self.keys.pop();
        self.is_reached = was_reached;
        seen
    }

    fn shown(&self) -> String {
        match self.keys.as_slice() {
            [] => "inputSchema".to_owned(),
            keys => keys.join("."),
        }
    }
}

/// Collects what a schema and everything in it marks. The parser has bounded the depth, and with it this recursion.
fn visit(schema: &Value, path: &mut Path, found: &mut Vec<Argument>) -> Result<(), InvalidMirror> {
    match schema {
        Value::Object(members) => {
            if let Some(name) = members.get(KEYWORD) {
                found.push(marked(name, members, path, found)?);
            }
            members
                .iter()
                .try_for_each(|member| visit_member(member, path, found))
        }
        Value::Array(elements) => elements
            .iter()
            .try_for_each(|element| visit(element, path, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn visit_member(
    (key, value): (&String, &Value),
    path: &mut Path,
    found: &mut Vec<Argument>,
) -> Result<(), InvalidMirror> {
    let is_property = key == "properties";
    match (key.as_str(), value) {
        // Values of arguments, not schemas of them.
        (KEYWORD | "default" | "const" | "enum" | "examples", _) => Ok(()),
        // Schemas by name.
        (
            "properties" | "$defs" | "definitions" | "dependentSchemas" | "patternProperties",
            Value::Object(schemas),
        ) => schemas.iter().try_for_each(|(name, schema)| {
            path.beneath(name, is_property, |path| visit(schema, path, found))
        }),
        (_, value) => path.beneath(key, false, |path| visit(value, path, found)),
    }
}

fn marked(
    name: &Value,
    schema: &Map<String, Value>,
    path: &Path,
    found: &[Argument],
) -> Result<Argument, InvalidMirror> {
    if !path.is_reached || path.keys.is_empty() {
        return Err(InvalidMirror::Place(path.shown()));
    }
    let name = name.as_str().filter(|name| is_token(name));
    let name = name.ok_or_else(|| InvalidMirror::Name(path.shown()))?;
    let header = format!("{PARAM_PREFIX}{}", name.to_ascii_lowercase());
    if found.iter().any(|argument| *argument.header == *header) {
        return Err(InvalidMirror::Twice(path.shown()));
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string" | "integer" | "boolean") => Ok(Argument {
            header: header.into(),
            path: path.keys.iter().map(|key| key.as_str().into()).collect(),
        }),
        Some(_) | None => Err(InvalidMirror::Type(path.shown())),
    }
}

/// `1*tchar` (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_tchar)
}
