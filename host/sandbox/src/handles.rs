//! What a guest hands over once and names by handle from then on: verifiers of tokens, and limiters.
//!
//! They live in the store of the guest that made them, count as its memory, and go with it.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::bindings::portcullis::policy::quota::{Part, Rule};
use crate::{CallView, QuotaTake, VerifiedToken};

/// Handles of one instance.
pub(crate) const HANDLES_MAX: usize = 16;
/// What a handle costs beside its texts.
const HANDLE_BYTES: usize = 128;
/// What a rule takes beside its texts, with the key of a call.
const RULE_BYTES: usize = 128;
/// Rules of one limiter.
const RULES_MAX: usize = 256;
/// Parts of one rule: each once.
const PARTS_MAX: usize = 8;
/// The name of a rule.
const NAME_BYTES_MAX: usize = 256;
/// A longer value of a call stands in a key as its SHA-256.
const VALUE_BYTES_MAX: usize = 256;
/// Room for keys that is kept from call to call.
const KEYS_BYTES_KEPT: usize = 4096;

/// What a guest holds tokens against.
pub struct Verifier {
    pub(crate) issuers: Vec<String>,
    pub(crate) audiences: Vec<String>,
    /// The token that was checked last.
    pub(crate) last: Option<VerifiedToken>,
}

impl Verifier {
    pub(crate) fn new(issuers: Vec<String>, audiences: Vec<String>) -> Self {
        Self {
            issuers,
            audiences,
            last: None,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let texts = self.issuers.iter().chain(&self.audiences);
        texts
            .map(|text| text.len().saturating_add(size_of::<String>()))
            .fold(HANDLE_BYTES, usize::saturating_add)
    }
}

/// A guest's rules, and room for the keys of a call.
pub struct Limiter {
    rules: Vec<Rule>,
    keys: String,
    /// Where each key ends.
    ends: Vec<usize>,
}

impl Limiter {
    /// None for more or longer rules than a limiter takes.
    pub(crate) fn new(rules: Vec<Rule>) -> Option<Self> {
        let fits = |rule: &Rule| rule.parts.len() <= PARTS_MAX && rule.name.len() <= NAME_BYTES_MAX;
        (rules.len() <= RULES_MAX && rules.iter().all(fits)).then(|| Self {
            rules,
            keys: String::new(),
            ends: Vec::new(),
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        let of = |rule: &Rule| {
            let texts = rule.name.len().saturating_add(rule.parts.len());
            texts
                .saturating_add(size_of::<Rule>())
                .saturating_add(RULE_BYTES)
        };
        self.rules
            .iter()
            .map(of)
            .fold(HANDLE_BYTES, usize::saturating_add)
    }

    /// What a call takes, in the order of the rules; a rule whose cost is 0 takes no part. None when there is not one
    /// cost per rule.
    pub(crate) fn takes(
        &mut self,
        call: &dyn CallView,
        costs: &[u32],
    ) -> Option<Vec<QuotaTake<'_>>> {
        let Self { rules, keys, ends } = self;
        if costs.len() != rules.len() {
            return None;
        }
        let taking = || rules.iter().zip(costs).filter(|(_, cost)| **cost > 0);
        keys.clear();
        keys.shrink_to(KEYS_BYTES_KEPT);
        ends.clear();
        let mut long = LongValues::default();
        for (rule, _) in taking() {
            push_key(keys, rule, call, &mut long);
            ends.push(keys.len());
        }
        let starts = std::iter::once(&0).chain(ends.iter());
        let spans = starts.zip(ends.iter());
        let take = |((rule, cost), (start, end)): ((&Rule, &u32), (&usize, &usize))| QuotaTake {
            key: keys.get(*start..*end).unwrap_or_default(),
            cost: *cost,
            limit: rule.limit,
        };
        Some(taking().zip(spans).map(take).collect())
    }
}

/// Digests of the values of one call that are too long for a key, each made once.
#[derive(Default)]
struct LongValues(Vec<(Part, String)>);

impl LongValues {
    fn of(&mut self, part: Part, value: &str) -> &str {
        let known = self.0.iter().position(|(known, _)| *known == part);
        let index = known.unwrap_or_else(|| {
            let mut text = String::from("sha256:");
            for byte in Sha256::digest(value) {
                // Writing to a string does not fail.
                let _ = write!(text, "{byte:02x}");
            }
            self.0.push((part, text));
            self.0.len() - 1
        });
        self.0.get(index).map_or("", |(_, text)| text)
    }
}

/// The counter's key: the rule's name, and one piece per part. It must be the same for the same caller and never for
/// another one, so every value carries its length: no subject can be spelled so that it falls into another's counter.
fn push_key(keys: &mut String, rule: &Rule, call: &dyn CallView, long: &mut LongValues) {
    keys.push_str(&rule.name);
    let identity = call.identity();
    for part in &rule.parts {
        let mut push = |value: Option<&str>| push(keys, *part, value, long);
        match part {
            Part::Tenant => push(Some(call.tenant())),
            Part::Server => push(Some(call.server())),
            Part::Team => push(identity.and_then(|who| who.team.as_deref())),
            Part::Subject => push(identity.map(|who| who.subject.as_str())),
            Part::Session => push(call.session()),
            Part::Peer => push(Some(&call.peer())),
            Part::Method => push(call.method()),
            Part::Target => push(call.target().as_deref()),
        }
    }
}

fn push(keys: &mut String, part: Part, value: Option<&str>, long: &mut LongValues) {
    let Some(value) = value else {
        keys.push_str("/-");
        return;
    };
    keys.push('/');
    match u8::try_from(value.len()) {
        Ok(len @ 0..10) => keys.push(char::from(b'0' + len)),
        Ok(len @ 10..100) => {
            keys.push(char::from(b'0' + len / 10));
            keys.push(char::from(b'0' + len % 10));
        }
        // Writing to a string does not fail.
        Ok(_) | Err(_) => _ = write!(keys, "{}", value.len()),
    }
    keys.push(':');
    if value.len() <= VALUE_BYTES_MAX {
        keys.push_str(value);
    } else {
        keys.push_str(long.of(part, value));
    }
}

/// Whether a text has the form of a JWT: three parts of base64url with dots between. The last, the signature, may be
/// empty; such a token is refused for what it is.
pub(crate) fn is_jwt(token: &str) -> bool {
    let mut parts = 0;
    for part in token.split('.') {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        parts += 1;
        if (part.is_empty() && parts < 3) || !part.bytes().all(known) {
            return false;
        }
    }
    parts == 3
}

#[cfg(test)]
mod tests;
