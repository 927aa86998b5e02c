//! Target `edits`: edits of JSON text, held against the same edits of a parsed document; and text that is no JSON.

use portcullis_protocol::{envelope, splice};
use serde_json::Value;

use crate::json::{self, KEYS};
use crate::mutate::mutate;
use crate::random::Random;
use crate::run::{Outcome, Target};

const PATH_MAX: usize = 4;

/// It keeps nothing.
pub struct Edits;

impl Target for Edits {
    fn name(&self) -> &'static str {
        "edits"
    }

    fn try_one(&mut self, random: &mut Random) -> Result<Outcome, String> {
        let mut text = if random.one_in(8) {
            json::value(random, 0)
        } else {
            json::object(random, 0)
        };
        if random.one_in(3) {
            let mut bytes = text.into_bytes();
            mutate(random, &mut bytes, &[]);
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        let path: Vec<&str> = (0..random.below(PATH_MAX))
            .filter_map(|_| random.pick(&KEYS).copied())
            .collect();
        let new = json::value(random, 3);
        drop(envelope::parse(text.as_bytes()));
        match serde_json::from_str(&text) {
            Ok(document) => {
                set(&text, &document, &path, &new)?;
                remove(&text, &document, &path)?;
                get(&text, &document, &path)?;
                Ok(Outcome::Taken)
            }
            // Any answer will do, as long as there is one.
            Err(_) => {
                drop(splice::set_path(&text, &path, &new));
                drop(splice::remove_path(&text, &path));
                let _ = splice::get_pointer(&text, &pointer(&path));
                Ok(Outcome::Refused)
            }
        }
    }
}

fn parsed(text: &str, of: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("{of} gives {text:?}, which is no JSON: {error}"))
}

fn set(text: &str, document: &Value, path: &[&str], new: &str) -> Result<(), String> {
    let what = format!("setting {path:?} of {text:?} to {new}");
    let mut want = document.clone();
    let is_set = set_value(&mut want, path, parsed(new, "the generator")?);
    match (splice::set_path(text, path, new), is_set) {
        (Ok(edited), true) if parsed(&edited, &what)? == want => Ok(()),
        (Ok(edited), true) => Err(format!("{what} gives {edited:?}")),
        (Ok(edited), false) => Err(format!("{what} gives {edited:?} where there is no object")),
        (Err(_), false) => Ok(()),
        (Err(error), true) => Err(format!("{what}: {error}")),
    }
}

/// Whether the path leads through objects alone; those that are missing are made.
fn set_value(document: &mut Value, path: &[&str], new: Value) -> bool {
    let mut place = document;
    for key in path {
        let Value::Object(object) = place else {
            return false;
        };
        place = object
            .entry(*key)
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    *place = new;
    true
}

fn remove(text: &str, document: &Value, path: &[&str]) -> Result<(), String> {
    let what = format!("removing {path:?} from {text:?}");
    let mut want = document.clone();
    let is_clear = remove_value(&mut want, path);
    match (splice::remove_path(text, path), is_clear) {
        (Ok(edited), true) if parsed(&edited, &what)? == want => Ok(()),
        (Ok(edited), true) => Err(format!("{what} gives {edited:?}")),
        (Ok(edited), false) => Err(format!("{what} gives {edited:?} where there is no object")),
        (Err(_), false) => Ok(()),
        (Err(error), true) => Err(format!("{what}: {error}")),
    }
}

/// Whether the path leads through objects alone, as far as it leads anywhere.
fn remove_value(document: &mut Value, path: &[&str]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return true;
    };
    let mut place = document;
    for key in parents {
        let Value::Object(object) = place else {
            return false;
        };
        match object.get_mut(*key) {
            Some(value) => place = value,
            None => return true,
        }
    }
    let Value::Object(object) = place else {
        return false;
    };
    object.shift_remove(*last);
    true
}

fn get(text: &str, document: &Value, path: &[&str]) -> Result<(), String> {
    let pointer = pointer(path);
    let what = format!("{pointer:?} in {text:?}");
    let found = splice::get_pointer(text, &pointer);
    let found = found.map(|found| parsed(found, &what)).transpose()?;
    match (found.as_ref(), document.pointer(&pointer)) {
        (found, want) if found == want => Ok(()),
        (found, want) => Err(format!("{what} is {found:?} and not {want:?}")),
    }
}

/// RFC 6901
fn pointer(path: &[&str]) -> String {
    let tokens = path
        .iter()
        .map(|key| key.replace('~', "~0").replace('/', "~1"));
    tokens.map(|token| format!("/{token}")).collect()
}
