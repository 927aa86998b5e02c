//! Where a request may come from: `Origin` and `Host` (MCP, Transports, "Security Warning": DNS rebinding).

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::refusal::{Refusal, code};
use crate::tenancy::host_name;

/// What the listener accepts besides loopback.
#[derive(Debug, Clone)]
pub struct Guard {
    origins: Vec<String>,
    is_loopback: bool,
}

impl Guard {
    /// For a listener at `listen` that web pages of `origins` may call.
    #[must_use]
    pub fn new(listen: SocketAddr, origins: Vec<String>) -> Self {
        Self {
            origins,
            is_loopback: listen.ip().is_loopback(),
        }
    }

    /// Checks both headers. `claimed` says whether a server has claimed a host name.
    ///
    /// # Errors
    /// 403.
    pub fn check(
        &self,
        headers: &HeaderMap,
        claimed: impl Fn(&str) -> bool,
    ) -> Result<(), Refusal> {
        let forbidden = |message: &'static str| {
            Refusal::new(StatusCode::FORBIDDEN, code::FORBIDDEN, "forbidden", message)
        };
        if let Some(origin) = headers.get(ORIGIN)
            && !self.accepts_origin(origin)
        {
            return Err(forbidden(
                "this origin may not call the gateway; its operator can add it to `allowed_origins`",
            ));
        }
        if self.is_loopback
            && let Some(host) = headers.get(HOST)
        {
            let host = host.to_str().unwrap_or_default();
            if !is_loopback_name(host_name(host)) && !claimed(host) {
                return Err(forbidden(
                    "this host name is not served on a loopback listener; use 127.0.0.1, or give a server this host",
                ));
            }
        }
        Ok(())
    }

    /// Whether pages of this origin may call.
    #[must_use]
    pub fn accepts_origin(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let local = origin
            .split_once("://")
            .is_some_and(|(_, authority)| is_loopback_name(host_name(authority)));
        local
            || self
                .origins
                .iter()
                .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }
}

fn is_loopback_name(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_origins_and_rebound_hosts_are_refused() {
        let guard = Guard::new(
            "127.0.0.1:4444".parse().unwrap(),
            vec!["https://app.example".into()],
        );
        let cases = [
            (None, Some("127.0.0.1:4444"), true),
            (None, Some("localhost"), true),
            (None, Some("[::1]:4444"), true),
            (None, Some("evil.example"), false),
            (None, Some("claimed.example:80"), true),
            (Some("http://localhost:3000"), Some("localhost"), true),
            (Some("https://app.example"), Some("localhost"), true),
            (Some("https://evil.example"), Some("localhost"), false),
            (Some("null"), Some("localhost"), false),
            (
                Some("http://localhost.evil.example"),
                Some("localhost"),
                false,
            ),
        ];
        for (origin, host, want) in cases {
            let mut headers = HeaderMap::new();
            origin.map(|origin| headers.insert(ORIGIN, HeaderValue::from_static(origin)));
            host.map(|host| headers.insert(HOST, HeaderValue::from_static(host)));
            let claimed = |host: &str| host_name(host) == "claimed.example";
            assert_eq!(
                guard.check(&headers, claimed).is_ok(),
                want,
                "{origin:?} {host:?}"
            );
        }
    }
}
