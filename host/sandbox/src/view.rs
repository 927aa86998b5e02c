//! What a guest can read of the message it judges. The gateway implements these over its own call.

use std::borrow::Cow;

use crate::Identity;

/// One message on its way through the gateway. Getters are lazy: what no guest asks for is never made.
pub trait CallView: Send + Sync {
    /// The tenant's name.
    fn tenant(&self) -> &str;
    /// The server that the client connected to.
    fn server(&self) -> &str;
    /// JSON-RPC method, or none for a transport request that carries no message.
    fn method(&self) -> Option<&str>;
    /// Tool or prompt name, or resource URI.
    fn target(&self) -> Option<Cow<'_, str>>;
    /// First value of a header, by case-insensitive name.
    fn header(&self, name: &str) -> Option<&str>;
    /// Client address.
    fn peer(&self) -> Cow<'_, str>;
    /// Set once the authenticators have run.
    fn identity(&self) -> Option<&Identity>;
    /// The gateway's session id.
    fn session(&self) -> Option<&str>;
    /// Arguments as JSON text.
    fn arguments(&self) -> Option<&str>;
    /// One argument by JSON Pointer (RFC 6901), as JSON text.
    fn argument(&self, pointer: &str) -> Option<&str>;
    /// The tool's definition as its upstream lists it, as JSON text.
    fn definition(&self) -> Option<&str>;
}

/// What came back from the upstream.
pub trait ReplyView: Send + Sync {
    /// A JSON-RPC error, or a result with `isError: true`.
    fn is_error(&self) -> bool;
    /// The JSON-RPC result as JSON text.
    fn json(&self) -> &str;
    /// One part of the result by JSON Pointer, as JSON text.
    fn get(&self, pointer: &str) -> Option<&str>;
}
