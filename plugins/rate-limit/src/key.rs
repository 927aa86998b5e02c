//! What a counter is kept apart by.
//!
//! A key must be the same for the same caller and never for another one, so every value carries its length: no
//! subject can be spelled so that it falls into another subject's counter.

use std::cell::OnceCell;
use std::fmt::Write;

use portcullis_sdk::{Call, Identity};
use serde::Deserialize;

/// One thing that a counter is kept apart by.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    Tenant,
    Server,
    Team,
    Subject,
    Session,
    Peer,
    Method,
    Tool,
}

/// What is known of a message, asked of the host when it is first needed, and once.
pub struct Facts<'a> {
    call: &'a Call,
    pub method: &'a str,
    target: OnceCell<Option<String>>,
    identity: OnceCell<Option<Identity>>,
}

impl<'a> Facts<'a> {
    pub fn new(call: &'a Call, method: &'a str) -> Self {
        Self {
            call,
            method,
            target: OnceCell::new(),
            identity: OnceCell::new(),
        }
    }

    /// The tool, prompt or resource.
    pub fn target(&self) -> Option<&str> {
        self.target.get_or_init(|| self.call.target()).as_deref()
    }

    fn identity(&self) -> Option<&Identity> {
        self.identity.get_or_init(|| self.call.identity()).as_ref()
    }

    /// The counter's key: the limit's name, and one piece per part.
    pub fn key(&self, name: &str, parts: &[Part]) -> String {
        let mut key = String::with_capacity(64);
        key.push_str(name);
        for part in parts {
            match part {
                Part::Tenant => push(&mut key, Some(&self.call.tenant())),
                Part::Server => push(&mut key, Some(&self.call.server())),
                Part::Team => push(
                    &mut key,
                    self.identity().and_then(|who| who.team.as_deref()),
                ),
                Part::Subject => push(&mut key, self.identity().map(|who| who.subject.as_str())),
                Part::Session => push(&mut key, self.call.session().as_deref()),
                Part::Peer => push(&mut key, Some(&self.call.peer())),
                Part::Method => push(&mut key, Some(self.method)),
                Part::Tool => push(&mut key, self.target()),
            }
        }
        key
    }
}

fn push(key: &mut String, value: Option<&str>) {
    let Some(value) = value else {
        key.push_str("/-");
        return;
    };
    key.push('/');
    // Writing to a string does not fail.
    let _ = write!(key, "{}:", value.len());
    key.push_str(value);
}
