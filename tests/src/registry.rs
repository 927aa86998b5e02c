//! A real OCI registry, and a front that stands before one and misbehaves.

mod front;

pub use front::{Asked, Front, FrontRule};

use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::admin::http;
use crate::places;
use crate::process::Process;
use crate::wait;

/// Who may read and write in a registry that asks.
pub const USERNAME: &str = "acme-bot";
/// The password of [`USERNAME`].
pub const PASSWORD: &str = "the-registry-password-1";
/// Bcrypt of it, at the least cost.
const PASSWORD_HASH: &str = "$2b$04$OqhHNzyu4IGAVeBc8w6dBOVbN6jE4L0sBBHOGLrC3bs.cHKLEaRMO";
/// What manifests are.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// What components' layers are.
pub const WASM: &str = "application/wasm";

/// A running registry. Dropping it stops it.
pub struct Registry {
    host: String,
    asks: bool,
    _process: Process,
    _folder: TempDir,
}

impl Registry {
    /// One that anybody reads and writes.
    pub async fn open() -> Self {
        Self::start(false).await
    }

    /// One that asks for name and password.
    pub async fn asking() -> Self {
        Self::start(true).await
    }

    async fn start(asks: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let mut settings = json!({
            "version": "0.1",
            "log": { "level": "info", "formatter": "text" },
            "storage": { "filesystem": { "rootdirectory": at("data") } },
            "http": { "addr": "127.0.0.1:0" },
        });
        if asks {
            std::fs::write(at("htpasswd"), format!("{USERNAME}:{PASSWORD_HASH}\n"))
                .expect("a file of passwords");
            settings["auth"] =
                json!({ "htpasswd": { "realm": "registry", "path": at("htpasswd") } });
        }
        // JSON is YAML.
        std::fs::write(at("settings.yml"), settings.to_string()).expect("a settings file");
        let mut command = Command::new(places::docker_registry());
        command.arg("serve").arg(at("settings.yml"));
        let mut process = Process::start("docker-registry", &mut command, folder.path());
        let host = wait::until("the registry's address", || {
            if let Some(status) = process.ended() {
                panic!("the registry ended with {status}:\n{}", process.log());
            }
            let log = process.log();
            let host = log.split_once("listening on ").map(|(_, rest)| rest);
            let host = host.and_then(|rest| rest.split(['"', ' ', '\n']).next());
            let host = host.map(str::to_owned);
            async move { host }
        })
        .await;
        Self {
            host,
            asks,
            _process: process,
            _folder: folder,
        }
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Puts a component into a repository, as one layer of this media type; its reference.
    pub async fn push(&self, repository: &str, media_type: &str, component: &[u8]) -> String {
        let layer = self.blob(repository, media_type, component).await;
        self.push_layers(repository, &[layer]).await
    }

    /// Puts a manifest of these layers into a repository; its reference.
    pub async fn push_layers(&self, repository: &str, layers: &[Value]) -> String {
        let config = self
            .blob(repository, "application/vnd.wasm.config.v0+json", b"{}")
            .await;
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        self.manifest(repository, MANIFEST, &manifest).await
    }

    /// Puts a manifest; its reference.
    ///
    /// # Panics
    /// When the registry does not take it.
    pub async fn manifest(&self, repository: &str, kind: &str, manifest: &Value) -> String {
        let text = manifest.to_string();
        let digest = digest(text.as_bytes());
        let url = format!("{}/v2/{repository}/manifests/{digest}", self.url());
        let put = self
            .request(reqwest::Method::PUT, &url)
            .header("content-type", kind);
        let put = put.body(text).send().await.expect("an answer");
        let status = put.status();
        assert!(
            status.is_success(),
            "{url}: {status} {:?}",
            put.text().await
        );
        format!("oci://{}/{repository}@{digest}", self.host)
    }

    /// Puts bytes (distribution specification, "Pushing a blob monolithically"); their descriptor.
    ///
    /// # Panics
    /// When the registry does not take them.
    pub async fn blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        let uploads = format!("{}/v2/{repository}/blobs/uploads/", self.url());
        let begun = self.request(reqwest::Method::POST, &uploads).send().await;
        let begun = begun.expect("an answer");
        let place = begun
            .headers()
            .get("location")
            .expect("a place to upload to");
        let mut place = url::Url::parse(&uploads)
            .and_then(|uploads| uploads.join(place.to_str().expect("text")))
            .expect("a URL");
        place.query_pairs_mut().append_pair("digest", &digest);
        let put = self
            .request(reqwest::Method::PUT, place.as_str())
            .header("content-type", "application/octet-stream")
            .body(bytes.to_vec());
        let status = put.send().await.expect("an answer").status();
        assert!(status.is_success(), "{place}: {status}");
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    fn request(&self, method: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        let request = http().request(method, url);
        if self.asks {
            request.basic_auth(USERNAME, Some(PASSWORD))
        } else {
            request
        }
    }
}

/// `sha256:` and the hash of these bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// A reference at another host.
#[must_use]
pub fn at(host: &str, reference: &str) -> String {
    let (_, path) = reference
        .trim_start_matches("oci://")
        .split_once('/')
        .expect("a path");
    format!("oci://{host}/{path}")
}
