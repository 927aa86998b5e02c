//! The protocol's revisions, and one table of what differs between them.
//!
//! Everything else in the gateway asks [`Revision::rules`]; nothing compares dates. A new revision is a new variant
//! and a new row.

use std::fmt;

/// How a client and a server keep in touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// `initialize` opens a session that later messages belong to (revisions up to 2025-11-25).
    Session,
    /// Every request stands alone and says in `_meta` who sends it (2026-07-28).
    Stateless,
}

/// A published revision of the protocol, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// 2024-11-05: HTTP+SSE.
    V2024_11_05,
    /// 2025-03-26: Streamable HTTP, batches.
    V2025_03_26,
    /// 2025-06-18: the version header; no batches.
    V2025_06_18,
    /// 2025-11-25: resumable streams are primed.
    V2025_11_25,
    /// 2026-07-28: stateless.
    V2026_07_28,
}

/// What a revision asks for. Booleans read as sentences: "in this revision, batches are allowed".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The revision's name on the wire.
    pub name: &'static str,
    /// How its messages belong together.
    pub era: Era,
    /// A body may be a JSON array of messages.
    pub batches: bool,
    /// Spoken over Streamable HTTP; otherwise over HTTP+SSE.
    pub streamable_http: bool,
    /// The client sends `MCP-Protocol-Version` once it knows the version.
    pub version_header: bool,
    /// Requests without `MCP-Protocol-Version` are refused.
    pub version_header_required: bool,
    /// `Mcp-Method` and `Mcp-Name` mirror the body.
    pub routing_headers: bool,
    /// GET opens a stream for what belongs to no request.
    pub get_stream: bool,
    /// Streams begin with an event that has an id and no data, and say when to retry.
    pub primed_streams: bool,
    /// A reader may resume a stream with `Last-Event-ID`.
    pub resumable: bool,
    /// A closed connection cancels the request that it carried.
    pub disconnect_cancels: bool,
    /// Servers send requests of their own (sampling, elicitation, roots).
    pub server_requests: bool,
    /// Servers ask for input in a result, and the client repeats its request.
    pub multi_round_trip: bool,
    /// Results carry `resultType`.
    pub result_type: bool,
    /// Results that may be cached carry `ttlMs` and `cacheScope`.
    pub cache_hints: bool,
    /// The code for a resource that does not exist.
    pub resource_not_found: i32,
}

/// What every session-era Streamable HTTP revision has in common.
const SESSION: Rules = Rules {
    name: "",
    era: Era::Session,
    batches: false,
    streamable_http: true,
    version_header: true,
    version_header_required: false,
    routing_headers: false,
    get_stream: true,
    primed_streams: false,
    resumable: true,
    disconnect_cancels: false,
    server_requests: true,
    multi_round_trip: false,
    result_type: false,
    cache_hints: false,
    resource_not_found: crate::error::RESOURCE_NOT_FOUND,
};

/// The table, oldest first.
const TABLE: [(Revision, Rules); 5] = [
    (
        Revision::V2024_11_05,
        Rules {
            name: "2024-11-05",
            batches: true,
            streamable_http: false,
            version_header: false,
            get_stream: false,
            resumable: false,
            ..SESSION
        },
    ),
    (
        Revision::V2025_03_26,
        Rules {
            name: "2025-03-26",
            batches: true,
            version_header: false,
            ..SESSION
        },
    ),
    (
        Revision::V2025_06_18,
        Rules {
            name: "2025-06-18",
            ..SESSION
        },
    ),
    (
        Revision::V2025_11_25,
        Rules {
            name: "2025-11-25",
            primed_streams: true,
            ..SESSION
        },
    ),
    (
        Revision::V2026_07_28,
        Rules {
            name: "2026-07-28",
            era: Era::Stateless,
            version_header_required: true,
            routing_headers: true,
            get_stream: false,
            resumable: false,
            disconnect_cancels: true,
            server_requests: false,
            multi_round_trip: true,
            result_type: true,
            cache_hints: true,
            resource_not_found: crate::error::INVALID_PARAMS,
            ..SESSION
        },
    ),
];

impl Revision {
    /// Every revision, newest first: the order in which they are offered.
    pub const ALL: [Revision; 5] = [
        Revision::V2026_07_28,
        Revision::V2025_11_25,
        Revision::V2025_06_18,
        Revision::V2025_03_26,
        Revision::V2024_11_05,
    ];

    /// What a request means that names no revision, where naming one was not yet asked for.
    pub const UNNAMED: Revision = Revision::V2025_03_26;

