//! The manifest of a component (OCI Image Specification 1.1): one layer, which is the component.

use portcullis_sandbox::Digest;
use serde::Deserialize;

use super::PullError;

/// What a component's manifest is.
const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// What manifests are asked for as. The others are refused, but for what they are.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json;q=0.1, \
    application/vnd.docker.distribution.manifest.v2+json;q=0.1";
/// What a component's layer may be: as the CNCF's Wasm OCI Artifact says, and as `wasm-to-oci` and ORAS users wrote it.
const LAYERS: [&str; 2] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u64,
    media_type: Option<String>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

/// The component's bytes, as the manifest names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) digest: Digest,
    pub(super) size_bytes: usize,
}

/// The one layer of a manifest.
pub(super) fn layer(manifest: &[u8], bytes_max: usize) -> Result<Layer, PullError> {
    let refused = |what: String| PullError::Document(format!("the manifest {what}"));
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| refused(format!("is no OCI image manifest: {error}")))?;
    let media_type = manifest.media_type.as_deref().unwrap_or(MEDIA_TYPE);
    if manifest.schema_version != 2 {
        let version = manifest.schema_version;
        return Err(refused(format!("has the schema version {version}, not 2")));
    }
    if media_type != MEDIA_TYPE {
        return Err(refused(format!(
            "is a `{media_type}`, not a `{MEDIA_TYPE}`: of an index, give the digest of one of its manifests"
        )));
    }
    let [layer] = manifest.layers.as_slice() else {
        let count = manifest.layers.len();
        return Err(refused(format!(
            "has {count} layers: a component is one layer"
        )));
    };
    if !LAYERS.contains(&layer.media_type.as_str()) {
        return Err(refused(format!(
            "has a layer of `{}`: a component is `{}`",
            layer.media_type,
            LAYERS.join("` or `")
        )));
    }
    let digest = layer.digest.parse().map_err(|error| {
        refused(format!(
            "names its layer by something other than SHA-256: {error}"
        ))
    })?;
    match usize::try_from(layer.size)
        .ok()
        .filter(|size| *size <= bytes_max)
    {
        Some(size_bytes) => Ok(Layer { digest, size_bytes }),
        None => Err(refused(format!(
            "has a layer of {} bytes: a component has at most {bytes_max}",
            layer.size
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_manifest_has_one_layer_which_is_a_component() {
        let digest = Digest::of(b"component");
        let layer_of = |media_type: &str, size: u64| json!({"mediaType": media_type, "digest": digest.to_string(), "size": size});
        let wasm = || layer_of("application/wasm", 9);
        let manifest =
            |layers: Value| json!({"schemaVersion": 2, "mediaType": MEDIA_TYPE, "layers": layers});
        for good in [
            manifest(json!([wasm()])),
            manifest(json!([layer_of(LAYERS[1], 9)])),
            json!({"schemaVersion": 2, "layers": [wasm()], "annotations": {"a": "b"}}),
        ] {
            let read = layer(good.to_string().as_bytes(), 9).unwrap();
            assert_eq!((read.digest, read.size_bytes), (digest, 9), "{good}");
        }
        let index = "application/vnd.oci.image.index.v1+json";
        let other = json!({"mediaType": "application/wasm", "digest": "sha512:00", "size": 1});
        let bad = [
            json!({"schemaVersion": 2, "layers": [{"mediaType": "application/wasm"}]}),
            json!({"schemaVersion": 2, "mediaType": index, "manifests": []}),
            json!({"schemaVersion": 1, "layers": [wasm()]}),
            manifest(json!([])),
            manifest(json!([wasm(), wasm()])),
            manifest(json!([layer_of(
                "application/vnd.oci.image.layer.v1.tar+gzip",
                9
            )])),
            manifest(json!([layer_of("application/wasm", 10)])),
            manifest(json!([other])),
        ];
        let said: Vec<String> = bad
            .iter()
            .map(|bad| {
                layer(bad.to_string().as_bytes(), 9)
                    .unwrap_err()
                    .to_string()
            })
            .collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        the manifest is no OCI image manifest: missing field `digest` at line 1 column 61
        the manifest is a `application/vnd.oci.image.index.v1+json`, not a `application/vnd.oci.image.manifest.v1+json`: of an index, give the digest of one of its manifests
        the manifest has the schema version 1, not 2
        the manifest has 0 layers: a component is one layer
        the manifest has 2 layers: a component is one layer
        the manifest has a layer of `application/vnd.oci.image.layer.v1.tar+gzip`: a component is `application/wasm` or `application/vnd.wasm.content.layer.v1+wasm`
        the manifest has a layer of 10 bytes: a component has at most 9
        the manifest names its layer by something other than SHA-256: a digest is `sha256:` followed by 64 hex digits
        ");
    }
}
