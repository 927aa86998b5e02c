//! Target `upload`: components of the hostile corpus, bent. Whatever is admitted is bound and asked as well.

use std::sync::Arc;

use portcullis_sandbox::{AdmitError, CallView, Hook, Plugin, Sandbox};
use portcullis_tests::hostile;

use crate::mutate::mutate;
use crate::random::Random;
use crate::run::{Outcome, Target};
use crate::stage::{self, Call, Host};

/// Larger ones are left out: they would be compiled for longer than they are worth.
const SEED_BYTES_MAX: usize = 8 << 10;

/// Where uploads go.
pub struct Uploads {
    sandbox: Arc<Sandbox>,
    host: Arc<Host>,
    seeds: Vec<Vec<u8>>,
}

impl Uploads {
    /// # Errors
    /// When the machine has no room for a sandbox.
    pub fn new() -> Result<Self, String> {
        let corpus = hostile::corpus().into_iter();
        let seeds = corpus.map(|guest| (guest.component)(guest.name));
        Ok(Self {
            sandbox: stage::sandbox()?,
            host: Arc::default(),
            seeds: seeds.filter(|seed| seed.len() <= SEED_BYTES_MAX).collect(),
        })
    }

    /// Whatever it is, it may be bound and asked.
    fn ask(&self, plugin: &Arc<Plugin>) {
        let Ok(binding) = plugin.bind(stage::settings(&self.host)) else {
            return;
        };
        let call: Arc<dyn CallView> = Arc::new(Call);
        // Any answer is good, and any failure: what counts is that there is one.
        drop(binding.admit(&call));
        drop(binding.transform_call(&call));
        drop(binding.authenticate(&call));
    }
}

impl Target for Uploads {
    fn name(&self) -> &'static str {
        "upload"
    }

    fn try_one(&mut self, random: &mut Random) -> Result<Outcome, String> {
        let mut bytes = random.pick(&self.seeds).cloned().unwrap_or_default();
        mutate(random, &mut bytes, &self.seeds);
        match self.sandbox.admit(&bytes) {
            Ok(plugin) => {
                check(&plugin)?;
                self.ask(&plugin);
                Ok(Outcome::Taken)
            }
            // No stranger's bytes are a reason for the compiler to fail or to be busy.
            Err(error @ (AdmitError::Compiler(_) | AdmitError::Busy { .. })) => {
                Err(error.to_string())
            }
            Err(_) => Ok(Outcome::Refused),
        }
    }
}

/// What is promised of whatever is admitted.
fn check(plugin: &Plugin) -> Result<(), String> {
    let manifest = plugin.manifest();
    let is_name = |text: &str| {
        (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !is_name(&manifest.name) {
        return Err(format!(
            "a plugin of the name {:?} is admitted",
            manifest.name
        ));
    }
    let schema: Result<serde_json::Value, _> = serde_json::from_str(&manifest.config_schema);
    if !schema.is_ok_and(|schema| schema.is_object()) {
        return Err(format!("a schema {:?} is admitted", manifest.config_schema));
    }
    if plugin.hooks().is_empty() || plugin.hooks().len() > Hook::ALL.len() {
        return Err(format!(
            "a plugin with the hooks {:?} is admitted",
            plugin.hooks()
        ));
    }
    Ok(())
}
