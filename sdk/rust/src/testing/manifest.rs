//! What a gateway would say about a manifest at upload, so that a unit test says it first.

use serde_json::{Map, Value};

use crate::Policy;

/// Everything wrong with a policy's manifest: its name, its version, and a schema that would let a typo through
/// (objects must set `additionalProperties`) or leave a setting unexplained (properties must have a `description`).
pub fn manifest_problems<P: Policy>() -> Vec<String> {
    let manifest = P::manifest();
    let mut problems = Vec::new();
    if !is_name(&manifest.name) {
        problems.push(format!(
            "name: `{}` is not 1-64 of [a-z0-9-]",
            manifest.name
        ));
    }
    let numbers = manifest
        .version
        .split(['-', '+'])
        .next()
        .unwrap_or_default();
    if numbers
        .split('.')
        .filter(|n| n.parse::<u64>().is_ok())
        .count()
        != 3
    {
        problems.push(format!("version: `{}` is not semantic", manifest.version));
    }
    if manifest.description.is_empty() {
        problems.push("description: is empty".to_owned());
    }
    match serde_json::from_str::<Value>(&manifest.config_schema) {
        Err(error) => problems.push(format!("config-schema: {error}")),
        Ok(Value::Object(schema)) => check_schema("config-schema", &schema, &mut problems),
        Ok(_) => problems.push("config-schema: is not an object".to_owned()),
    }
    problems
}

fn is_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(known)
}

fn check_schema(path: &str, schema: &Map<String, Value>, problems: &mut Vec<String>) {
    if let Some(Value::Object(properties)) = schema.get("properties") {
        if !schema.contains_key("additionalProperties") {
            problems.push(format!("{path}: lets unknown keys through"));
        }
        for (name, property) in properties {
            if property.get("description").is_none() {
                problems.push(format!("{path}/properties/{name}: has no description"));
            }
        }
    }
    for (key, value) in schema {
        match value {
            Value::Object(inner) => check_schema(&format!("{path}/{key}"), inner, problems),
            Value::Array(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;

    struct Sloppy;

    impl Policy for Sloppy {
        fn manifest() -> Manifest {
            Manifest {
                name: "Sloppy".to_owned(),
                version: "1".to_owned(),
                description: String::new(),
                config_schema: r#"{"properties": {"a": {}}}"#.to_owned(),
            }
        }

        fn configure(_: &str) -> Result<Self, String> {
            Ok(Self)
        }
    }

    #[test]
    fn problems_are_named() {
        let problems = manifest_problems::<Sloppy>();
        let starts = [
            "name:",
            "version:",
            "description:",
            "config-schema:",
            "config-schema/properties/a:",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
        }
    }
}
