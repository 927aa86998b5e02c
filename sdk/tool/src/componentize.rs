//! A core module in, a component out.
//!
//! Before it: the linker, which left the SDK's `component-type` sections in the module.
//! It must never let through a module that asks for more than the contract holds.

use std::fmt;
use std::fs;
use std::path::Path;

use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::{Resolve, WorldItem, WorldKey};

use crate::error::{Error, cause};

/// The only package that a policy imports from.
const PACKAGE: &str = "portcullis:policy/";

/// What a component turned out to be.
pub struct Summary {
    size_bytes: usize,
    exports: Vec<String>,
    imports: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |names: &[String]| {
            names
                .iter()
                .map(|name| name.strip_prefix(PACKAGE).unwrap_or(name))
                .map(|name| name.split('@').next().unwrap_or(name).to_owned())
                .collect::<Vec<_>>()
                .join(", ")
        };
        write!(
            f,
            "{size} bytes; exports {exports}; imports {imports}",
            size = self.size_bytes,
            exports = short(&self.exports),
            imports = short(&self.imports),
        )
    }
}

/// Encodes `core` as a component at `output`, which appears whole or not at all.
pub fn componentize(core: &Path, output: &Path) -> Result<Summary, Error> {
    let module = fs::read(core).map_err(|source| Error::Read {
        path: core.to_owned(),
        source,
    })?;
    let component = encode(&module).map_err(|error| Error::Encode {
        path: core.to_owned(),
        cause: cause(&error),
    })?;
    let summary = summarize(core, &component)?;

    let aside = output.with_extension("wasm.partial");
    let failed = |source| Error::Write {
        path: output.to_owned(),
        source,
    };
    if let Some(parent) = output.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(&aside, component).map_err(failed)?;
    fs::rename(&aside, output).map_err(failed)?;
    Ok(summary)
}

fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module)?.encode()
}

fn summarize(core: &Path, component: &[u8]) -> Result<Summary, Error> {
    let decoded = wit_component::decode(component).map_err(|error| Error::Encode {
        path: core.to_owned(),
        cause: cause(&error),
    })?;
    let no_policy = || Error::NoPolicy {
        path: core.to_owned(),
    };
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(no_policy());
    };
    let world = resolve.worlds.get(world).ok_or_else(no_policy)?;
    let names = |items: &mut dyn Iterator<Item = (&WorldKey, &WorldItem)>| {
        items
            .map(|(key, _)| name_of(&resolve, key))
            .collect::<Vec<_>>()
    };
    let summary = Summary {
        size_bytes: component.len(),
        exports: names(&mut world.exports.iter()),
        imports: names(&mut world.imports.iter()),
    };
    if !summary.exports.iter().any(|name| name.starts_with(PACKAGE)) {
        return Err(no_policy());
    }
    match summary.imports.iter().find(|i| !i.starts_with(PACKAGE)) {
        None => Ok(summary),
        Some(import) => Err(Error::ForeignImport {
            path: core.to_owned(),
            import: import.clone(),
        }),
    }
}

fn name_of(resolve: &Resolve, key: &WorldKey) -> String {
    resolve.name_world_key(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_policy() {
        let folder = std::env::temp_dir().join(format!("portcullis-guest-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let core = folder.join("empty.wasm");
        let output = folder.join("out.wasm");
        let cases: [(&str, &[u8], &str); 3] = [
            ("not wasm", b"hello", "does not become a component"),
            (
                "empty module",
                b"\0asm\x01\0\0\0",
                "exports no portcullis:policy interface",
            ),
            ("empty file", b"", "does not become a component"),
        ];
        for (name, bytes, want) in cases {
            fs::write(&core, bytes).unwrap();
            let error = componentize(&core, &output).err().expect(name).to_string();
            assert!(error.contains(want), "{name}: {error}");
            assert!(!output.exists(), "{name}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
