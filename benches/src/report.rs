//! `target/bench/report.json`: one document, of which each benchmark replaces its own keys.

use std::io::{Error, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// The folder of the benchmarks' results: `bench` in the target folder that this program was built into.
///
/// # Errors
/// When the program cannot tell where it is.
pub fn folder() -> std::io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    // target/PROFILE/program, or target/PROFILE/deps/program for a benchmark.
    let target = program
        .ancestors()
        .skip(1)
        .find(|folder| {
            folder.join(".rustc_info.json").exists() || folder.join("CACHEDIR.TAG").exists()
        })
        .ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "this program does not stand in a target folder of cargo's",
            )
        })?;
    Ok(target.join("bench"))
}

/// Replaces `keys` in the report and leaves the others as they are.
///
/// # Errors
/// When the report cannot be read or written, or is not a JSON object.
pub fn update(path: &Path, keys: Map<String, Value>) -> std::io::Result<()> {
    let mut report: Map<String, Value> = match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(error),
    };
    report.extend(keys);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Written aside first: who reads meanwhile sees the old report or the new one.
    let aside = path.with_extension("json.new");
    let mut file = std::fs::File::create(&aside)?;
    serde_json::to_writer_pretty(&mut file, &report)?;
    file.write_all(b"\n")?;
    std::fs::rename(aside, path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_replaced_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench/report.json");
        for (keys, want) in [
            (json!({"a": 1}), json!({"a": 1})),
            (json!({"b": {"x": 2}}), json!({"a": 1, "b": {"x": 2}})),
            (json!({"b": 3}), json!({"a": 1, "b": 3})),
        ] {
            update(&path, keys.as_object().unwrap().clone()).unwrap();
            let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!(report, want);
        }
    }
}
