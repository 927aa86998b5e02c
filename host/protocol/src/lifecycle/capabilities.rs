//! One set of capabilities out of many upstreams', without what the gateway cannot serve.
//!
//! Used for the answers to `initialize` and `server/discover`. Unlike results, capabilities are understood and built
//! anew; what is not on the allow list is left out, so a capability is never promised by accident.

use serde_json::{Map, Value};

/// Merges capabilities: what any upstream can do, the server can do.
///
/// Booleans are or'd, objects are merged member by member, and of other values the first one counts. `allowed` holds
/// JSON Pointers: `/tools` lets the member through with nothing in it, `/tools/listChanged` lets that member through
/// as well (and `/tools` with it), and a pointer that ends in `/*` lets through everything beneath. Text that is not a
/// JSON object counts as no capabilities. Members are sorted: the text is the same whoever is known first.
#[must_use]
pub fn merge_capabilities<'a>(
    upstreams: impl IntoIterator<Item = &'a str>,
    allowed: &[&str],
) -> String {
    let mut merged = Map::new();
    for raw in upstreams {
        if let Ok(Value::Object(capabilities)) = serde_json::from_str(raw) {
            merge(&mut merged, capabilities);
        }
    }
    let mut kept = Value::Object(filter(merged, "", allowed));
    kept.sort_all_objects();
    kept.to_string()
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            // The parser bounds the depth, and with it this recursion.
            (Some(Value::Object(inner)), Value::Object(more)) => merge(inner, more),
            (Some(Value::Bool(can)), Value::Bool(also)) => *can |= also,
            // An object says more than a flag, and a flag more than nothing.
            (Some(known), better) if rank(known) < rank(&better) => *known = better,
            (Some(_), _) => {}
            (None, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => 1,
        Value::Object(_) => 2,
    }
}

fn filter(capabilities: Map<String, Value>, prefix: &str, allowed: &[&str]) -> Map<String, Value> {
    let mut kept = Map::new();
    for (key, value) in capabilities {
        let pointer = format!("{prefix}/{}", key.replace('~', "~0").replace('/', "~1"));
        match passage(&pointer, allowed) {
            Passage::Whole => {
                kept.insert(key, value);
            }
            Passage::Partly => {
                let value = if let Value::Object(inner) = value {
                    Value::Object(filter(inner, &pointer, allowed))
                } else {
                    value
                };
                kept.insert(key, value);
            }
            Passage::Through => {
                if let Value::Object(inner) = value {
                    let inner = filter(inner, &pointer, allowed);
                    if !inner.is_empty() {
                        kept.insert(key, Value::Object(inner));
                    }
                }
            }
            Passage::No => {}
        }
    }
    kept
}

/// How much of a member passes.
enum Passage {
    Whole,
    Partly,
    /// For the sake of what is beneath, if it is there.
    Through,
    No,
}

fn passage(pointer: &str, allowed: &[&str]) -> Passage {
    let mut passage = Passage::No;
    for entry in allowed {
        match entry.strip_suffix("/*") {
            Some(root) if is_at_or_beneath(pointer, root) => return Passage::Whole,
            Some(root) if is_at_or_beneath(root, pointer) => {
                if matches!(passage, Passage::No) {
                    passage = Passage::Through;
                }
            }
            None if is_at_or_beneath(entry, pointer) => passage = Passage::Partly,
            Some(_) | None => {}
        }
    }
    passage
}

/// Whether `pointer` is `root` or leads through it.
fn is_at_or_beneath(pointer: &str, root: &str) -> bool {
    pointer
        .strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
