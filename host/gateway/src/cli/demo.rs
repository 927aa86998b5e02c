//! `portcullis demo`: a gateway, two tenants and their upstreams, all real, to try and to take apart.
//!
//! The gateway runs in this process and is configured through its own admin API, as anybody would do it; the
//! upstreams are child processes. The demo never opens the store, and leaves nothing behind but a folder that was named.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::app::{self, Running};
use crate::config::{Environment, LogFormat, LogLevel, LogSettings, Settings};

use super::{CliError, Output};

mod callers;
mod error;
mod home;
mod parts;
mod ready;
mod tenants;
mod upstreams;

use error::DemoError;
use home::Home;
use parts::Parts;
use ready::{Paint, Ready};
use tenants::{Operator, Tenant};
use upstreams::Upstream;

const EXAMPLES: &str = "\
Examples:
  portcullis demo
      Everything in a fresh folder, gone at Ctrl-C. Prints what runs where, and calls to paste.
  portcullis demo --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --data-dir demo-data
      Free ports and a folder that stays. demo-data/demo.json appears when everything is ready:
      addresses, the admin token, and each tenant's endpoint and callers' tokens.
  portcullis demo --exit-after-ready
      Starts everything, stops it and exits with 0: does it all fit together?

`make run` builds what it needs: the program example-upstream beside this one, and the policies in target/plugins.";

/// Where the demo listens, keeps its data and finds its parts.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// Where clients connect.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4444")]
    pub listen: SocketAddr,
    /// Where the admin API is served.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4445")]
    pub admin_listen: SocketAddr,
    /// Folder for the demo's data [default: a fresh one, removed at the end].
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Folder of the policies (.wasm) [default: `plugins` beside the folder of this program].
    #[arg(long, value_name = "FOLDER", env = "PORTCULLIS_PLUGINS_DIR")]
    pub plugins_dir: Option<PathBuf>,
    /// The MCP server to put behind the gateway [default: `example-upstream` beside this program].
    #[arg(long, value_name = "PROGRAM", env = "PORTCULLIS_EXAMPLE_UPSTREAM")]
    pub example_upstream: Option<PathBuf>,
    /// Stop as soon as everything is ready, for scripts.
    #[arg(long)]
    pub exit_after_ready: bool,
}

pub(super) fn run(args: DemoArgs, output: Output) -> Result<(), CliError> {
    let home = Home::open(args.data_dir.clone()).map_err(gateway)?;
    let settings = settings(&args, &home);
    crate::telemetry::logs::init(
        crate::telemetry::logs::LogFormat::Text,
        settings.log.level.as_str(),
    );
    let runtime = super::serve::runtime()?;
    runtime
        .block_on(demo(&args, output, &home, settings))
        .map_err(gateway)
}

fn gateway(error: DemoError) -> CliError {
    CliError::Gateway(Box::new(error))
}

/// Everything that has to be stopped.
struct Demo {
    running: Running,
    acme: (Tenant, Vec<Upstream>),
    globex: (Tenant, Vec<Upstream>),
}

async fn demo(
    args: &DemoArgs,
    output: Output,
    home: &Home,
    settings: Settings,
) -> Result<(), DemoError> {
    let mut progress = Progress::new();
    let stopped = app::stop_signal();
    tokio::pin!(stopped);
    let demo = tokio::select! {
        // Whatever was started until then goes with the future that started it.
        _ = &mut stopped => return Ok(()),
        started = start(args, home, settings, &mut progress) => started?,
    };
    let ready = Ready {
        gateway: demo.running.gateway,
        admin: demo.running.admin,
        admin_token: &demo.running.admin_token,
        tenants: [
            (&demo.acme.0, &demo.acme.1),
            (&demo.globex.0, &demo.globex.1),
        ],
        home,
    };
    let document = ready.write()?;
    progress.done();
    output.print(&document, || ready.text(paint()));
    if !args.exit_after_ready {
        // A terminal that cannot be listened to stops the demo too.
        let _ = stopped.await;
    }
    progress.step("stopping");
    demo.running.stop().await;
    for upstream in demo.acme.1.into_iter().chain(demo.globex.1) {
        upstream.stop().await;
    }
    progress.done();
    Ok(())
}

async fn start(
    args: &DemoArgs,
    home: &Home,
    settings: Settings,
    progress: &mut Progress,
) -> Result<Demo, DemoError> {
    let parts = Parts::find(args)?;
    progress.step("starting three upstream MCP servers");
    let server = |name| Upstream::start(&parts.upstream, name, home.path());
    let (crm_a, crm_b, sales) =
        tokio::try_join!(server("crm-a"), server("crm-b"), server("sales"))?;

    progress.step("starting the gateway");
    let running = app::start(settings)
        .await
        .map_err(|source| DemoError::Gateway {
            source: Box::new(source),
        })?;

    progress.step("publishing six policies (WebAssembly, compiled here)");
    let mut operator = Operator::new(&format!("http://{}", running.admin), &running.admin_token);
    for plugin in &parts.plugins {
        operator.publish(plugin).await?;
    }

    progress.step("making the tenants acme and globex");
    let (acme, globex) = (vec![crm_a, crm_b], vec![sales]);
    Ok(Demo {
        acme: (operator.acme(&acme).await?, acme),
        globex: (operator.globex(&globex).await?, globex),
        running,
    })
}

fn settings(args: &DemoArgs, home: &Home) -> Settings {
    Settings {
        listen: args.listen,
        admin_listen: args.admin_listen,
        data_dir: home.path().to_owned(),
        default_server: Some("acme".to_owned()),
        log: LogSettings {
            format: LogFormat::Text,
            level: LogLevel::Warn,
        },
        drain_timeout_s: 3,
        ..Settings::default()
    }
}

fn paint() -> Paint {
    let plain = Environment::of_process().get("NO_COLOR").is_some();
    if std::io::stdout().is_terminal() && !plain {
        Paint::Bold
    } else {
        Paint::Plain
    }
}

/// What is being done, on standard error: a line for each step, and how long the step took.
struct Progress {
    step: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self { step: None }
    }

    fn step(&mut self, what: &str) {
        self.done();
        eprint!("portcullis demo: {what} ... ");
        // Standard error may be a file that is full; the demo goes on.
        let _ = std::io::stderr().flush();
        self.step = Some(Instant::now());
    }

    fn done(&mut self) {
        if let Some(began) = self.step.take() {
            eprintln!("{:.1} s", began.elapsed().as_secs_f32());
        }
    }
}

impl Drop for Progress {
    /// A step that failed: what follows begins a line of its own.
    fn drop(&mut self) {
        if self.step.is_some() {
            eprintln!();
        }
    }
}
