//! The text that is signed: which component, and what it says of itself.
//!
//! ```text
//! portcullis-plugin-v1
//! digest: sha256:<of the component's bytes>
//! name: rate-limit
//! version: 0.1.0
//! manifest: sha256:<of name, version, description and config-schema, each as `<length in bytes>:<text>,`>
//! ```
//!
//! Each line ends with a line feed. The first line is no beginning of anything else that the same key may sign, and no
//! name or version holds a line feed. All of it comes from the component alone, so that it is the same for every gateway.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_sandbox::{Digest, Manifest, Plugin};
use ring::signature::{ED25519, UnparsedPublicKey};
use thiserror::Error;

use crate::model::{PublicKey, Signature, StatementForm};

use super::{InvalidPrivateKey, PrivateKey};

/// What a signature of a plugin is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    digest: String,
    text: String,
}

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// It is another plugin's.
    #[error("the signature is for {of}, and the plugin is {digest}: sign this very file")]
    OtherPlugin {
        /// What was signed.
        of: String,
        /// What it was presented with.
        digest: String,
    },
    /// The short name and the key do not go together.
    #[error(
        "the signature says key {said}, but its public_key is {is}: leave it as `plugin sign` wrote it"
    )]
    OtherKey {
        /// As written.
        said: String,
        /// As worked out.
        is: String,
    },
    /// The key did not sign this.
    #[error(
        "the signature of key {key_id} is wrong: the component, what it says of itself, or the signature was changed"
    )]
    Wrong {
        /// Short name of the key.
        key_id: String,
    },
}

impl Statement {
    /// The statement on an admitted component.
    #[must_use]
    pub fn on(plugin: &Plugin) -> Self {
        Self::of(&plugin.digest().to_string(), plugin.manifest())
    }

    fn of(digest: &str, manifest: &Manifest) -> Self {
        let Manifest {
            name,
            version,
            description,
            config_schema,
        } = manifest;
        let fields = [name, version, description, config_schema];
        let manifest: String = fields
            .map(|text| format!("{}:{text},", text.len()))
            .concat();
        let manifest = Digest::of(manifest.as_bytes());
        let text = format!(
            "portcullis-plugin-v1\ndigest: {digest}\nname: {name}\nversion: {version}\nmanifest: {manifest}\n"
        );
        Self {
            digest: digest.to_owned(),
            text,
        }
    }

    /// A key's signature of it.
    ///
    /// # Errors
    /// As [`PrivateKey::public`].
    pub fn sign(&self, key: &PrivateKey) -> Result<Signature, InvalidPrivateKey> {
        let public_key = key.public()?;
        Ok(Signature {
            statement: StatementForm::V1,
            digest: self.digest.clone(),
            key_id: public_key.id(),
            public_key,
            signature: STANDARD.encode(key.sign(self.text.as_bytes())),
        })
    }

    /// Whether a signature holds, whoever's it is.
    ///
    /// # Errors
    /// [`SignatureError`], which says what does not fit.
    pub fn verify(&self, signature: &Signature) -> Result<(), SignatureError> {
        let StatementForm::V1 = signature.statement;
        if signature.digest != self.digest {
            return Err(SignatureError::OtherPlugin {
                of: signature.digest.chars().take(80).collect(),
                digest: self.digest.clone(),
            });
        }
        let key_id = signature.public_key.id();
        if signature.key_id != key_id {
            return Err(SignatureError::OtherKey {
                said: signature.key_id.chars().take(80).collect(),
                is: key_id,
            });
        }
        let holds = STANDARD
            .decode(&signature.signature)
            .is_ok_and(|bytes| self.is_signed(&signature.public_key, &bytes));
        if holds {
            Ok(())
        } else {
            Err(SignatureError::Wrong { key_id })
        }
    }

    fn is_signed(&self, key: &PublicKey, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, key.as_bytes())
            .verify(self.text.as_bytes(), signature)
            .is_ok()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::trust) fn statement(fill: &str, edit: impl FnOnce(&mut Manifest)) -> Statement {
        let mut manifest = Manifest {
            name: "rate-limit".to_owned(),
            version: "0.1.0".to_owned(),
            description: "Limits".to_owned(),
            config_schema: "{}".to_owned(),
        };
        edit(&mut manifest);
        Statement::of(&format!("sha256:{}", fill.repeat(64)), &manifest)
    }

    #[test]
    fn the_text_is_what_the_documents_say() {
        let statement = statement("a", |_| {});
        insta::assert_snapshot!(statement.text, @r"
        portcullis-plugin-v1
        digest: sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        name: rate-limit
        version: 0.1.0
        manifest: sha256:3d7fca7cd12da78ac1029be0dbac6e52389423095c7a498d95e5a5b61cd454f4
        ");
        let manifest = Digest::of(b"10:rate-limit,5:0.1.0,6:Limits,2:{},");
        assert!(statement.text.ends_with(&format!("{manifest}\n")));
    }

    #[test]
    fn a_signature_is_of_everything_that_the_plugin_says() {
        let (key, _) = PrivateKey::generate().unwrap();
        let signed = statement("a", |_| {});
        let signature = signed.sign(&key).unwrap();
        assert_eq!(signed.verify(&signature), Ok(()));
        let edits: [fn(&mut Manifest); 5] = [
            |manifest| manifest.name = "rate-limits".to_owned(),
            |manifest| manifest.version = "0.1.1".to_owned(),
            |manifest| manifest.description = "Limit".to_owned(),
            |manifest| manifest.config_schema = "{ }".to_owned(),
            // The same text all in all, with its parts moved.
            |manifest| {
                manifest.description = "Limit".to_owned();
                manifest.config_schema = "s{}".to_owned();
            },
        ];
        for edit in edits {
            let other = statement("a", edit);
            let refused = other.verify(&signature).unwrap_err();
            assert!(matches!(refused, SignatureError::Wrong { .. }), "{other:?}");
        }
        let refused = statement("b", |_| {}).verify(&signature).unwrap_err();
        assert!(matches!(refused, SignatureError::OtherPlugin { .. }));
    }

    #[test]
    fn a_signature_that_was_changed_does_not_hold() {
        let (key, _) = PrivateKey::generate().unwrap();
        let (other, _) = PrivateKey::generate().unwrap();
        let signed = statement("a", |_| {});
        let signature = signed.sign(&key).unwrap();
        let others = signed.sign(&other).unwrap();
        let wrong = [
            Signature {
                signature: others.signature.clone(),
                ..signature.clone()
            },
            Signature {
                signature: String::new(),
                ..signature.clone()
            },
            Signature {
                signature: "%".to_owned(),
                ..signature.clone()
            },
            Signature {
                public_key: others.public_key,
                key_id: others.key_id.clone(),
                ..signature.clone()
            },
        ];
        for wrong in wrong {
            let refused = signed.verify(&wrong).unwrap_err();
            assert!(matches!(refused, SignatureError::Wrong { .. }), "{wrong:?}");
        }
        let misnamed = Signature {
            key_id: others.key_id,
            ..signature
        };
        let refused = signed.verify(&misnamed).unwrap_err();
        assert!(matches!(refused, SignatureError::OtherKey { .. }));
    }
}
