//! From verified claims to an identity.
//!
//! Only the claims that the mapping names are kept while reading; the rest is skipped without a copy, and the whole
//! text travels on as the identity's `claims`.

use std::borrow::Cow;
use std::fmt;

use portcullis_sdk::Identity;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// Where each part of an identity is found.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    subject: Place,
    team: Place,
    roles: Place,
    scopes: Place,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            subject: Place::from("sub".to_owned()),
            team: Place::from("team".to_owned()),
            roles: Place::from("roles".to_owned()),
            scopes: Place::from("scope".to_owned()),
        }
    }
}

/// A claim: its name, and the pointer into its value that remains.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
struct Place {
    claim: String,
    rest: String,
}

impl From<String> for Place {
    fn from(text: String) -> Self {
        let Some(pointer) = text.strip_prefix('/') else {
            return Self {
                claim: text,
                rest: String::new(),
            };
        };
        let cut = pointer.find('/').unwrap_or(pointer.len());
        let (claim, rest) = pointer.split_at(cut);
        Self {
            // RFC 6901, section 4: `~1` before `~0`.
            claim: claim.replace("~1", "/").replace("~0", "~"),
            rest: rest.to_owned(),
        }
    }
}

impl Place {
    fn find<'v>(&self, found: &'v [(usize, Value)], index: usize) -> Option<&'v Value> {
        let (_, value) = found.iter().find(|(at, _)| *at == index)?;
        value.pointer(&self.rest)
    }
}

impl Mapping {
    /// Reads an identity out of claims, or says in a few words why that fails.
    pub fn identity(&self, claims: String) -> Result<Identity, &'static str> {
        let places = [&self.subject, &self.team, &self.roles, &self.scopes];
        let mut json = serde_json::Deserializer::from_str(&claims);
        let Ok(found) = Wanted(places).deserialize(&mut json) else {
            return Err("The token's claims cannot be read");
        };
        let subject = places[0].find(&found, 0).and_then(text);
        let Some(subject) = subject.filter(|subject| !subject.is_empty()) else {
            return Err("The token does not say who is calling");
        };
        Ok(Identity {
            subject,
            team: places[1].find(&found, 1).and_then(text),
            roles: places[2].find(&found, 2).map(words).unwrap_or_default(),
            scopes: places[3].find(&found, 3).map(words).unwrap_or_default(),
            claims,
        })
    }
}

/// Some issuers number their subjects and teams.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Value::Array(items) => items.iter().filter_map(text).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// A claim's name, copied only if it is escaped.
#[derive(Deserialize)]
struct Name<'c>(#[serde(borrow)] Cow<'c, str>);

/// Reads an object and keeps the values of the claims that are wanted, each with the index of its place.
struct Wanted<'p>([&'p Place; 4]);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Vec<(usize, Value)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Vec<(usize, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::with_capacity(self.0.len());
        while let Some(Name(name)) = map.next_key()? {
            let mut wanted = (0..).zip(self.0).filter(|(_, place)| place.claim == name);
            let Some((first, _)) = wanted.next() else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value: Value = map.next_value()?;
            for (index, _) in wanted {
                found.push((index, value.clone()));
            }
            found.push((first, value));
        }
        Ok(found)
    }
}
