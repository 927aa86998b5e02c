//! What a document must be beyond its shape. Each refusal names the field by JSON Pointer and says what to do.

use std::collections::BTreeSet;

use axum::http::{HeaderName, HeaderValue, Uri};

use crate::model::{
    BindingLimits, ChainSpec, IssuerSpec, KeySpec, Naming, ServerSpec, TenantState, UpstreamSpec,
    check_name, pointer_segment,
};

use super::Problem;

const MOUNTS_MAX: usize = 100;
const REPLICAS_MAX: usize = 100;
const HOSTS_MAX: usize = 32;
const ENTRIES_MAX: usize = 64;
const WORDS_MAX: usize = 64;
const TEXT_LEN_MAX: usize = 256;
const VALUE_LEN_MAX: usize = 8 << 10;
const TIMEOUT_MS_MAX: u64 = 3_600_000;
const BINDINGS_MAX: usize = 64;
/// RFC 7518, section 3.2: an HS256 key is at least as long as the hash.
const HS256_SECRET_LEN_MIN: usize = 32;

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

type Checked = Result<(), Problem>;

/// A name in a path.
pub(super) fn name(name: &str) -> Checked {
    check_name(name).map_err(|error| Problem::bad_request(error.to_string()))
}

pub(super) fn upstream(spec: &UpstreamSpec) -> Checked {
    match (&spec.url, spec.command.first()) {
        (Some(url), None) => {
            check_url("/url", url)?;
            if !spec.env.is_empty() {
                return Err(Problem::invalid(
                    "/env",
                    "`env` is for an upstream with `command`: remove it",
                ));
            }
        }
        (None, Some(program)) => {
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
                "give `url` (Streamable HTTP) or `command` (stdio)",
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

/// An absolute `http` or `https` URL without credentials, which would show in a `GET`.
fn check_url(pointer: &str, url: &str) -> Checked {
    let parsed = url.parse::<Uri>().ok();
    let http = parsed
        .as_ref()
        .and_then(Uri::scheme_str)
        .is_some_and(|scheme| scheme == "http" || scheme == "https");
    match parsed.as_ref().and_then(Uri::authority).filter(|_| http) {
        Some(authority) if authority.as_str().contains('@') => Err(Problem::invalid(
            pointer,
            "a URL with credentials is shown to everyone who may read it: use `headers`",
        )),
        Some(authority) if !authority.host().is_empty() => {
            short(pointer.to_owned(), url, VALUE_LEN_MAX)
        }
        Some(_) | None => Err(Problem::invalid(
            pointer,
            format!(
                "`{}` is not an http or https URL",
                url.chars().take(80).collect::<String>()
            ),
        )),
    }
}

pub(super) fn server(spec: &ServerSpec, state: &TenantState) -> Checked {
    if spec.upstreams.is_empty() {
        return Err(Problem::invalid(
            "/upstreams",
            "a server has at least one upstream",
        ));
    }
    at_most("/upstreams", "mounts", spec.upstreams.len(), MOUNTS_MAX)?;
    if spec.naming == Naming::Plain && spec.upstreams.len() > 1 {
        return Err(Problem::invalid(
            "/naming",
            "`plain` is for servers of one mount, since two upstreams may offer the same name: use `prefixed`",
        ));
    }
    let mut seen = BTreeSet::new();
    for (at, mount) in spec.upstreams.iter().enumerate() {
        let pointer = format!("/upstreams/{at}/name");
        check_name(&mount.name).map_err(|error| Problem::invalid(&pointer, error.to_string()))?;
        if !seen.insert(&mount.name) {
            return Err(Problem::invalid(
                pointer,
                format!(
                    "`{}` is mounted twice: names of a server's mounts are unique",
                    mount.name
                ),
            ));
        }
        at_most(
            &format!("/upstreams/{at}/replicas"),
            "replicas",
            mount.replicas.len(),
            REPLICAS_MAX,
        )?;
        if mount.replicas.is_empty() && !state.upstreams.contains_key(&mount.name) {
            return Err(no_upstream(pointer, &mount.name, state));
        }
        let mut replicas = BTreeSet::new();
        for (nth, replica) in mount.replicas.iter().enumerate() {
            let pointer = format!("/upstreams/{at}/replicas/{nth}");
            if !state.upstreams.contains_key(replica) {
                return Err(no_upstream(pointer, replica, state));
            }
            if !replicas.insert(replica) {
                return Err(Problem::invalid(
                    pointer,
                    format!("`{replica}` is named twice"),
                ));
            }
        }
    }
    hosts(&spec.hosts)
}

fn no_upstream(pointer: String, name: &str, state: &TenantState) -> Problem {
    let near = crate::config::nearest(name, state.upstreams.keys().map(String::as_str));
    let hint = near.map_or_else(
        || "create it first".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    Problem::invalid(pointer, format!("there is no upstream `{name}`: {hint}"))
}

fn hosts(hosts: &[String]) -> Checked {
    at_most("/hosts", "hosts", hosts.len(), HOSTS_MAX)?;
    let mut seen = BTreeSet::new();
    for (at, host) in hosts.iter().enumerate() {
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
        let good = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(allowed)
            && !host.starts_with(['.', '-'])
            && !host.ends_with(['.', '-']);
        if !good || !seen.insert(host) {
            let shown: String = host.chars().take(80).collect();
            return Err(Problem::invalid(
                format!("/hosts/{at}"),
                format!(
                    "`{shown}` is not a host name in lower case without a port, or is named twice"
                ),
            ));
        }
    }
    Ok(())
}

pub(super) fn issuer(name: &str, spec: &IssuerSpec, state: &TenantState) -> Checked {
    if spec.issuer.is_empty() {
        return Err(Problem::invalid("/issuer", "the `iss` claim of its tokens"));
    }
    short("/issuer".to_owned(), &spec.issuer, TEXT_LEN_MAX)?;
    if let Some((other, _)) = state
        .issuers
        .iter()
        .find(|(other, issuer)| *other != name && issuer.issuer == spec.issuer)
    {
        return Err(Problem::invalid(
            "/issuer",
            format!("`{other}` is the same issuer: one of them is enough"),
        ));
    }
    match (&spec.jwks_url, &spec.jwks, &spec.secret) {
        (Some(url), None, None) => check_url("/jwks_url", url),
        (None, Some(jwks), None) => match jwks.get("keys").and_then(serde_json::Value::as_array) {
            Some(keys)
                if keys
                    .iter()
                    .any(|key| key.get("d").is_some() || key.get("k").is_some()) =>
            {
                Err(Problem::invalid(
                    "/jwks/keys",
                    "a key is private or symmetric: give public keys alone",
                ))
            }
            Some(_) => Ok(()),
            None => Err(Problem::invalid(
                "/jwks",
                "a JWK Set is an object with an array `keys` (RFC 7517, section 5)",
            )),
        },
        (None, None, Some(secret)) if secret.expose().len() < HS256_SECRET_LEN_MIN => {
            Err(Problem::invalid(
                "/secret",
                format!(
                    "an HS256 secret has at least {HS256_SECRET_LEN_MIN} bytes (RFC 7518, section 3.2)"
                ),
            ))
        }
        (None, None, Some(secret)) => short("/secret".to_owned(), secret.expose(), VALUE_LEN_MAX),
        (None, None, None)
        | (Some(_), Some(_), _)
        | (Some(_), _, Some(_))
        | (_, Some(_), Some(_)) => Err(Problem::invalid(
            "",
            "give exactly one of `jwks_url`, `jwks` and `secret`",
        )),
    }
}

pub(super) fn key(spec: &KeySpec, now_ms: u64) -> Checked {
    for (pointer, text) in [("/name", &spec.name), ("/subject", &spec.subject)] {
        if text.is_empty() {
            return Err(Problem::invalid(pointer, "this is not empty"));
        }
        short(pointer.to_owned(), text, TEXT_LEN_MAX)?;
    }
    if let Some(team) = &spec.team {
        short("/team".to_owned(), team, TEXT_LEN_MAX)?;
    }
    for (pointer, words) in [("/roles", &spec.roles), ("/scopes", &spec.scopes)] {
        at_most(pointer, "words", words.len(), WORDS_MAX)?;
        words
            .iter()
            .enumerate()
            .try_for_each(|(at, word)| short(format!("{pointer}/{at}"), word, TEXT_LEN_MAX))?;
    }
    match spec.expires_at_ms {
        Some(expires_at_ms) if expires_at_ms <= now_ms => Err(Problem::invalid(
            "/expires_at_ms",
            "this moment is past: give milliseconds since 1970",
        )),
        Some(_) | None => Ok(()),
    }
}

/// A chain whose plugins are resolved and whose bindings are named.
pub(super) fn chain(spec: &ChainSpec) -> Checked {
    at_most("/bindings", "bindings", spec.bindings.len(), BINDINGS_MAX)?;
    let mut seen = BTreeSet::new();
    for (at, binding) in spec.bindings.iter().enumerate() {
        let name = binding.name();
        check_name(name)
            .map_err(|error| Problem::invalid(format!("/bindings/{at}/name"), error.to_string()))?;
        if !seen.insert(name) {
            return Err(Problem::invalid(
                format!("/bindings/{at}/name"),
                format!("two bindings are called `{name}`: give one of them another `name`"),
            ));
        }
        if !binding.config.is_object() {
            return Err(Problem::invalid(
                format!("/bindings/{at}/config"),
                "a configuration is an object",
            ));
        }
        limits(at, &binding.limits)?;
    }
    Ok(())
}

fn limits(at: usize, limits: &BindingLimits) -> Checked {
    let checks = [
        ("deadline_ms", limits.deadline_ms.map(u64::from), 1, 1_000),
        (
            "memory_bytes_max",
            limits.memory_bytes_max,
            64 << 10,
            64 << 20,
        ),
        ("output_bytes_max", limits.output_bytes_max, 1, 64 << 20),
    ];
    for (field, value, min, max) in checks {
        if let Some(value) = value.filter(|value| !(min..=max).contains(value)) {
            return Err(Problem::invalid(
                format!("/bindings/{at}/limits/{field}"),
                format!("{value} is out of range: use {min} to {max}"),
            ));
        }
    }
    Ok(())
}

fn at_most(pointer: &str, what: &str, count: usize, count_max: usize) -> Checked {
    if count <= count_max {
        Ok(())
    } else {
        Err(Problem::invalid(
            pointer,
            format!("{count} {what}: at most {count_max}"),
        ))
    }
}

fn short(pointer: String, text: &str, len_max: usize) -> Checked {
    if text.len() <= len_max {
        Ok(())
    } else {
        Err(Problem::invalid(
            pointer,
            format!("at most {len_max} bytes"),
        ))
    }
}
