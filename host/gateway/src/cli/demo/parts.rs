//! What the demo is made from, and whether it is all there: looked at before anything is started.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::DemoArgs;
use super::error::DemoError;

/// The policies that the demo binds.
const PLUGINS: [&str; 6] = [
    "jwt-auth",
    "api-key-auth",
    "access-control",
    "rate-limit",
    "smart-route",
    "redact",
];

/// Programs and components.
#[derive(Debug)]
pub(super) struct Parts {
    /// The demo's MCP server.
    pub(super) upstream: PathBuf,
    /// Components, in the order in which they are published.
    pub(super) plugins: Vec<PathBuf>,
}

impl Parts {
    /// Finds everything, beside this program where the arguments do not say otherwise, and tries the ports.
    pub(super) fn find(args: &DemoArgs) -> Result<Self, DemoError> {
        if args.listen == args.admin_listen && args.listen.port() != 0 {
            return Err(DemoError::SamePort {
                address: args.listen,
            });
        }
        for (flag, address) in [
            ("--listen", args.listen),
            ("--admin-listen", args.admin_listen),
        ] {
            try_port(flag, address)?;
        }
        let folder = program_folder();
        let upstream = match &args.example_upstream {
            Some(path) => path.clone(),
            None => folder.join("example-upstream"),
        };
        if !upstream.is_file() {
            return Err(DemoError::NoUpstream { path: upstream });
        }
        // target/release/portcullis, target/plugins/*.wasm.
        let plugins = match &args.plugins_dir {
            Some(path) => path.clone(),
            None => folder.parent().unwrap_or(Path::new(".")).join("plugins"),
        };
        let plugins: Vec<PathBuf> = PLUGINS
            .iter()
            .map(|name| plugins.join(format!("{name}.wasm")))
            .collect();
        match plugins.iter().find(|path| !path.is_file()) {
            Some(missing) => Err(DemoError::NoPlugin {
                path: missing.clone(),
            }),
            None => Ok(Self { upstream, plugins }),
        }
    }
}

/// Where this program is, links resolved.
fn program_folder() -> PathBuf {
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    program
        .ok()
        .and_then(|path| path.parent().map(Path::to_owned))
        .unwrap_or_else(|| PathBuf::from("."))
}

/// A port that is taken is told at once, and not after everything else has started.
fn try_port(flag: &'static str, address: SocketAddr) -> Result<(), DemoError> {
    match TcpListener::bind(address) {
        Ok(_closed_again) => Ok(()),
        Err(source) => Err(DemoError::Port {
            flag,
            address,
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: DemoArgs,
    }

    fn find(arguments: &[&str]) -> String {
        let line = ["demo", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"];
        let cli = Cli::try_parse_from(line.iter().chain(arguments)).unwrap();
        Parts::find(&cli.args).unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_is_named_with_the_flag_for_it() {
        for (arguments, want) in [
            (
                ["--example-upstream=/nowhere/x"].as_slice(),
                "--example-upstream",
            ),
            (
                &["--example-upstream=/bin/sh", "--plugins-dir=/nowhere"],
                "--plugins-dir",
            ),
        ] {
            let error = find(arguments);
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn a_taken_port_is_told_with_its_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = try_port("--admin-listen", taken.local_addr().unwrap()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("Choose another with --admin-listen"),
            "{text}"
        );
    }
}
