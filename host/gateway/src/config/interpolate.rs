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

/// A JSON string is a YAML one, but for the characters that YAML takes for line breaks or does not take at all.
fn double_quoted(value: &str) -> String {
    let mut text = String::new();
    for c in serde_json::to_string(value).unwrap_or_default().chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => text.push(c),
        }
    }
    text
}

fn quoted(value: &str, quote: Quote, whole: bool, placeholder: &str) -> Result<String, String> {
    let json = || double_quoted(value);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment() -> Environment {
        Environment::from_iter([
            ("PORT", "8080"),
            ("WORD", "acme-1"),
            ("EMPTY", ""),
            ("HASH", "a #b"),
            ("QUOTE", "it's \"so\"\\"),
            ("LINES", "a\nb: c"),
        ])
    }

    #[test]
    fn values_are_put_in_place() {
        for (text, want) in [
            ("listen: 127.0.0.1:${PORT}\n", "listen: 127.0.0.1:8080\n"),
            ("port: ${PORT}", "port: 8080"),
            ("a: ${NONE:-x} ${EMPTY:-y} ${WORD:-z}", "a: x y acme-1"),
            ("a: [${WORD}, \"${HASH}\"]", "a: [acme-1, \"a #b\"]"),
            ("a: ${HASH}\nb: 1", "a: \"a #b\"\nb: 1"),
            ("a: ${HASH} # why", "a: \"a #b\" # why"),
            ("- ${LINES}", "- \"a\\nb: c\""),
            ("a: \"x ${QUOTE} y\"", "a: \"x it's \\\"so\\\"\\\\ y\""),
            ("a: 'x ${QUOTE} y'", "a: 'x it''s \"so\"\\ y'"),
            ("a: \"\\\"${WORD}\"", "a: \"\\\"acme-1\""),
            ("# ${NONE}\na: 1 # ${NONE}", "# ${NONE}\na: 1 # ${NONE}"),
            ("a: x#${WORD}", "a: x#acme-1"),
            ("a: $${WORD} $WORD", "a: ${WORD} $WORD"),
        ] {
            assert_eq!(
                interpolate(text, &environment()).as_deref(),
                Ok(want),
                "{text}"
            );
        }
    }

    #[test]
    fn what_yaml_could_misread_is_refused() {
        for (text, line) in [
            ("a: 1\nb: x ${HASH}", 2),
            ("a: [${LINES}]", 1),
            ("a: '${LINES}'", 1),
            ("a: ${NONE}", 1),
            ("a: ${", 1),
            ("a: ${b c}", 1),
        ] {
            assert_eq!(
                interpolate(text, &environment()).unwrap_err().line,
                line,
                "{text}"
            );
        }
    }

    proptest! {
        /// Whatever a variable holds, it stays the value of its key.
        #[test]
        fn a_value_never_changes_the_structure(value in "[ -~\n\t\u{7f}\u{85}\u{e4}\u{2028}\u{feff}\u{1f600}]{0,24}") {
            let environment = Environment::from_iter([("V", value.as_str())]);
            for text in ["a: ${V}\nb: 1\n", "a: \"${V}\"\nb: 1\n"] {
                let text = interpolate(text, &environment).unwrap();
                let read: std::collections::BTreeMap<String, String> = serde_norway::from_str(&text).unwrap();
                prop_assert_eq!(read.get("a").map(String::as_str), Some(value.as_str()), "{}", text);
                prop_assert_eq!(read.len(), 2);
            }
        }
    }
}
