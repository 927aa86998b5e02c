//! Messages and replies, built field by field.

use serde_json::Value;

use crate::Identity;
use crate::native::{CallView, ReplyView};

/// A message to be. What is not set has a plausible value: tenant `acme`, server `main`.
#[derive(Clone, Debug)]
pub struct Call {
    tenant: String,
    server: String,
    method: Option<String>,
    target: Option<String>,
    headers: Vec<(String, String)>,
    peer: String,
    is_from_upstream: bool,
    identity: Option<Identity>,
    session: Option<String>,
    arguments: Option<String>,
    definition: Option<String>,
    candidates: Vec<(String, Vec<(String, String)>)>,
}

impl Call {
    /// A message of a JSON-RPC method.
    pub fn message(method: &str) -> Self {
        Self {
            method: Some(method.to_owned()),
            ..Self::transport()
        }
    }

    /// `tools/call` of a tool.
    pub fn tool(name: &str) -> Self {
        Self::message("tools/call").target(name)
    }

    /// A transport request that carries no message.
    pub fn transport() -> Self {
        Self {
            tenant: "acme".to_owned(),
            server: "main".to_owned(),
            method: None,
            target: None,
            headers: Vec::new(),
            peer: "192.0.2.1".to_owned(),
            is_from_upstream: false,
            identity: None,
            session: None,
            arguments: None,
            definition: None,
            candidates: Vec::new(),
        }
    }

    /// Sets the tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.tenant = tenant.to_owned();
        self
    }

    /// Sets the virtual server.
    #[must_use]
    pub fn server(mut self, server: &str) -> Self {
        self.server = server.to_owned();
        self
    }

    /// Makes an upstream the sender, and the client the receiver.
    #[must_use]
    pub fn sent_by_upstream(mut self) -> Self {
        self.is_from_upstream = true;
        self
    }

    /// Sets the tool, prompt or resource.
    #[must_use]
    pub fn target(mut self, target: &str) -> Self {
        self.target = Some(target.to_owned());
        self
    }

    /// Adds an HTTP header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the client's address.
    #[must_use]
    pub fn peer(mut self, peer: &str) -> Self {
        self.peer = peer.to_owned();
        self
    }

    /// Sets who is calling.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Sets the session.
    #[must_use]
    pub fn session(mut self, session: &str) -> Self {
        self.session = Some(session.to_owned());
        self
    }

    /// Sets the arguments, JSON text.
    #[must_use]
    pub fn arguments(mut self, json: &str) -> Self {
        self.arguments = Some(json.to_owned());
        self
    }

    /// Sets the tool's definition, JSON text.
    #[must_use]
    pub fn definition(mut self, json: &str) -> Self {
        self.definition = Some(json.to_owned());
        self
    }

    /// Adds the name and the labels of a candidate for `route`.
    #[must_use]
    pub fn candidate(mut self, name: &str, labels: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let labels = labels.iter().map(owned).collect();
        self.candidates.push((name.to_owned(), labels));
        self
    }

    /// The message as a policy sees it.
    pub fn build(self) -> crate::Call {
        crate::Call::native(Box::new(self))
    }
}

impl CallView for Call {
    fn tenant(&self) -> String {
        self.tenant.clone()
    }

    fn server(&self) -> String {
        self.server.clone()
    }

    fn method(&self) -> Option<String> {
        self.method.clone()
    }

    fn is_from_upstream(&self) -> bool {
        self.is_from_upstream
    }

    fn target(&self) -> Option<String> {
        self.target.clone()
    }

    fn header(&self, name: &str) -> Option<String> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value.clone())
    }

    fn peer(&self) -> String {
        self.peer.clone()
    }

    fn identity(&self) -> Option<Identity> {
        self.identity.clone()
    }

    fn session(&self) -> Option<String> {
        self.session.clone()
    }

    fn arguments(&self) -> Option<String> {
        self.arguments.clone()
    }

    fn argument(&self, pointer: &str) -> Option<String> {
        part(self.arguments.as_deref()?, pointer)
    }

    fn definition(&self) -> Option<String> {
        self.definition.clone()
    }

    fn candidate(&self, index: u32) -> Option<String> {
        let (name, _) = self.candidates.get(index as usize)?;
        Some(name.clone())
    }

    fn candidate_label(&self, index: u32, label: &str) -> Option<String> {
        let (_, labels) = self.candidates.get(index as usize)?;
        let (_, value) = labels.iter().find(|(name, _)| name == label)?;
        Some(value.clone())
    }
}

/// A successful result, JSON text; it is an error when its `isError` is true.
pub fn reply(json: &str) -> crate::Reply {
    crate::Reply::native(Box::new(Fake {
        json: json.to_owned(),
    }))
}

struct Fake {
    json: String,
}

impl ReplyView for Fake {
    fn is_error(&self) -> bool {
        part(&self.json, "/isError").as_deref() == Some("true")
    }

    fn size_bytes(&self) -> u64 {
        self.json.len() as u64
    }

    fn json(&self) -> String {
        self.json.clone()
    }

    fn get(&self, pointer: &str) -> Option<String> {
        part(&self.json, pointer)
    }
}

fn part(json: &str, pointer: &str) -> Option<String> {
    let value: Value = serde_json::from_str(json).ok()?;
    value.pointer(pointer).map(Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let call = Call::message("ping")
                .header("Authorization", header)
                .build();
            assert_eq!(call.bearer_token().as_deref(), want, "{header}");
        }
        assert_eq!(Call::message("ping").build().bearer_token(), None);
    }

    #[test]
    fn parts_are_read_by_pointer() {
        let call = Call::tool("t")
            .arguments(r#"{"a": {"b": [1, "x"]}}"#)
            .build();
        assert_eq!(call.argument("/a/b/0").as_deref(), Some("1"));
        assert_eq!(call.argument_as::<String>("/a/b/1").as_deref(), Some("x"));
        assert_eq!(call.argument_as::<u8>("/a/b/1"), None);
        assert_eq!(call.argument("/nothing"), None);
        let back = reply(r#"{"isError": true, "content": []}"#);
        assert!(back.is_error());
        assert_eq!(back.get("/content").as_deref(), Some("[]"));
        assert_eq!(back.size_bytes(), 32);
    }
}
