//! Which requests a grant covers, by what is written in them.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue, Method, Uri};
use portcullis_sandbox::HttpError;
use thiserror::Error;
use url::{Host, Url};

use crate::model::{HttpGrant, Network};

use super::address;

const HOSTS_MAX: usize = 64;
const URL_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 << 10;
/// The host's to write, or a connection's.
const RESERVED: [HeaderName; 9] = [
    CONNECTION,
    CONTENT_LENGTH,
    HOST,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What is wrong with a grant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidAllowance {
    /// No host.
    #[error("name the hosts that may be reached, 1 to {HOSTS_MAX}")]
    Hosts,
    /// One of the hosts.
    #[error("`{0}` is no host; write `host`, `host:port` or `*.domain`")]
    Host(String),
    /// One of the methods.
    #[error("`{0}` is no method that can be granted")]
    Method(String),
}

/// Hosts, ports, methods and networks.
pub(super) struct Allowed {
    rules: Vec<Rule>,
    methods: Vec<Method>,
    networks: Vec<Network>,
}

struct Rule {
    host: HostRule,
    /// None stands for the one of the scheme.
    port: Option<u16>,
}

enum HostRule {
    Exact(Host<String>),
    /// With the dot that it begins with.
    Below(String),
}

impl Allowed {
    pub(super) fn new(grant: &HttpGrant) -> Result<Self, InvalidAllowance> {
        if !(1..=HOSTS_MAX).contains(&grant.hosts.len()) {
            return Err(InvalidAllowance::Hosts);
        }
        let rules = grant.hosts.iter().map(|written| {
            Rule::parse(written).ok_or_else(|| InvalidAllowance::Host(written.clone()))
        });
        let methods = grant.methods.iter().map(|written| {
            let method = Method::from_bytes(written.as_bytes());
            let method = method.ok().filter(|method| *method != Method::CONNECT);
            method.ok_or_else(|| InvalidAllowance::Method(written.clone()))
        });
        let mut methods = methods.collect::<Result<Vec<_>, _>>()?;
        if methods.is_empty() {
            methods.push(Method::GET);
        }
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            methods,
            networks: grant.networks.clone(),
        })
    }

    /// Where a request goes, if it may.
    pub(super) fn uri(&self, method: &str, url: &str) -> Result<Uri, HttpError> {
        let invalid = |why: &str| HttpError::Invalid(why.to_owned());
        if url.len() > URL_BYTES_MAX {
            return Err(invalid("the URL is too long"));
        }
        let mut url = Url::parse(url).map_err(|err| HttpError::Invalid(err.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("the URL is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("the URL holds credentials; send them in a header"));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(invalid("the URL has no host"));
        };
        if !self.methods.iter().any(|granted| granted == method) {
            return Err(HttpError::Denied(format!(
                "the method {method:.20} is not granted"
            )));
        }
        let is_default = url.port().is_none();
        if !self
            .rules
            .iter()
            .any(|rule| rule.covers(&host, port, is_default))
        {
            return Err(HttpError::Denied(format!("{host}:{port} is not granted")));
        }
        // What is no name is never resolved.
        let written = match host {
            Host::Ipv4(ip) => Some(ip.into()),
            Host::Ipv6(ip) => Some(ip.into()),
            Host::Domain(_) => None,
        };
        if let Some(why) = written.and_then(|ip| address::refused(ip, &self.networks)) {
            return Err(HttpError::Denied(why));
        }
        url.set_fragment(None);
        let uri = url.as_str().parse();
        uri.map_err(|err: http::uri::InvalidUri| HttpError::Invalid(err.to_string()))
    }
}

impl Rule {
    fn parse(written: &str) -> Option<Self> {
        let (host, port) = match written.rsplit_once(':') {
            // Part of an address in brackets.
            Some((_, rest)) if rest.contains(']') => (written, None),
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (written, None),
        };
        let host = match host.strip_prefix("*.") {
            Some(domain) => match Host::parse(domain).ok()? {
                Host::Domain(domain) => HostRule::Below(format!(".{domain}")),
                Host::Ipv4(_) | Host::Ipv6(_) => return None,
            },
            None => HostRule::Exact(Host::parse(host).ok()?),
        };
        Some(Self { host, port })
    }

    fn covers(&self, host: &Host<&str>, port: u16, is_default: bool) -> bool {
        let is_port = match self.port {
            Some(granted) => granted == port,
            None => is_default,
        };
        is_port
            && match (&self.host, host) {
                (HostRule::Exact(granted), host) => granted == &host.to_owned(),
                (HostRule::Below(domain), Host::Domain(host)) => {
                    host.len() > domain.len() && host.ends_with(domain.as_str())
                }
                (HostRule::Below(_), Host::Ipv4(_) | Host::Ipv6(_)) => false,
            }
    }
}

/// The headers of a request, if they are a guest's to write.
pub(super) fn headers(
    written: &[(String, String)],
) -> Result<Vec<(HeaderName, HeaderValue)>, HttpError> {
    let bytes: usize = written
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if written.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        return Err(HttpError::TooLarge);
    }
    let headers = written.iter().map(|(name, value)| {
        let invalid = || HttpError::Invalid(format!("the header `{name:.64}` cannot be sent"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_no_name| invalid())?;
        let value = HeaderValue::from_str(value).map_err(|_no_value| invalid())?;
        match RESERVED.contains(&name) {
            true => Err(invalid()),
            false => Ok((name, value)),
        }
    });
    headers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(hosts: &[&str], methods: &[&str], networks: &[Network]) -> HttpGrant {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        HttpGrant {
            hosts: texts(hosts),
            methods: texts(methods),
            networks: networks.to_vec(),
            ..HttpGrant::default()
        }
    }

    #[test]
    fn only_what_is_granted_is_covered() {
        let hosts = [
            "pdp.example:8181",
            "*.api.example",
            "[2606::1]",
            "10.0.0.1:80",
        ];
        let allowed = Allowed::new(&grant(&hosts, &["GET", "POST"], &[])).unwrap();
        for (method, url, want) in [
            ("POST", "http://pdp.example:8181/v1/data?x=1#part", "ok"),
            ("GET", "http://PDP.example:8181/", "ok"),
            ("GET", "https://pdp.example:8181/", "ok"),
            ("GET", "https://a.api.example/", "ok"),
            ("GET", "http://a.b.api.example/", "ok"),
            ("GET", "https://[2606::1]/", "ok"),
            ("GET", "http://pdp.example/", "denied"),
            ("GET", "http://pdp.example:81/", "denied"),
            ("GET", "https://api.example/", "denied"),
            ("GET", "https://evilapi.example/", "denied"),
            ("GET", "https://a.api.example:8443/", "denied"),
            ("GET", "https://pdp.example.evil.example:8181/", "denied"),
            ("DELETE", "http://pdp.example:8181/", "denied"),
            ("get", "http://pdp.example:8181/", "denied"),
            // Granted by name, and of a network that is not.
            ("GET", "http://10.0.0.1/", "denied"),
            ("GET", "http://0x0a000001/", "denied"),
            ("GET", "http://user:pass@pdp.example:8181/", "invalid"),
            ("GET", "ftp://pdp.example:8181/", "invalid"),
            ("GET", "/v1/data", "invalid"),
            ("GET", "http://", "invalid"),
        ] {
            let outcome = match allowed.uri(method, url) {
                Ok(_) => "ok",
                Err(error) => super::super::label(&error),
            };
            assert_eq!(outcome, want, "{method} {url}");
        }
        let open = Allowed::new(&grant(&hosts, &[], &[Network::Private])).unwrap();
        assert!(open.uri("GET", "http://0x0a000001/").is_ok());
        assert!(open.uri("POST", "http://10.0.0.1/").is_err());
    }

    #[test]
    fn what_is_wrong_with_a_grant_is_said() {
        for (hosts, methods, want) in [
            (&[][..], &[][..], "name the hosts"),
            (&["a b"][..], &[][..], "`a b` is no host"),
            (&["*.10.0.0.1"][..], &[][..], "is no host"),
            (&["pdp:port"][..], &[][..], "`pdp:port` is no host"),
            (&["pdp"][..], &["A B"][..], "`A B` is no method"),
            (&["pdp"][..], &["CONNECT"][..], "`CONNECT` is no method"),
        ] {
            let said = Allowed::new(&grant(hosts, methods, &[])).err().unwrap();
            assert!(said.to_string().contains(want), "{said}");
        }
    }

    #[test]
    fn headers_of_the_connection_are_not_a_guests() {
        let one = |name: &str, value: &str| headers(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(one("X-Api-Key", "k").unwrap().len(), 1);
        for (name, value) in [
            ("Host", "other"),
            ("content-length", "1"),
            ("Transfer-Encoding", "chunked"),
            ("upgrade", "h2c"),
            ("a b", "x"),
            ("x", "a\r\nb: c"),
        ] {
            assert!(
                matches!(one(name, value), Err(HttpError::Invalid(_))),
                "{name}"
            );
        }
        let many = vec![("x".to_owned(), String::new()); HEADERS_MAX + 1];
        assert!(matches!(headers(&many), Err(HttpError::TooLarge)));
    }
}
