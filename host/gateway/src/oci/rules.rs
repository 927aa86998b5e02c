//! What may be asked on behalf of one registry: where, by which scheme, at which addresses, as whom.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::{Host, Url};

use crate::config::{Login, RegistrySettings};

use super::PullError;
use super::address::Reach;

/// As much of a URL as errors show.
const URL_LEN_SHOWN: usize = 300;

/// The rules of one registry.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    registry: &'a str,
    settings: Option<&'a RegistrySettings>,
}

impl<'a> Rules<'a> {
    /// What the settings say of a registry, or the strictest there is.
    pub(super) fn of(registry: &'a str, settings: &'a [RegistrySettings]) -> Self {
        Self {
            registry,
            settings: settings.iter().find(|settings| settings.host == registry),
        }
    }

    /// The registry's own URL.
    pub(super) fn base(&self) -> String {
        let scheme = if self.is_plain() { "http" } else { "https" };
        format!("{scheme}://{}", self.registry)
    }

    /// Which addresses its hosts may be at.
    pub(super) fn reach(&self) -> Reach {
        match self.settings {
            Some(settings) if settings.private_addresses => Reach::Anywhere,
            Some(_) | None => Reach::Public,
        }
    }

    /// A URL that may be asked, given by `from`.
    pub(super) fn check(&self, url: &Url, from: &Url) -> Result<(), PullError> {
        let is_scheme = match url.scheme() {
            "https" => true,
            "http" => self.is_plain(),
            _ => false,
        };
        if !is_scheme || !url.username().is_empty() || url.password().is_some() {
            let (from, to) = (shown(from), shown(url));
            return Err(PullError::OtherScheme { from, to });
        }
        let mut allowed = self
            .settings
            .iter()
            .flat_map(|settings| &settings.other_hosts);
        if !is_at(url, self.registry) && !allowed.any(|host| is_at(url, host)) {
            let (from, to) = (shown(from), authority(url));
            return Err(PullError::OtherHost { from, to });
        }
        // Names are looked at when they are resolved.
        let address = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        Ok(self.reach().check(self.registry, address)?)
    }

    /// Who the gateway is at the registry, for messages.
    pub(super) fn who(&self) -> String {
        self.login().map_or_else(
            || "anonymous".to_owned(),
            |login| format!("`{}`", login.username),
        )
    }

    /// HTTP Basic (RFC 7617), where there is somebody to be.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let Login { username, password } = self.login()?;
        let encoded = STANDARD.encode(format!("{username}:{}", password.expose()));
        let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn login(&self) -> Option<&Login> {
        self.settings.and_then(|settings| settings.login.as_ref())
    }

    fn is_plain(&self) -> bool {
        self.settings.is_some_and(|settings| settings.plain_http)
    }
}

/// Whether a URL is at this host and port.
fn is_at(url: &Url, host: &str) -> bool {
    let other = Url::parse(&format!("{}://{host}/", url.scheme())).ok();
    other.is_some_and(|other| {
        other.host() == url.host() && other.port_or_known_default() == url.port_or_known_default()
    })
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A URL without what may be a secret of it.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Neither can fail for a URL with a host, and one without holds neither.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.as_str().chars().take(URL_LEN_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use crate::model::Secret;

    use super::*;

    fn settings(host: &str, plain_http: bool) -> RegistrySettings {
        RegistrySettings {
            host: host.to_owned(),
            login: Some(Login {
                username: "me".to_owned(),
                password: Secret::new("secret"),
            }),
            plain_http,
            private_addresses: plain_http,
            other_hosts: vec!["auth.example".to_owned(), "blobs.example:8443".to_owned()],
        }
    }

    #[test]
    fn only_what_the_operator_named_is_asked() {
        let known = [
            settings("r.example", false),
            settings("127.0.0.1:5000", true),
        ];
        for (registry, url, asked) in [
            ("r.example", "https://r.example/v2/", true),
            ("r.example", "https://r.example:443/v2/", true),
            ("r.example", "https://auth.example/token?a=b", true),
            ("r.example", "https://blobs.example:8443/x", true),
            ("r.example", "https://blobs.example/x", false),
            ("r.example", "https://r.example:8443/x", false),
            ("r.example", "http://r.example/v2/", false),
            ("r.example", "https://me:pw@r.example/v2/", false),
            ("r.example", "https://r.example.evil/v2/", false),
            ("r.example", "file:///etc/passwd", false),
            ("127.0.0.1:5000", "http://127.0.0.1:5000/v2/", true),
            ("127.0.0.1:5000", "http://127.0.0.1:5001/v2/", false),
            ("127.0.0.1:5000", "http://169.254.169.254/latest", false),
            ("unknown.example", "https://unknown.example/v2/", true),
            ("unknown.example", "https://auth.example/token", false),
            ("unknown.example", "http://unknown.example/v2/", false),
            ("10.0.0.1", "https://10.0.0.1/v2/", false),
            ("[::1]:5000", "https://[::1]:5000/v2/", false),
            ("8.8.8.8", "https://8.8.8.8/v2/", true),
        ] {
            let rules = Rules::of(registry, &known);
            let url = Url::parse(url).unwrap();
            let checked = rules.check(&url, &url);
            assert_eq!(checked.is_ok(), asked, "{registry} {url}: {checked:?}");
        }
    }

    #[test]
    fn a_login_belongs_to_its_registry_and_is_not_shown() {
        let known = [settings("r.example", false)];
        let rules = Rules::of("r.example", &known);
        assert_eq!(rules.who(), "`me`");
        let basic = rules.basic().unwrap();
        assert_eq!(basic.to_str().ok(), Some("Basic bWU6c2VjcmV0"));
        let shown = format!("{rules:?} {basic:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("bWU6"),
            "{shown}"
        );
        let stranger = Rules::of("other.example", &known);
        assert_eq!(
            (stranger.who(), stranger.basic()),
            ("anonymous".to_owned(), None)
        );
        let url = Url::parse("https://a:b@r.example/x?token=t#f").unwrap();
        assert_eq!(super::shown(&url), "https://r.example/x");
    }
}
