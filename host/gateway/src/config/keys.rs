//! `PORTCULLIS_*` variables: one for every key, laid over the file.

use serde_json::{Map, Value};

use super::environment::Environment;
use super::error::{explain, nearest};
use super::{ConfigError, RawSettings};

const PREFIX: &str = "PORTCULLIS_";

/// Variables of the command line, which are no settings.
const OTHERS: &[&str] = &["PORTCULLIS_ADMIN", "PORTCULLIS_CONFIG"];

#[derive(Clone, Copy)]
enum Form {
    Text,
    Number,
    /// `true` or `false`.
    Flag,
    /// Comma-separated.
    List,
    /// A list of documents, in JSON.
    Json,
}

/// Every key path and the form of its value.
const KEYS: &[(&str, Form)] = &[
    ("listen", Form::Text),
    ("admin_listen", Form::Text),
    ("data_dir", Form::Text),
    ("admin_token", Form::Text),
    ("seal_key", Form::Text),
    ("log.format", Form::Text),
    ("log.level", Form::Text),
    ("limits.body_bytes_max", Form::Number),
    ("limits.batch_messages_max", Form::Number),
    ("limits.header_bytes_max", Form::Number),
    ("limits.connections_max", Form::Number),
    ("limits.sessions_max", Form::Number),
    ("limits.session_ttl_s", Form::Number),
    ("limits.session_processes_max", Form::Number),
    ("limits.request_timeout_ms", Form::Number),
    ("limits.sse_event_bytes_max", Form::Number),
    ("limits.sse_keep_alive_s", Form::Number),
    ("limits.stream_time_max_s", Form::Number),
    ("limits.stream_events_max", Form::Number),
    ("limits.stream_bytes_max", Form::Number),
    ("limits.connection_messages_max", Form::Number),
    ("limits.websocket_ping_s", Form::Number),
    ("catalogue.page_entries_max", Form::Number),
    ("catalogue.refresh_s", Form::Number),
    ("catalogue.wait_ms", Form::Number),
    ("catalogue.grace_s", Form::Number),
    ("allowed_origins", Form::List),
    ("default_server", Form::Text),
    ("oauth_callback_url", Form::Text),
    ("drain_timeout_s", Form::Number),
    ("worker_threads", Form::Number),
    ("sandbox.instances_max", Form::Number),
    ("sandbox.memory_bytes_max", Form::Number),
    ("sandbox.deadline_ms", Form::Number),
    ("sandbox.waiting_deadline_ms", Form::Number),
    ("sandbox.waiting_instances_max", Form::Number),
    ("sandbox.waiting_queue_len_max", Form::Number),
    ("sandbox.compile_time_s_max", Form::Number),
    ("sandbox.compile_memory_bytes_max", Form::Number),
    ("sandbox.compile_output_bytes_max", Form::Number),
    ("sandbox.compiles_max", Form::Number),
    ("plugins.require_signature", Form::Flag),
    ("plugins.trusted_keys", Form::List),
    ("plugins.registries", Form::Json),
];

/// The layer that the environment gives, and a warning for each variable that looks like a misspelt setting.
pub(super) fn from_environment(
    environment: &Environment,
) -> Result<(RawSettings, Vec<String>), ConfigError> {
    let mut layer = RawSettings::default();
    for (key, form) in KEYS {
        let variable = variable(key);
        if let Some(text) = environment.get(&variable).filter(|text| !text.is_empty()) {
            layer = read(key, *form, text)
                .map_err(|message| ConfigError::Variable { variable, message })?
                .over(layer);
        }
    }
    Ok((layer, warnings(environment)))
}

pub(super) fn variable(key: &str) -> String {
    let key = key.split('[').next().unwrap_or(key);
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

fn read(key: &str, form: Form, text: &str) -> Result<RawSettings, String> {
    let value = match form {
        Form::Text => Value::String(text.to_owned()),
        Form::Number => Value::from(
            text.trim()
                .parse::<u64>()
                .map_err(|error| format!("`{text}` is not a whole number: {error}"))?,
        ),
        Form::Flag => Value::from(
            text.trim()
                .parse::<bool>()
                .map_err(|_neither| format!("`{text}` is neither `true` nor `false`"))?,
        ),
        // Not repeated: it may hold passwords.
        Form::Json => serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?,
        Form::List => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(Value::from)
            .collect(),
    };
    let document = key.rsplit('.').fold(value, |inner, segment| {
        Value::Object(Map::from_iter([(segment.to_owned(), inner)]))
    });
    serde_json::from_value(document).map_err(|error| explain(&error.to_string()))
}

/// Kubernetes and the like set `PORTCULLIS_SERVICE_HOST` and many more by themselves: only near misses are worth a word.
fn warnings(environment: &Environment) -> Vec<String> {
    let known: Vec<String> = KEYS.iter().map(|(key, _)| variable(key)).collect();
    let unknown = environment.iter().filter(|(name, _)| {
        name.starts_with(PREFIX)
            && !OTHERS.contains(name)
            && !known.iter().any(|known| known == name)
    });
    unknown
        .filter_map(|(name, _)| {
            let near = nearest(
                name.strip_prefix(PREFIX)?,
                known.iter().filter_map(|known| known.strip_prefix(PREFIX)),
            )?;
            Some(format!(
                "the variable {name} is no setting: did you mean {PREFIX}{near}?"
            ))
        })
        .collect()
}

#[cfg(test)]
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(key, _)| *key)
}
