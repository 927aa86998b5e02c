//! What stands behind the gateway: the demo server on every transport and in every era.

use portcullis_tests::mcp::Era;
use portcullis_tests::sse_front::SseFront;
use portcullis_tests::upstreams::{Upstream, example_command};
use serde_json::{Value, json};

/// A kind of upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// Streamable HTTP, replies in events, both eras.
    Http,
    /// The same with sessions alone.
    HttpSession,
    /// The same without sessions.
    HttpStateless,
    /// Streamable HTTP, replies in JSON, both eras, but no sessions.
    HttpJson,
    /// HTTP+SSE.
    Sse,
    /// A process for all callers, of the session era.
    Shared,
    /// A process for all callers, of the stateless era.
    SharedStateless,
    /// A process for each session, of the session era.
    Own,
    /// A process for each session, of the stateless era.
    OwnStateless,
}

/// One that runs.
pub struct Running {
    spec: Value,
    _served: Served,
}

/// What ends with it.
enum Served {
    Here { _process: Upstream },
    Front { _front: SseFront },
    ByTheGateway,
}

impl Running {
    /// Its definition in a tenant.
    pub fn spec(&self) -> Value {
        self.spec.clone()
    }
}

impl Behind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Http,
        Self::HttpSession,
        Self::HttpStateless,
        Self::HttpJson,
        Self::Sse,
        Self::Shared,
        Self::SharedStateless,
        Self::Own,
        Self::OwnStateless,
    ];

    /// Starts one, or leaves it to the gateway to do so.
    pub async fn start(self) -> Running {
        let flags: &[&str] = match self {
            Self::Http => &[],
            Self::HttpSession | Self::Shared | Self::Own | Self::Sse => &["--era", "session"],
            Self::HttpStateless | Self::SharedStateless | Self::OwnStateless => {
                &["--era", "stateless"]
            }
            Self::HttpJson => &["--json"],
        };
        match self {
            Self::Http | Self::HttpSession | Self::HttpStateless | Self::HttpJson => {
                let upstream = Upstream::example_with("up", flags).await;
                Running {
                    spec: upstream.spec(),
                    _served: Served::Here { _process: upstream },
                }
            }
            Self::Sse => {
                let front = SseFront::start().await;
                Running {
                    spec: json!({ "url": front.url(), "transport": "sse" }),
                    _served: Served::Front { _front: front },
                }
            }
            Self::Shared | Self::SharedStateless | Self::Own | Self::OwnStateless => {
                let mut spec = example_command("up", flags);
                if matches!(self, Self::Own | Self::OwnStateless) {
                    spec["process"] = json!("session");
                }
                Running {
                    spec,
                    _served: Served::ByTheGateway,
                }
            }
        }
    }

    /// A name for a tenant with such an upstream.
    pub fn tenant(self, topic: &str) -> String {
        format!("{topic}-{self:?}").to_lowercase()
    }

    /// The era that it is spoken to in, for a client of that one.
    pub fn spoken(self, era: Era) -> Era {
        match self {
            Self::Http | Self::HttpJson => era,
            Self::HttpSession | Self::Sse | Self::Shared | Self::Own => Era::Session,
            Self::HttpStateless | Self::SharedStateless | Self::OwnStateless => Era::Stateless,
        }
    }

    /// Whether a client of that era can be asked something. Without sessions it is asked in results; a reply in JSON has
    /// room for nothing else, and a process for all may ask nobody.
    pub fn asks(self, era: Era) -> bool {
        self.spoken(era) == Era::Stateless || !matches!(self, Self::HttpJson | Self::Shared)
    }

    /// Whether its log reaches a client of that era. Without a session there is no stream for what an upstream says to
    /// nobody in particular, unless the call is the only one that it can be about.
    pub fn logs(self, era: Era) -> bool {
        era == Era::Session
            || !matches!(
                self,
                Self::HttpSession | Self::Shared | Self::SharedStateless
            )
    }

    /// Whether a client of that era hears of what changes by its own calls. Replies in JSON leave no way in a session;
    /// over HTTP+SSE, who listens without a session has another process than who calls.
    pub fn pushes(self, era: Era) -> bool {
        match self {
            Self::HttpJson => era == Era::Stateless,
            Self::Sse => era == Era::Session,
            Self::Http
            | Self::HttpSession
            | Self::HttpStateless
            | Self::Shared
            | Self::SharedStateless
            | Self::Own
            | Self::OwnStateless => true,
        }
    }

    /// Whether the gateway hears of it when lists change. Where each session has a process of its own, what is listed comes
    /// from one that nobody calls.
    pub fn tells_of_lists(self) -> bool {
        !matches!(self, Self::Own | Self::OwnStateless | Self::Sse)
    }
}
