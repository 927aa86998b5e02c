//! HTTP answers, and the texts of them that snapshots hold.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// Headers that are part of what a caller is told.
const SHOWN: [&str; 4] = ["www-authenticate", "retry-after", "allow", "etag"];

/// A whole HTTP answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub text: String,
}

impl Answer {
    /// Sends a request and reads its answer to the end.
    ///
    /// # Panics
    /// When there is no whole answer.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("no answer: {error:?}"));
        Self::read(response).await
    }

    /// Reads a response to its end.
    ///
    /// # Panics
    /// When it breaks off.
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response
            .text()
            .await
            .unwrap_or_else(|error| panic!("the answer broke off: {error:?}"));
        Self {
            status,
            headers,
            text,
        }
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a success; null when it is empty.
    ///
    /// # Panics
    /// For any other status.
    #[must_use]
    #[track_caller]
    pub fn body(&self) -> Value {
        assert!((200..300).contains(&self.status), "{}", self.shown());
        if self.text.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// As [`Answer::body`], where success is all that matters.
    ///
    /// # Panics
    /// As [`Answer::body`].
    #[track_caller]
    #[allow(
        clippy::must_use_candidate,
        reason = "most callers only want the assertion"
    )]
    pub fn ok(&self) -> Value {
        self.body()
    }

    /// Status, headers that matter, and body: what a caller is told.
    #[must_use]
    pub fn shown(&self) -> String {
        let headers = SHOWN
            .iter()
            .filter_map(|name| self.header(name).map(|value| format!("{name}: {value}\n")));
        format!(
            "{}\n{}{}",
            self.status,
            headers.collect::<String>(),
            self.text
        )
    }
}

/// Replaces what differs from run to run.
#[must_use]
pub fn redact(text: &str, changing: &[(&str, &str)]) -> String {
    changing
        .iter()
        .fold(text.to_owned(), |text, (value, name)| {
            text.replace(value, name)
        })
}

/// Titled texts, one below the other: one snapshot for a table of cases.
#[must_use]
pub fn listing(cases: &[(&str, String)]) -> String {
    let shown = cases.iter().map(|(title, text)| {
        let indented: Vec<String> = text
            .trim_end()
            .lines()
            .map(|line| format!("    {line}"))
            .collect();
        format!("{title}\n{}", indented.join("\n"))
    });
    shown.collect::<Vec<_>>().join("\n")
}
