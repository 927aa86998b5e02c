//! One pull: the manifest that the reference names, then the layer that the manifest names.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use portcullis_sandbox::Digest;
use tokio::sync::Semaphore;
use url::Url;

use crate::config::RegistrySettings;

use super::manifest::{self, ACCEPT};
use super::rules::Rules;
use super::token::authorization;
use super::web::{Answer, Ask, Web};
use super::{OciReference, PullError};

/// Largest manifest, in bytes: what registries take, too.
const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// Longest time of a pull, in seconds.
const PULL_TIME_MAX_S: u64 = 60;
/// Most pulls at once: each may hold a component.
const PULLS_MAX: usize = 4;

/// Pulls components from registries.
#[derive(Debug)]
pub struct Puller {
    registries: Vec<RegistrySettings>,
    /// Largest component, in bytes.
    bytes_max: usize,
    under_way: Arc<Semaphore>,
}

/// What is asked of a registry, and how it is to be checked.
struct Part<'a> {
    what: &'static str,
    path: &'static str,
    accept: &'static str,
    reference: &'a OciReference,
    digest: Digest,
    bytes_max: usize,
}

impl Puller {
    /// With a word about some registries; components have at most `bytes_max` bytes.
    #[must_use]
    pub fn new(registries: Vec<RegistrySettings>, bytes_max: usize) -> Self {
        Self {
            registries,
            bytes_max,
            under_way: Arc::new(Semaphore::new(PULLS_MAX)),
        }
    }

    /// The component behind a reference.
    ///
    /// # Errors
    /// [`PullError`], which says what to do.
    pub async fn pull(&self, reference: &OciReference) -> Result<Bytes, PullError> {
        let Ok(_permit) = self.under_way.try_acquire() else {
            return Err(PullError::Busy {
                pulls_max: PULLS_MAX,
            });
        };
        let within = Duration::from_secs(PULL_TIME_MAX_S);
        match tokio::time::timeout(within, self.component(reference)).await {
            Ok(pulled) => pulled,
            Err(_elapsed) => Err(PullError::Timeout {
                seconds: PULL_TIME_MAX_S,
            }),
        }
    }

    async fn component(&self, reference: &OciReference) -> Result<Bytes, PullError> {
        let rules = Rules::of(&reference.registry, &self.registries);
        let web = Web::new(rules)?;
        let mut authorization = None;
        let manifest = Part {
            what: "manifest",
            path: "manifests",
            accept: ACCEPT,
            reference,
            digest: reference.digest,
            bytes_max: MANIFEST_BYTES_MAX,
        };
        let manifest = fetch(&web, manifest, &mut authorization).await?;
        let layer = manifest::layer(&manifest, self.bytes_max)?;
        let layer = Part {
            what: "layer",
            path: "blobs",
            accept: "application/octet-stream",
            reference,
            digest: layer.digest,
            bytes_max: layer.size_bytes,
        };
        fetch(&web, layer, &mut authorization).await
    }
}

/// The bytes of this digest. What lets us in is found out by the first request, and kept for the next.
async fn fetch(
    web: &Web<'_>,
    part: Part<'_>,
    kept: &mut Option<HeaderValue>,
) -> Result<Bytes, PullError> {
    let OciReference {
        registry,
        repository,
        ..
    } = part.reference;
    let (base, path, digest) = (web.rules().base(), part.path, part.digest);
    let url = format!("{base}/v2/{repository}/{path}/{digest}");
    let url = Url::parse(&url).map_err(|odd| PullError::Unreachable {
        url: url.chars().take(300).collect(),
        source: odd.into(),
    })?;
    let mut answer = ask(web, &url, &part, kept.clone()).await?;
    if answer.status == StatusCode::UNAUTHORIZED {
        let challenge = (&answer.headers, &url);
        *kept = authorization(web, challenge, repository).await?;
        if kept.is_some() {
            answer = ask(web, &url, &part, kept.clone()).await?;
        }
    }
    match answer.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(PullError::Unauthorized {
                registry: registry.clone(),
                repository: repository.clone(),
                who: web.rules().who(),
            });
        }
        StatusCode::NOT_FOUND => {
            return Err(PullError::Missing {
                registry: registry.clone(),
                repository: repository.clone(),
                what: part.what,
                digest,
            });
        }
        status => {
            let url = url.to_string();
            return Err(PullError::Status { url, status });
        }
    }
    let found = Digest::of(&answer.body);
    if found == digest {
        Ok(answer.body)
    } else {
        let what = part.what;
        Err(PullError::OtherBytes {
            what,
            digest,
            found,
        })
    }
}

async fn ask(
    web: &Web<'_>,
    url: &Url,
    part: &Part<'_>,
    authorization: Option<HeaderValue>,
) -> Result<Answer, PullError> {
    let ask = Ask {
        url,
        accept: part.accept,
        authorization,
        bytes_max: part.bytes_max,
    };
    web.get(ask).await
}
