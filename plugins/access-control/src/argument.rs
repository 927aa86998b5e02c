//! Conditions on the values of arguments.

use portcullis_sdk::{Call, Glob};
use serde::Deserialize;
use serde_json::{Number, Value};

/// Everything that is written must hold; an argument that is missing holds nothing but `present: false`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    pointer: String,
    present: Option<bool>,
    /// `null` is a value to compare with, so absence needs a layer of its own.
    #[serde(default, deserialize_with = "some")]
    equals: Option<Value>,
    one_of: Option<Vec<Value>>,
    glob: Option<Glob>,
    min: Option<f64>,
    max: Option<f64>,
}

fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Condition {
    /// What the schema cannot say, and what it can, again.
    pub fn check(&self) -> Result<(), String> {
        if !self.pointer.starts_with('/') {
            return Err(format!(
                "pointer: `{}` does not start with `/`",
                self.pointer
            ));
        }
        let compares = self.equals.is_some()
            || self.one_of.is_some()
            || self.glob.is_some()
            || self.min.is_some()
            || self.max.is_some();
        match self.present {
            None if !compares => {
                Err("pointer: says where to look, and nothing says what for".to_owned())
            }
            Some(false) if compares => {
                Err("present: an argument that is missing has no value to compare".to_owned())
            }
            None | Some(_) => Ok(()),
        }
    }

    /// Asks the host for the one argument, and compares.
    pub fn holds(&self, call: &Call) -> bool {
        let Some(text) = call.argument(&self.pointer) else {
            return self.present == Some(false);
        };
        if self.present == Some(false) {
            return false;
        }
        let Ok(value) = serde_json::from_str::<Value>(&text) else {
            return false;
        };
        let number = || value.as_f64();
        self.equals.as_ref().is_none_or(|want| same(want, &value))
            && self
                .one_of
                .as_ref()
                .is_none_or(|wants| wants.iter().any(|want| same(want, &value)))
            && self
                .glob
                .as_ref()
                .is_none_or(|glob| value.as_str().is_some_and(|text| glob.matches(text)))
            && self
                .min
                .is_none_or(|min| number().is_some_and(|number| number >= min))
            && self
                .max
                .is_none_or(|max| number().is_some_and(|number| number <= max))
    }
}

/// Equality as JSON means it: `1` is `1.0`, and the order of keys is nothing.
fn same(want: &Value, value: &Value) -> bool {
    match (want, value) {
        (Value::Number(want), Value::Number(number)) => same_number(want, number),
        (Value::Array(want), Value::Array(items)) => {
            want.len() == items.len() && want.iter().zip(items).all(|(a, b)| same(a, b))
        }
        (Value::Object(want), Value::Object(object)) => {
            let known = |(name, a): (&String, &Value)| object.get(name).is_some_and(|b| same(a, b));
            want.len() == object.len() && want.iter().all(known)
        }
        (want, value) => want == value,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    if a.is_f64() || b.is_f64() {
        return a.as_f64() == b.as_f64();
    }
    a == b
}
