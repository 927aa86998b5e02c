//! What a hook sees of a message: [`Call`] and, on the way back, [`Reply`].
//!
//! In a component each method is one call into the host, answered from memory; natively it asks a
//! [`native`](crate::native) view. Nothing is cached here: ask once and keep the answer.

use serde::de::DeserializeOwned;

use crate::Identity;

#[cfg(target_arch = "wasm32")]
use crate::bindings::portcullis::policy::types::{Call as InnerCall, Reply as InnerReply};
#[cfg(not(target_arch = "wasm32"))]
type InnerCall = Box<dyn crate::native::CallView>;
#[cfg(not(target_arch = "wasm32"))]
type InnerReply = Box<dyn crate::native::ReplyView>;

/// One message on its way through the gateway.
#[repr(transparent)]
pub struct Call(pub(crate) InnerCall);

impl Call {
    /// The tenant whose gateway this is.
    pub fn tenant(&self) -> String {
        self.0.tenant()
    }

    /// The virtual server that the message came to.
    pub fn server(&self) -> String {
        self.0.server()
    }

    /// The JSON-RPC method, or none for a transport request that carries no message.
    pub fn method(&self) -> Option<String> {
        self.0.method()
    }

    /// Whether an upstream sends the message to the client, rather than the client to an upstream: a notification, or
    /// something that it asks.
    pub fn is_from_upstream(&self) -> bool {
        self.0.is_from_upstream()
    }

    /// The tool or prompt name, or the resource URI, that the message names.
    pub fn target(&self) -> Option<String> {
        self.0.target()
    }

    /// First value of an HTTP header; names are case-insensitive.
    pub fn header(&self, name: &str) -> Option<String> {
        self.0.header(name)
    }

    /// Client address, after trusted-proxy resolution.
    pub fn peer(&self) -> String {
        self.0.peer()
    }

    /// Who is calling, once the authenticators have run.
    pub fn identity(&self) -> Option<Identity> {
        self.0.identity()
    }

    /// The caller's subject: the identity without its team, roles, scopes and claims is a smaller copy.
    pub fn subject(&self) -> Option<String> {
        self.0.subject()
    }

    /// The caller's team.
    pub fn team(&self) -> Option<String> {
        self.0.team()
    }

    /// The MCP session, in the eras that have one.
    pub fn session(&self) -> Option<String> {
        self.0.session()
    }

    /// The arguments of the message as JSON text.
    pub fn arguments(&self) -> Option<String> {
        self.0.arguments()
    }

    /// One argument by JSON Pointer (RFC 6901), as JSON text: a string comes with its quotes.
    pub fn argument(&self, pointer: &str) -> Option<String> {
        self.0.argument(pointer)
    }

    /// One argument by JSON Pointer, read into a type; none when it is missing or of another shape.
    pub fn argument_as<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
        serde_json::from_str(&self.argument(pointer)?).ok()
    }

    /// The tool's definition as its upstream lists it, as JSON text.
    pub fn definition(&self) -> Option<String> {
        self.0.definition()
    }

    /// The name of an upstream among the candidates of `route`, by its place there.
    pub fn candidate(&self, index: u32) -> Option<String> {
        self.0.candidate(index)
    }

    /// One label of a candidate.
    pub fn candidate_label(&self, index: u32, label: &str) -> Option<String> {
        self.0.candidate_label(index, label)
    }

    /// Whether this message calls a tool.
    pub fn is_tool_call(&self) -> bool {
        self.method().as_deref() == Some("tools/call")
    }

    /// The token of `Authorization: Bearer …` (RFC 6750, section 2.1). The scheme's case does not matter.
    pub fn bearer_token(&self) -> Option<String> {
        let mut header = self.header("authorization")?;
        let (scheme, token) = header.trim_end().split_once(' ')?;
        let token_bytes = token.trim_start().len();
        if !scheme.eq_ignore_ascii_case("bearer") || token_bytes == 0 {
            return None;
        }
        header.truncate(header.trim_end().len());
        let start = header.len().checked_sub(token_bytes)?;
        Some(header.split_off(start))
    }
}

/// What came back from the upstream.
#[repr(transparent)]
pub struct Reply(pub(crate) InnerReply);

impl Reply {
    /// Whether the tool reports a failure of its own, or the upstream an error.
    pub fn is_error(&self) -> bool {
        self.0.is_error()
    }

    /// The size of the result's JSON text, without copying it.
    pub fn size_bytes(&self) -> u64 {
        self.0.size_bytes()
    }

    /// The JSON-RPC result as JSON text.
    pub fn json(&self) -> String {
        self.0.json()
    }

    /// One part of the result by JSON Pointer, as JSON text.
    pub fn get(&self, pointer: &str) -> Option<String> {
        self.0.get(pointer)
    }
}

#[cfg(target_arch = "wasm32")]
impl Call {
    /// As the bindings of the host's functions take it.
    pub(crate) fn raw(&self) -> &InnerCall {
        &self.0
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Call {
    /// As the native host's functions take it.
    pub(crate) fn raw(&self) -> &Self {
        self
    }

    /// A call that a native host answers.
    pub fn native(view: Box<dyn crate::native::CallView>) -> Self {
        Self(view)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Reply {
    /// A reply that a native host answers.
    pub fn native(view: Box<dyn crate::native::ReplyView>) -> Self {
        Self(view)
    }
}
