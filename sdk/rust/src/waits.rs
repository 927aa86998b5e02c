//! What a policy waits for. A plugin that uses any of it is of the waiting class: its hooks are set aside meanwhile.

#[cfg(target_arch = "wasm32")]
use crate::bindings::portcullis::policy as backend;
#[cfg(not(target_arch = "wasm32"))]
use crate::native::backend;

/// Grant `http`: requests to the hosts, ports and methods that the binding grants.
pub mod http {
    pub use crate::bindings::portcullis::policy::http::{Error, Request, Response};

    /// Sends a request and waits for the whole response. Redirects are not followed.
    ///
    /// # Errors
    ///
    /// There is no response, and why.
    pub fn send(request: &Request) -> Result<Response, Error> {
        super::backend::http::send(request)
    }

    impl Request {
        /// A request without headers and body.
        pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
            Self {
                method: method.into(),
                url: url.into(),
                headers: Vec::new(),
                body: None,
                timeout_ms: None,
            }
        }

        /// Adds a header.
        #[must_use]
        pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.headers.push((name.into(), value.into()));
            self
        }

        /// JSON text as its body.
        #[must_use]
        pub fn with_json(mut self, body: impl Into<String>) -> Self {
            self.body = Some(body.into().into_bytes());
            self.with_header("content-type", "application/json")
        }

        /// Gives up sooner than the grant does.
        #[must_use]
        pub fn with_timeout_ms(mut self, timeout_ms: u32) -> Self {
            self.timeout_ms = Some(timeout_ms);
            self
        }
    }

    impl Response {
        /// First value of a header; names are case-insensitive.
        pub fn header(&self, name: &str) -> Option<&str> {
            let mut headers = self.headers.iter();
            let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        }
    }
}

/// Grant `fs`: one folder of the gateway's. Paths are relative to it.
pub mod fs {
    pub use crate::bindings::portcullis::policy::fs::{Entry, Error};

    /// A whole file.
    ///
    /// # Errors
    ///
    /// It is not there, or may not be read.
    pub fn read(path: &str) -> Result<Vec<u8>, Error> {
        super::backend::fs::read(path)
    }

    /// Writes a whole file, in place of what was there; folders on the way are made.
    ///
    /// # Errors
    ///
    /// The folder is granted to be read, or holds as much as it may.
    pub fn write(path: &str, data: &[u8]) -> Result<(), Error> {
        super::backend::fs::write(path, data)
    }

    /// Removes a file, or an empty folder.
    ///
    /// # Errors
    ///
    /// As [`write`].
    pub fn remove(path: &str) -> Result<(), Error> {
        super::backend::fs::remove(path)
    }

    /// What is in a folder, by name; `.` is the granted folder itself.
    ///
    /// # Errors
    ///
    /// As [`read`].
    pub fn entries(path: &str) -> Result<Vec<Entry>, Error> {
        super::backend::fs::entries(path)
    }
}
