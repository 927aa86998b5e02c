//! What a hook may answer, whichever way it was called: what it promises, or a [`Failure`] that counts against it.

use crate::pool::Standing;
use crate::{Candidate, Denial, Edit, Entry, Failure, HookResult};

/// A choice among candidates, by its place: of a healthy one, if any.
pub(crate) fn place(
    standing: &Standing,
    choice: Result<Option<u32>, Denial>,
    candidates: &[Candidate],
) -> HookResult<Option<usize>> {
    let place = match choice {
        Ok(Some(place)) => usize::try_from(place).unwrap_or(usize::MAX),
        Ok(None) => return Ok(Ok(None)),
        Err(denial) => return Ok(Err(denial)),
    };
    match candidates.get(place) {
        Some(candidate) if candidate.healthy => Ok(Ok(Some(place))),
        Some(_) | None => Err(refused(
            standing,
            "it chose an upstream that is no healthy candidate".into(),
        )),
    }
}

/// New text, if any, that is a JSON object.
pub(crate) fn json(
    standing: &Standing,
    changed: Result<Option<String>, Denial>,
) -> HookResult<Option<String>> {
    match &changed {
        Ok(Some(text)) if !is_json_object(text) => Err(refused(
            standing,
            "it handed back text that is not a JSON object".into(),
        )),
        Ok(_) | Err(_) => Ok(changed),
    }
}

/// One edit per entry.
pub(crate) fn edits(
    standing: &Standing,
    edits: Result<Vec<Edit>, Denial>,
    entries: &[Entry],
) -> HookResult<Vec<Edit>> {
    if let Ok(edits) = &edits {
        let broken = edits
            .iter()
            .any(|edit| matches!(edit, Edit::Replace(text) if !is_json_object(text)));
        if edits.len() != entries.len() || broken {
            let message = format!(
                "{} entries need as many edits, each a JSON object",
                entries.len()
            );
            return Err(refused(standing, message));
        }
    }
    Ok(edits)
}

fn refused(standing: &Standing, message: String) -> Failure {
    standing.failed();
    Failure::Output(message)
}

/// Whether it is an object that readers can be expected to read: one that is valid, and not deeper than theirs go.
fn is_json_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
        && is_shallow(text)
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Values within values: common parsers stop at 128 and more, and a result comes to clients in a message of two.
const DEPTH_MAX: usize = 120;

fn is_shallow(text: &str) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' if depth == DEPTH_MAX => return false,
            b'{' | b'[' => depth += 1,
            // Where they do not match, it is no JSON, which is found out next.
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, is_json_object};

    #[test]
    fn objects_are_told_from_everything_else() {
        let nested = |depth: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(depth - 1),
                "]".repeat(depth - 1)
            )
        };
        let cases = [
            ("{}".to_owned(), true),
            (" {\"a\":[1,{}]}\n".to_owned(), true),
            ("{\"a\":\"[[\\\"[[\"}".to_owned(), true),
            ("[]".to_owned(), false),
            ("{".to_owned(), false),
            ("{}}".to_owned(), false),
            ("{},\"name\":1".to_owned(), false),
            (nested(DEPTH_MAX), true),
            (nested(DEPTH_MAX + 1), false),
            (nested(100_000), false),
            (format!("{{\"a\":\"{}\"}}", "[".repeat(1_000)), true),
        ];
        for (text, want) in cases {
            assert_eq!(is_json_object(&text), want, "{text:.80}");
        }
    }
}
