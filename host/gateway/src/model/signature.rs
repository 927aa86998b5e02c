//! A signature of a plugin, and whose signatures count: documents of the admin API and of files.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PublicKey;

/// A plugin's signature, kept beside it: what `portcullis plugin sign` writes and the admin API takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Form of the text that was signed.
    pub statement: StatementForm,
    /// `sha256:…` of the component that it is for.
    pub digest: String,
    /// Short name of the key.
    pub key_id: String,
    /// Whose signature it is.
    pub public_key: PublicKey,
    /// Ed25519 over the statement, in base64.
    pub signature: String,
}

/// Form of the text that a signature is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum StatementForm {
    /// Digest, name, version, and the digest of the manifest.
    #[serde(rename = "portcullis-plugin-v1")]
    V1,
}

/// Whose signatures count for a tenant, and whether its plugins need one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrustSpec {
    /// Every plugin of the tenant's chain must be signed by one of `keys`, or of the operator's.
    pub require_signature: bool,
    /// Keys whose signatures count for this tenant.
    pub keys: Vec<TrustedKey>,
}

/// A key whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// Whose it is, for people.
    #[serde(default)]
    pub name: String,
    /// Short name of the key; worked out where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The key: `ed25519:` and base64, or PEM.
    pub public_key: PublicKey,
}