    /// What this revision asks for.
    #[must_use]
    pub const fn rules(self) -> &'static Rules {
        let [
            v2024_11_05,
            v2025_03_26,
            v2025_06_18,
            v2025_11_25,
            v2026_07_28,
        ] = &TABLE;
        match self {
            Revision::V2024_11_05 => &v2024_11_05.1,
            Revision::V2025_03_26 => &v2025_03_26.1,
            Revision::V2025_06_18 => &v2025_06_18.1,
            Revision::V2025_11_25 => &v2025_11_25.1,
            Revision::V2026_07_28 => &v2026_07_28.1,
        }
    }

    /// The revision with that name on the wire.
    #[must_use]
    pub fn parse(name: &str) -> Option<Revision> {
        Revision::ALL
            .into_iter()
            .find(|revision| revision.as_str() == name)
    }

    /// The revision's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.rules().name
    }

    /// The era that the revision belongs to.
    #[must_use]
    pub const fn era(self) -> Era {
        self.rules().era
    }

    /// The newest revision.
    #[must_use]
    pub const fn newest() -> Revision {
        Revision::V2026_07_28
    }

    /// The newest revision of an era.
    #[must_use]
    pub const fn newest_of(era: Era) -> Revision {
        match era {
            Era::Session => Revision::V2025_11_25,
            Era::Stateless => Revision::V2026_07_28,
        }
    }

    /// The revisions of an era, newest first.
    pub fn all_of(era: Era) -> impl Iterator<Item = Revision> {
        Revision::ALL
            .into_iter()
            .filter(move |revision| revision.era() == era)
    }

    /// The newest revision that a peer's list names, where it names one at all.
    pub fn newest_in<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Revision> {
        names.into_iter().filter_map(Revision::parse).max()
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The revision that `initialize` settles on: the client's own if it is one of the session era, else the newest such.
///
/// `initialize` exists in the session era alone, so it never settles on a stateless revision.
/// (MCP 2025-11-25, Lifecycle, "Version Negotiation".)
#[must_use]
pub fn negotiate(client_version: &str) -> Revision {
    Revision::parse(client_version)
        .filter(|revision| revision.era() == Era::Session)
        .unwrap_or(Revision::newest_of(Era::Session))
}

/// Methods that a stateless client may call on a server; any other is unknown there.
const STATELESS_METHODS: &[&str] = &[
    "tools/call",
    "tools/list",
    "server/discover",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
    "subscriptions/listen",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
];

/// Methods that a session-era client may call on a server.
const SESSION_METHODS: &[&str] = &[
    "tools/call",
    "tools/list",
    "initialize",
    "ping",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
    "logging/setLevel",
    "tasks/get",
    "tasks/result",
    "tasks/list",
    "tasks/cancel",
];

/// The methods of the requests that a client of an era may send to a server.
#[must_use]
pub const fn methods(era: Era) -> &'static [&'static str] {
    match era {
        Era::Session => SESSION_METHODS,
        Era::Stateless => STATELESS_METHODS,
    }
}

/// Whether a request with this method exists in an era, from a client to a server.
#[must_use]
pub fn knows_method(era: Era, method: &str) -> bool {
    methods(era).contains(&method)
}

/// Whether a method's result carries `ttlMs` and `cacheScope` in revisions that have cache hints.
#[must_use]
pub fn is_cacheable(method: &str) -> bool {
    matches!(
        method,
        "server/discover"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "resources/read"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_step_with_the_enum() {
        for (revision, rules) in &TABLE {
            assert_eq!(revision.rules(), rules);
            assert_eq!(Revision::parse(rules.name), Some(*revision));
            assert_eq!(revision.to_string(), rules.name);
        }
        assert_eq!(TABLE.len(), Revision::ALL.len());
        assert!(Revision::ALL.windows(2).all(|pair| pair[0] > pair[1]));
        assert_eq!(Revision::parse("2025-06-17"), None);
    }

    #[test]
    fn the_newest_is_the_newest() {
        assert_eq!(Revision::ALL.into_iter().max(), Some(Revision::newest()));
        for era in [Era::Session, Era::Stateless] {
            assert_eq!(Revision::all_of(era).next(), Some(Revision::newest_of(era)));
        }
        assert_eq!(
            Revision::newest_in(["2030-01-01", "2025-03-26", "2025-06-18"]),
            Some(Revision::V2025_06_18)
        );
        assert_eq!(Revision::newest_in(["next"]), None);
    }

    #[test]
    fn initialize_settles_on_a_session_revision() {
        for (asked, settled) in [
            ("2024-11-05", Revision::V2024_11_05),
            ("2025-03-26", Revision::V2025_03_26),
            ("2025-06-18", Revision::V2025_06_18),
            ("2025-11-25", Revision::V2025_11_25),
            ("2026-07-28", Revision::V2025_11_25),
            ("2031-01-01", Revision::V2025_11_25),
            ("", Revision::V2025_11_25),
        ] {
            assert_eq!(negotiate(asked), settled, "{asked}");
        }
    }

    #[test]
    fn removed_methods_are_unknown_to_the_stateless_era() {
        for method in [
            "initialize",
            "ping",
            "logging/setLevel",
            "resources/subscribe",
            "resources/unsubscribe",
        ] {
            assert!(knows_method(Era::Session, method), "{method}");
            assert!(!knows_method(Era::Stateless, method), "{method}");
        }
        assert!(!knows_method(Era::Session, "server/discover"));
        assert!(!knows_method(Era::Stateless, "nope"));
    }
}
