//! The gateway with four of its policies compiled into it: what the sandbox costs is the difference to the real one.
//!
//! It is the gateway's own library with another [`Binder`](portcullis_gateway::policy::Binder). It takes its settings
//! from `PORTCULLIS_*` variables, is set up over the same admin API with the same components, and then runs native
//! code in their place. It is never shipped.

mod binder;
mod convert;
mod host;
mod native;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use portcullis_gateway::app::{self, READY_FILE};
use portcullis_gateway::config::{self, Environment, RawSettings, Settings};
use portcullis_gateway::telemetry::logs;
use serde_json::json;

fn main() -> ExitCode {
    if let Some(code) = portcullis_gateway::compile_if_asked() {
        return code;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portcullis-native: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let settings = config::load(None, &Environment::of_process(), RawSettings::default())?.settings;
    logs::init(logs::LogFormat::Json, settings.log.level.as_str());
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.thread_name("portcullis").enable_all();
    if let Some(threads) = settings.worker_threads {
        builder.worker_threads(threads);
    }
    builder.build()?.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<(), Box<dyn Error>> {
    let ready_file = settings.data_dir.join(READY_FILE);
    let running = app::start_with(settings, Some(Arc::new(binder::NativeBinder))).await?;
    let ready = json!({
        "gateway": format!("http://{}", running.gateway),
        "admin": format!("http://{}", running.admin),
        "admin_token": running.admin_token.expose(),
    });
    app::write_private(&ready_file, &ready.to_string())?;
    app::stop_signal().await?;
    running.stop().await;
    Ok(())
}
