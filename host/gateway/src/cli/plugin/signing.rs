//! `portcullis plugin keygen`, `sign` and `verify`: keys in files, and signatures beside components. No gateway is needed.
//!
//! A private key is read and written here, and shown nowhere.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::cli::{CliError, Output};
use crate::model::{PublicKey, Signature};
use crate::trust::{PrivateKey, Statement};

use super::{component, read};

/// Where to keep a new key.
#[derive(Debug, Args)]
pub(in crate::cli) struct KeygenArgs {
    /// Names of the files: the private key in NAME.pem, the public one in NAME.pub.
    #[arg(value_name = "NAME")]
    name: PathBuf,
}

/// What to sign, and with what.
#[derive(Debug, Args)]
pub(in crate::cli) struct SignArgs {
    /// The component (.wasm).
    file: PathBuf,
    /// Private key (PEM), as keygen makes it, or `openssl genpkey -algorithm ed25519`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write the signature [default: the component's name and .sig].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What to verify, and against what.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// The component (.wasm).
    file: PathBuf,
    /// A key that is trusted: a file (.pub), or `ed25519:…`; can be repeated.
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// The signature [default: the component's name and .sig].
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

pub(super) fn keygen(args: &KeygenArgs, output: Output) -> Result<(), CliError> {
    let (key, pem) = PrivateKey::generate()?;
    let public = key.public()?;
    let (private_file, public_file) = (with(&args.name, ".pem"), with(&args.name, ".pub"));
    create(&private_file, pem.expose(), 0o600)?;
    create(&public_file, &public.to_pem(), 0o644)?;
    let made = json!({
        "key_id": public.id(),
        "public_key": public,
        "private_key_file": private_file,
        "public_key_file": public_file,
    });
    output.print(&made, || {
        format!(
            "key {}\n  private  {}  (keep it to yourself)\n  public   {}\n  {public}",
            public.id(),
            private_file.display(),
            public_file.display()
        )
    });
    Ok(())
}

pub(super) async fn sign(args: SignArgs, output: Output) -> Result<(), CliError> {
    let pem = read(&args.key)?;
    let wrong = |source| CliError::PrivateKey {
        path: args.key.clone(),
        source,
    };
    let key = PrivateKey::from_pem(&String::from_utf8_lossy(&pem)).map_err(wrong)?;
    let shelved = component(&args.file).await?;
    let signature = Statement::on(&shelved.plugin).sign(&key).map_err(wrong)?;
    let out = args.out.unwrap_or_else(|| beside(&args.file));
    if let Some(other) = signed_by_other(&out, &signature) {
        return Err(CliError::Usage(format!(
            "{} is a signature by key {other}: name another file with --out",
            out.display()
        )));
    }
    let mut text = serde_json::to_string_pretty(&signature).unwrap_or_default();
    text.push('\n');
    std::fs::write(&out, text).map_err(|source| CliError::File {
        path: out.clone(),
        source,
    })?;
    output.print(
        &json!({"signature_file": out, "signature": signature}),
        || {
            format!(
                "{}@{}  {}\n  signed by key {} in {}",
                shelved.info.name,
                shelved.info.version,
                shelved.info.digest,
                signature.key_id,
                out.display()
            )
        },
    );
    Ok(())
}

pub(super) async fn verify(args: VerifyArgs, output: Output) -> Result<(), CliError> {
    let keys = args
        .keys
        .iter()
        .map(|key| public_key(key))
        .collect::<Result<Vec<_>, _>>()?;
    let path = args.signature.unwrap_or_else(|| beside(&args.file));
    let signature = read_signature(&path)?;
    let shelved = component(&args.file).await?;
    Statement::on(&shelved.plugin)
        .verify(&signature)
        .map_err(|source| CliError::Signature {
            path: path.clone(),
            source,
        })?;
    let key_id = &signature.key_id;
    if !keys.contains(&signature.public_key) {
        let path = path.clone();
        let key_id = key_id.clone();
        return Err(CliError::OtherSigner { path, key_id });
    }
    let info = &shelved.info;
    let verified = json!({
        "name": info.name, "version": info.version, "digest": info.digest, "key_id": key_id, "verified": true,
    });
    output.print(&verified, || {
        format!(
            "{}@{}  {}\n  signed by key {key_id}, which is trusted",
            info.name, info.version, info.digest
        )
    });
    Ok(())
}

/// The signature in a file.
pub(super) fn read_signature(path: &Path) -> Result<Signature, CliError> {
    serde_json::from_slice(&read(path)?).map_err(|source| CliError::SignatureFile {
        path: path.to_owned(),
        source,
    })
}

/// Where a component's signature is looked for.
pub(super) fn beside(component: &Path) -> PathBuf {
    with(component, ".sig")
}

/// A public key, or a file that holds one.
pub(in crate::cli) fn public_key(text: &str) -> Result<PublicKey, CliError> {
    let parsed = if text.starts_with("ed25519:") {
        text.parse()
    } else {
        String::from_utf8_lossy(&read(Path::new(text))?).parse()
    };
    parsed.map_err(|error| CliError::Usage(format!("{text}: {error}")))
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Whose signature a file holds already, where it is somebody else's.
fn signed_by_other(path: &Path, signature: &Signature) -> Option<String> {
    let there = read_signature(path).ok()?;
    (there.public_key != signature.public_key).then_some(there.key_id)
}

/// Makes a file that is not there yet: no key is lost by being written over.
fn create(path: &Path, text: &str, mode: u32) -> Result<(), CliError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| CliError::File {
        path: path.to_owned(),
        source,
    })
}
