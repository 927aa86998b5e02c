//! Upstreams: one way to reach them, and nothing in it that the gateway sets itself.

use axum::http::{HeaderName, HeaderValue};

use crate::model::{UpstreamSpec, pointer_segment};

use super::auth::auth;
use super::{Checked, Problem, TEXT_LEN_MAX, VALUE_LEN_MAX, at_most, check_url, short};

const ENTRIES_MAX: usize = 64;
const TIMEOUT_MS_MAX: u64 = 3_600_000;

/// Headers that belong to the connection or to MCP, and not to a configuration.
const HEADERS_RESERVED: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "accept",
    "mcp-session-id",
    "mcp-protocol-version",
];

pub(in crate::admin) fn upstream(spec: &UpstreamSpec) -> Checked {
    match (&spec.url, spec.command.first()) {
        (Some(url), None) => {
            check_url("/url", url)?;
            if !spec.env.is_empty() {
                return Err(Problem::invalid(
                    "/env",
                    "`env` is for an upstream with `command`: remove it",
                ));
            }
            if !spec.process.is_shared() {
                return Err(Problem::invalid(
                    "/process",
                    "`process` is for an upstream with `command`: remove it",
                ));
            }
        }
        (None, Some(program)) => {
            if !spec.transport.is_auto() {
                return Err(Problem::invalid(
                    "/transport",
                    "`transport` is for an upstream with `url`: remove it",
                ));
            }
            if program.is_empty() || spec.command.iter().any(|word| word.contains('\0')) {
                return Err(Problem::invalid(
                    "/command",
                    "the first word is the program; no word holds a NUL",
                ));
            }
            if !spec.headers.is_empty() {
                return Err(Problem::invalid(
                    "/headers",
                    "`headers` are for an upstream with `url`: remove them",
                ));
            }
        }
        (Some(_), Some(_)) => {
            return Err(Problem::invalid(
                "/command",
                "give `url` or `command`, not both",
            ));
        }
        (None, None) => {
            return Err(Problem::invalid(
                "/url",
                "give `url` (HTTP) or `command` (stdio)",
            ));
        }
    }
    if !(1..=TIMEOUT_MS_MAX).contains(&spec.timeout_ms) {
        return Err(Problem::invalid(
            "/timeout_ms",
            format!(
                "{} is out of range: use 1 to {TIMEOUT_MS_MAX}",
                spec.timeout_ms
            ),
        ));
    }
    entries(spec)?;
    auth(spec)
}

fn entries(spec: &UpstreamSpec) -> Checked {
    at_most("/command", "words", spec.command.len(), ENTRIES_MAX)?;
    at_most("/env", "variables", spec.env.len(), ENTRIES_MAX)?;
    at_most("/headers", "headers", spec.headers.len(), ENTRIES_MAX)?;
    at_most("/labels", "labels", spec.labels.len(), ENTRIES_MAX)?;
    for (variable, value) in &spec.env {
        let pointer = format!("/env/{}", pointer_segment(variable));
        if variable.is_empty() || variable.contains(['=', '\0']) || value.expose().contains('\0') {
            return Err(Problem::invalid(
                pointer,
                "a variable's name is not empty and holds no `=`; neither name nor value holds a NUL",
            ));
        }
        short(pointer, value.expose(), VALUE_LEN_MAX)?;
    }
    spec.headers
        .iter()
        .try_for_each(|(header, value)| check_header(header, value.expose()))?;
    spec.labels.iter().try_for_each(|(label, value)| {
        short(
            format!("/labels/{}", pointer_segment(label)),
            value,
            TEXT_LEN_MAX,
        )
    })
}

fn check_header(header: &str, value: &str) -> Checked {
    let pointer = format!("/headers/{}", pointer_segment(header));
    let Ok(name) = header.parse::<HeaderName>() else {
        return Err(Problem::invalid(
            pointer,
            format!("`{header}` is not a header name"),
        ));
    };
    if HEADERS_RESERVED.contains(&name.as_str()) {
        return Err(Problem::invalid(
            pointer,
            format!("the gateway sets `{name}` itself: remove it"),
        ));
    }
    if HeaderValue::from_str(value).is_err() {
        return Err(Problem::invalid(
            pointer,
            "the value holds characters that no header may hold",
        ));
    }
    short(pointer, value, VALUE_LEN_MAX)
}
