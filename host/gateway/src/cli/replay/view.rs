//! A captured call, as a guest reads it.

use std::borrow::Cow;

use portcullis_protocol::splice;
use portcullis_sandbox::{CallView, Identity, ReplyView};
use serde_json::Value;

use crate::tenancy::Sample;

/// A captured call.
pub(super) struct Replayed {
    tenant: String,
    sample: Sample,
    identity: Option<Identity>,
    arguments: Option<String>,
}

impl Replayed {
    pub(super) fn of(tenant: &str, sample: &Sample) -> Self {
        let params = sample.params.as_ref();
        let arguments = params.and_then(|params| params.get("arguments"));
        Self {
            tenant: tenant.to_owned(),
            identity: sample.identity.clone().map(Identity::from),
            arguments: arguments.map(Value::to_string),
            sample: sample.clone(),
        }
    }
}

impl CallView for Replayed {
    fn tenant(&self) -> &str {
        &self.tenant
    }

    fn server(&self) -> &str {
        &self.sample.server
    }

    fn method(&self) -> Option<&str> {
        Some(&self.sample.method)
    }

    fn target(&self) -> Option<Cow<'_, str>> {
        let params = self.sample.params.as_ref()?;
        let named = ["/name", "/uri", "/ref/name", "/ref/uri"];
        let target = named
            .into_iter()
            .find_map(|pointer| params.pointer(pointer));
        target.and_then(Value::as_str).map(Cow::Borrowed)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let named = self.sample.headers.get(&name.to_ascii_lowercase());
        named.map(String::as_str)
    }

    fn peer(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.sample.peer)
    }

    fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    fn session(&self) -> Option<&str> {
        None
    }

    fn arguments(&self) -> Option<&str> {
        self.arguments.as_deref()
    }

    fn argument(&self, pointer: &str) -> Option<&str> {
        splice::get_pointer(self.arguments.as_deref()?, pointer)
    }

    fn definition(&self) -> Option<&str> {
        None
    }

    fn candidate(&self, _: usize) -> Option<&str> {
        None
    }

    fn candidate_label(&self, _: usize, _: &str) -> Option<&str> {
        None
    }
}

/// A captured result.
pub(super) struct ReplayedReply(String);

impl ReplayedReply {
    pub(super) fn new(json: String) -> Self {
        Self(json)
    }
}

impl ReplyView for ReplayedReply {
    fn is_error(&self) -> bool {
        splice::get_member(&self.0, "isError") == Some("true")
    }

    fn json(&self) -> &str {
        &self.0
    }

    fn get(&self, pointer: &str) -> Option<&str> {
        splice::get_pointer(&self.0, pointer)
    }
}
