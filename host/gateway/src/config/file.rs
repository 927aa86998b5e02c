//! The settings file: YAML with `${ENV}`, read into the raw form; errors carry the line and the key path.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::environment::Environment;
use super::error::explain;
use super::interpolate::interpolate;
use super::{ConfigError, RawSettings};

/// The file's text as written, and what it says. An empty file says nothing.
pub(super) fn read(
    path: &Path,
    environment: &Environment,
) -> Result<(Option<String>, RawSettings), ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let raw = parse(&text, path, environment)?;
    Ok((Some(text), raw))
}

fn parse(text: &str, path: &Path, environment: &Environment) -> Result<RawSettings, ConfigError> {
    let text = interpolate(text, environment).map_err(|error| ConfigError::File {
        path: path.to_owned(),
        line: error.line,
        message: error.message,
    })?;
    let is_content = |line: &str| !line.is_empty() && !line.starts_with('#') && line != "---";
    if text.lines().any(|line| is_content(line.trim())) {
        parse_yaml(&text, path)
    } else {
        Ok(RawSettings::default())
    }
}

/// Reads a YAML (or JSON) document.
///
/// # Errors
/// [`ConfigError::File`] with the line, the key path and the nearest known key.
pub fn parse_yaml<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(serde_norway::Deserializer::from_str(text)).map_err(|error| {
        let line = error
            .inner()
            .location()
            .map_or(1, |location| location.line());
        let key = error.path().to_string();
        ConfigError::File {
            path: path.to_owned(),
            line,
            message: message(&key, error.inner()),
        }
    })
}

/// `key: what is wrong`, without the path and position that the parser adds on its own.
fn message(key: &str, error: &serde_norway::Error) -> String {
    let text = error.to_string();
    let text = match error.location() {
        Some(at) => text
            .strip_suffix(&format!(" at line {} column {}", at.line(), at.column()))
            .unwrap_or(&text),
        None => &text,
    };
    let mut text = text;
    // The parser's own path is the key or one of its parents.
    let mut prefix = key;
    loop {
        if let Some(rest) = text
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix(": "))
        {
            text = rest;
            break;
        }
        match prefix.rfind(['.', '[']) {
            Some(end) => prefix = prefix.get(..end).unwrap_or_default(),
            None => break,
        }
    }
    // The message names an unknown key itself.
    let unknown_key = text.starts_with("unknown field ");
    let place = match key.rsplit_once('.') {
        Some((parent, _)) if unknown_key => parent,
        None if unknown_key => "",
        Some(_) | None => key,
    };
    let text = explain(text);
    if matches!(place, "" | "." | "?") {
        text
    } else {
        format!("{place}: {text}")
    }
}

/// `file:line: ` of a key path such as `limits.body_bytes_max`, when the file has it in block style.
pub(super) fn place_of(text: &str, path: &Path, key: &str) -> Option<String> {
    let mut lines = text.lines().enumerate();
    let mut found = None;
    let mut indent_min = 0;
    for segment in key.split('.') {
        let segment = segment.split('[').next().unwrap_or(segment);
        let (number, line) = lines.find(|(_, line)| {
            let bare = line.trim_start();
            line.len() - bare.len() >= indent_min
                && bare
                    .strip_prefix(segment)
                    .is_some_and(|rest| rest.trim_start().starts_with(':'))
        })?;
        indent_min = line.len() - line.trim_start().len() + 1;
        found = Some(number + 1);
    }
    found.map(|line| format!("{}:{line}: ", path.display()))
}
