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
    /// Whether an upstream sends it to the client, rather than the client to an upstream.
    fn is_from_upstream(&self) -> bool {
        false
    }
    /// Tool or prompt name, or resource URI.
    fn target(&self) -> Option<Cow<'_, str>>;
    /// First value of a header, by case-insensitive name.
    fn header(&self, name: &str) -> Option<&str>;
    /// The token of `Authorization: Bearer`.
    fn bearer(&self) -> Option<&str> {
        bearer_token(self.header("authorization")?)
    }
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
    /// The name of a candidate upstream, by its place among them.
    fn candidate(&self, index: usize) -> Option<&str>;
    /// A label of a candidate upstream.
    fn candidate_label(&self, index: usize, label: &str) -> Option<&str>;
}

/// The token in the value of an `Authorization` header (RFC 6750, section 2.1). The scheme's case does not matter.
#[must_use]
pub fn bearer_token(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim_end().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
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

#[cfg(test)]
mod tests {
    use super::bearer_token;

    #[test]
    fn bearer_tokens_are_found() {
        let cases = [
            ("Bearer abc", Some("abc")),
            ("bearer   abc  ", Some("abc")),
            ("BEARER a.b.c", Some("a.b.c")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("", None),
        ];
        for (header, want) in cases {
            assert_eq!(bearer_token(header), want, "{header}");
        }
    }
}
