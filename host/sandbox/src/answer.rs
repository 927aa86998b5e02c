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

fn is_json_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}
