//! The part of the settings that is about where plugins come from: whose signatures count, and which registries.

use serde::Serialize;
use url::{Host, Url};

use crate::config::raw::{RawPlugins, RawRegistry};
use crate::model::{PublicKey, Secret};

use super::{InvalidSetting, invalid};

const KEYS_MAX: usize = 100;
const REGISTRIES_MAX: usize = 100;
const OTHER_HOSTS_MAX: usize = 16;

/// Where plugins come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PluginSettings {
    /// Every plugin of every chain must be signed by one of `trusted_keys`.
    pub require_signature: bool,
    /// Keys whose signatures count for every tenant.
    pub trusted_keys: Vec<PublicKey>,
    /// Registries that need a word: a name and password, plain http, private addresses, other hosts.
    pub registries: Vec<RegistrySettings>,
}

/// How a registry is talked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistrySettings {
    /// Host, and port where it is not the usual one, as references name it.
    pub host: String,
    /// Who the gateway is there; none for anonymous.
    pub login: Option<Login>,
    /// Talk to it in plain http; what it says could be read and changed on the way, but for what the digest holds fast.
    pub plain_http: bool,
    /// It and its `other_hosts` may be at private addresses.
    pub private_addresses: bool,
    /// Other hosts that it may send the gateway to, for tokens and for bytes.
    pub other_hosts: Vec<String>,
}

/// Who the gateway is at a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Login {
    /// Its name.
    pub username: String,
    /// Its password, or token.
    pub password: Secret,
}

impl TryFrom<RawPlugins> for PluginSettings {
    type Error = InvalidSetting;

    fn try_from(raw: RawPlugins) -> Result<Self, InvalidSetting> {
        let trusted_keys = raw.trusted_keys.unwrap_or_default();
        at_most("plugins.trusted_keys", trusted_keys.len(), KEYS_MAX)?;
        let require_signature = raw.require_signature.unwrap_or_default();
        if require_signature && trusted_keys.is_empty() {
            let message =
                "nothing could be signed by a trusted key: name at least one in trusted_keys";
            return Err(invalid("plugins.require_signature", message.to_owned()));
        }
        let registries = raw.registries.unwrap_or_default();
        at_most("plugins.registries", registries.len(), REGISTRIES_MAX)?;
        let registries = registries
            .into_iter()
            .enumerate()
            .map(|(at, raw)| registry(&format!("plugins.registries[{at}]"), raw))
            .collect::<Result<Vec<_>, _>>()?;
        for (at, one) in registries.iter().enumerate() {
            if registries
                .iter()
                .take(at)
                .any(|other| other.host == one.host)
            {
                let key = format!("plugins.registries[{at}].host");
                return Err(invalid(&key, format!("`{}` is given twice", one.host)));
            }
        }
        Ok(Self {
            require_signature,
            trusted_keys,
            registries,
        })
    }
}

fn registry(key: &str, raw: RawRegistry) -> Result<RegistrySettings, InvalidSetting> {
    let host = host(&format!("{key}.host"), &raw.host)?;
    // Whoever writes an address of this machine means this machine.
    let is_local = is_loopback(&host);
    let login = match (raw.username, raw.password) {
        (Some(username), Some(password)) => Some(Login { username, password }),
        (None, None) => None,
        (Some(_), None) => return Err(invalid(key, "`username` needs `password`".to_owned())),
        (None, Some(_)) => return Err(invalid(key, "`password` needs `username`".to_owned())),
    };
    let other_hosts = raw.other_hosts.unwrap_or_default();
    at_most(
        &format!("{key}.other_hosts"),
        other_hosts.len(),
        OTHER_HOSTS_MAX,
    )?;
    Ok(RegistrySettings {
        host,
        login,
        plain_http: raw.plain_http.unwrap_or(is_local),
        private_addresses: raw.private_addresses.unwrap_or(is_local),
        other_hosts: other_hosts
            .iter()
            .map(|other| self::host(&format!("{key}.other_hosts"), other))
            .collect::<Result<_, _>>()?,
    })
}

/// Host and port in their one form.
fn host(key: &str, text: &str) -> Result<String, InvalidSetting> {
    let url = Url::parse(&format!("https://{text}/")).ok();
    let bare = url.filter(|url| {
        url.path() == "/"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    match bare.as_ref().and_then(Url::host) {
        Some(_) => Ok(text.to_ascii_lowercase()),
        None => Err(invalid(
            key,
            format!(
                "`{}` is no host: write it as registry.example.com, or with a port as registry.example.com:5000",
                text.chars().take(80).collect::<String>()
            ),
        )),
    }
}

fn is_loopback(host: &str) -> bool {
    let url = Url::parse(&format!("http://{host}/")).ok();
    match url.as_ref().and_then(Url::host) {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn at_most(key: &str, count: usize, count_max: usize) -> Result<(), InvalidSetting> {
    if count <= count_max {
        Ok(())
    } else {
        Err(invalid(
            key,
            format!("{count} of them: at most {count_max}"),
        ))
    }
}
