//! Typed configuration: JSON text into a type of the policy's own, with errors that name the field.

use serde::de::DeserializeOwned;

/// Reads a configuration.
///
/// # Errors
///
/// One sentence that starts with the path of what is wrong: `limits[0].rate: invalid type: …`.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        match path.as_str() {
            "." => error.into_inner().to_string(),
            path => format!("{path}: {}", error.inner()),
        }
    })?;
    json.end().map_err(|error| error.to_string())?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[serde(default)]
        limits: Vec<Limit>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limit {
        #[allow(dead_code, reason = "read by the test's deserializer alone")]
        rate: u32,
    }

    #[test]
    fn errors_name_the_path() {
        let cases = [
            (r#"{"limits": [{"rate": 1}]}"#, ""),
            (
                r#"{"limits": [{"rate": 1}, {"rate": "x"}]}"#,
                "limits[1].rate: invalid type: string",
            ),
            (
                r#"{"limits": [{"rat": 1}]}"#,
                "limits[0].rat: unknown field `rat`",
            ),
            (r#"{"limit": []}"#, "limit: unknown field `limit`"),
            ("{} {}", "trailing characters"),
            ("", "EOF while parsing"),
        ];
        for (text, want) in cases {
            match parse::<Config>(text) {
                Ok(_) => assert_eq!(want, "", "{text}"),
                Err(error) => assert!(
                    !want.is_empty() && error.starts_with(want),
                    "{text}: {error}"
                ),
            }
        }
    }

    #[test]
    fn defaults_hold() {
        assert!(parse::<Config>("{}").unwrap().limits.is_empty());
    }
}
