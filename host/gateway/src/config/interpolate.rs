//! `${NAME}` and `${NAME:-default}` in the settings file, put in place before YAML is parsed.
//!
//! A variable's value never changes the structure of the file: in double quotes it is escaped, as a whole plain
//! value it is quoted where needed, and anywhere else a value that YAML could misread is refused.
//! Lines keep their numbers.

use super::environment::Environment;

/// What is wrong with a placeholder, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InterpolationError {
    /// From 1.
    pub line: usize,
    pub message: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

pub(super) fn interpolate(
    text: &str,
    environment: &Environment,
) -> Result<String, InterpolationError> {
    let mut out = String::with_capacity(text.len());
    for (at, line) in text.split_inclusive('\n').enumerate() {
        interpolate_line(line, environment, &mut out).map_err(|message| InterpolationError {
            line: at + 1,
            message,
        })?;
    }
    Ok(out)
}

fn interpolate_line(line: &str, environment: &Environment, out: &mut String) -> Result<(), String> {
    let mut quote = Quote::None;
    let mut before = ' ';
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("$${") {
            out.push_str("${");
            before = '{';
            rest = after;
            continue;
        }
        if let Some(inner) = rest.strip_prefix("${") {
            let (placeholder, after) = inner
                .split_once('}')
                .ok_or("`${` without `}`: write ${NAME}, or $${ for a plain ${")?;
            let whole = is_value_start(out) && is_value_end(after);
            out.push_str(&quoted(
                lookup(placeholder, environment)?,
                quote,
                whole,
                placeholder,
            )?);
            before = '}';
            rest = after;
            continue;
        }
        let mut taken = next.len_utf8();
        match (quote, next) {
            (Quote::None, '#') if before.is_whitespace() => {
                out.push_str(rest);
                return Ok(());
            }
            (Quote::None, '"') if opens(before) => quote = Quote::Double,
            (Quote::None, '\'') if opens(before) => quote = Quote::Single,
            (Quote::Double, '\\') => taken += rest.chars().nth(1).map_or(0, char::len_utf8),
            (Quote::Double, '"') | (Quote::Single, '\'') => quote = Quote::None,
            (Quote::None | Quote::Single | Quote::Double, _) => {}
        }
        let (copied, after) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        out.push_str(copied);
        before = next;
        rest = after;
    }
    Ok(())
}

/// Whether a quote after this character begins a quoted value.
fn opens(before: char) -> bool {
    before.is_whitespace() || matches!(before, '[' | '{' | ',' | ':')
}

fn is_value_start(out: &str) -> bool {
    let line = out.rsplit('\n').next().unwrap_or(out);
    let line = line.trim_end();
    line.ends_with(':') || line.ends_with('-')
}

fn is_value_end(after: &str) -> bool {
    let after = after.trim_end_matches(['\r', '\n']);
    after.trim().is_empty()
        || (after.starts_with([' ', '\t']) && after.trim_start().starts_with('#'))
}

fn lookup<'a>(placeholder: &'a str, environment: &'a Environment) -> Result<&'a str, String> {
    let (name, default) = match placeholder.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (placeholder, None),
    };
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !named {
        return Err(format!(
            "`${{{placeholder}}}` names no variable: write ${{NAME}} or ${{NAME:-default}}"
        ));
    }
    // As in a shell, `:-` stands in for an empty value too.
    let value = environment
        .get(name)
        .filter(|value| default.is_none() || !value.is_empty());
    value.or(default).ok_or_else(|| {
        format!("the variable {name} is not set: set it, or give a default as ${{{name}:-default}}")
    })
}

fn quoted(value: &str, quote: Quote, whole: bool, placeholder: &str) -> Result<String, String> {
    let json = || serde_json::to_string(value).unwrap_or_default();
    let plain = value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-./:@+".contains(&b))
        && !value.ends_with(':')
        && !value.starts_with(['-', '@', ':']);
    match quote {
        Quote::Double => {
            let json = json();
            Ok(json
                .get(1..json.len().saturating_sub(1))
                .unwrap_or_default()
                .to_owned())
        }
        Quote::Single if !value.contains(['\n', '\r']) => Ok(value.replace('\'', "''")),
        Quote::None if plain => Ok(value.to_owned()),
        Quote::None if whole => Ok(json()),
        Quote::None | Quote::Single => Err(format!(
            "the value of `${{{placeholder}}}` holds characters that mean something in YAML: write it in double quotes"
        )),
    }
}
