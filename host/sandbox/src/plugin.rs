//! A plugin: a component that has been validated, compiled, and has said what it is.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::binding::{BindError, Binding, BindingSettings};
use crate::bindings::exports::portcullis::policy::lifecycle;
use crate::guest::{Guest, HookIndices};
use crate::host::GuestState;
use crate::machine_code::MachineCode;
use crate::waiting::{self, WaitingBinding, WaitingPre, WaitingSettings};
use crate::{AdmitError, Digest, Sandbox};

pub use lifecycle::Manifest;

const PACKAGE: &str = "portcullis:policy/";
const MANIFEST_BYTES_MAX: u64 = 1 << 20;
/// `describe` runs once, at admission, where nobody waits on a request.
pub(crate) const LIFECYCLE_DEADLINE_MS: u32 = 1_000;

/// A step of the walk that a plugin takes part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// Who is calling.
    Authenticate,
    /// May it.
    Admit,
    /// Where to.
    Route,
    /// Arguments on the way out.
    TransformCall,
    /// Results on the way back.
    TransformReply,
    /// Listings on the way back.
    TransformListing,
}

impl Hook {
    /// Every hook, in the order of the walk.
    pub const ALL: [Self; 6] = [
        Self::Authenticate,
        Self::Admit,
        Self::Route,
        Self::TransformCall,
        Self::TransformReply,
        Self::TransformListing,
    ];

    /// Its place in [`Hook::ALL`].
    #[must_use]
    pub fn place(self) -> usize {
        self as usize
    }

    /// The name of its WIT interface; also its label in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Admit => "admit",
            Self::Route => "route",
            Self::TransformCall => "transform-call",
            Self::TransformReply => "transform-reply",
            Self::TransformListing => "transform-listing",
        }
    }
}

/// How a plugin's hooks run. Its imports decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginClass {
    /// On the thread that serves the request: every import is answered from memory.
    Fast,
    /// Set aside while others run: it imports `http`, `fs` or WASI.
    Waiting,
}

impl PluginClass {
    /// Its name in the admin API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Waiting => "waiting",
        }
    }
}

impl fmt::Display for PluginClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A host interface that a binding must grant before a plugin that imports it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grant {
    /// Shared counters.
    Quota,
    /// Token verification.
    Jwt,
    /// API-key look-up.
    Keys,
    /// Key-value state.
    State,
    /// Own counters and histograms.
    Metrics,
    /// Random bytes.
    Random,
    /// Requests to other hosts.
    Http,
    /// A folder.
    Fs,
}

impl Grant {
    /// Every grant.
    pub const ALL: [Self; 8] = [
        Self::Quota,
        Self::Jwt,
        Self::Keys,
        Self::State,
        Self::Metrics,
        Self::Random,
        Self::Http,
        Self::Fs,
    ];

    /// The name of its WIT interface, as bindings write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Jwt => "jwt",
            Self::Keys => "keys",
            Self::State => "state",
            Self::Metrics => "metrics",
            Self::Random => "random",
            Self::Http => "http",
            Self::Fs => "fs",
        }
    }

    /// Whether a plugin that asks for it waits.
    #[must_use]
    pub fn waits(self) -> bool {
        match self {
            Self::Http | Self::Fs => true,
            Self::Quota | Self::Jwt | Self::Keys | Self::State | Self::Metrics | Self::Random => {
                false
            }
        }
    }

    /// The grant called `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Tells a component from a core module by the layer in its preamble, before any compiler sees it.
pub(crate) fn check_preamble(bytes: &[u8], bytes_max: usize) -> Result<(), AdmitError> {
    let Some((magic, rest)) = bytes.split_at_checked(4) else {
        return Err(AdmitError::NotWasm);
    };
    if magic != b"\0asm" {
        return Err(AdmitError::NotWasm);
    }
    match rest.get(2..4) {
        Some([0, 0]) => Err(AdmitError::CoreModule),
        Some([1, 0]) if bytes.len() > bytes_max => Err(AdmitError::TooLarge {
            bytes: bytes.len(),
            bytes_max,
        }),
        Some([1, 0]) => Ok(()),
        Some(_) | None => Err(AdmitError::NotWasm),
    }
}

/// An admitted component. Immutable; known by its digest.
pub struct Plugin {
    sandbox: Arc<Sandbox>,
    digest: Digest,
    size_bytes: u64,
    manifest: Manifest,
    hooks: Vec<Hook>,
    grants: BTreeSet<Grant>,
    ready: Ready,
}

/// All that can be done ahead for instances of a class.
enum Ready {
    Fast(InstancePre<GuestState>, Box<HookIndices>),
    Waiting(WaitingPre),
}

impl Plugin {
    pub(crate) fn new(
        sandbox: &Arc<Sandbox>,
        linker: &Linker<GuestState>,
        code: &MachineCode,
        (digest, size): (Digest, usize),
    ) -> Result<Self, AdmitError> {
        let load = |engine: &Engine| {
            code.load(engine)
                .map_err(|err| AdmitError::Compiler(format!("{err:#}")))
        };
        let component = load(&sandbox.engine)?;
        let (grants, class) = imports_of(&component, sandbox)?;
        let hooks = hooks_of(&component, sandbox)?;
        let wrong_world = |err: wasmtime::Error| AdmitError::WrongWorld(format!("{err:#}"));
        let (ready, manifest) = match class {
            PluginClass::Fast => {
                let pre = linker.instantiate_pre(&component).map_err(wrong_world)?;
                let indices = HookIndices::new(&pre, &hooks).map_err(wrong_world)?;
                let manifest = Guest::describe(sandbox, &pre, &indices, MANIFEST_BYTES_MAX)?;
                (Ready::Fast(pre, Box::new(indices)), manifest)
            }
            PluginClass::Waiting => {
                let room = &sandbox.waiting;
                let component = load(&room.engine)?;
                let pre = room.linker.instantiate_pre(&component);
                let pre = pre.map_err(wrong_world)?;
                let manifest = waiting::describe(sandbox, (&pre, &hooks), MANIFEST_BYTES_MAX)?;
                (Ready::Waiting(pre), manifest)
            }
        };
        check_manifest(&manifest)?;
        let size_bytes = u64::try_from(size).unwrap_or(u64::MAX);
        Ok(Self {
            sandbox: Arc::clone(sandbox),
            digest,
            size_bytes,
            manifest,
            hooks,
            grants,
            ready,
        })
    }

    /// SHA-256 of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Size of the component, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The hooks it exports, in walk order.
    #[must_use]
    pub fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    /// The grants that its imports need.
    #[must_use]
    pub fn grants(&self) -> &BTreeSet<Grant> {
        &self.grants
    }

    /// How its hooks run.
    #[must_use]
    pub fn class(&self) -> PluginClass {
        match self.ready {
            Ready::Fast(..) => PluginClass::Fast,
            Ready::Waiting(_) => PluginClass::Waiting,
        }
    }

    /// Binds it to a configuration: makes an instance, which must accept the configuration.
    ///
    /// # Errors
    /// [`BindError`]: an import that is not granted, or the guest's own word on its configuration.
    pub fn bind(self: &Arc<Self>, settings: BindingSettings) -> Result<Binding, BindError> {
        Binding::new(&self.sandbox, self, settings)
    }

    /// The same for one that waits, on a runtime with a clock.
    ///
    /// # Errors
    /// As [`Plugin::bind`].
    pub async fn bind_waiting(
        self: &Arc<Self>,
        settings: WaitingSettings,
    ) -> Result<WaitingBinding, BindError> {
        WaitingBinding::new(&self.sandbox, self, settings).await
    }

    pub(crate) fn fast(&self) -> Option<(&InstancePre<GuestState>, &HookIndices)> {
        match &self.ready {
            Ready::Fast(pre, indices) => Some((pre, indices)),
            Ready::Waiting(_) => None,
        }
    }

    pub(crate) fn waiting(&self) -> Option<&WaitingPre> {
        match &self.ready {
            Ready::Fast(..) => None,
            Ready::Waiting(pre) => Some(pre),
        }
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}@{} ({})",
            self.manifest.name, self.manifest.version, self.digest
        )
    }
}

/// The grants that the imports need, and the class that they make the plugin one of.
fn imports_of(
    component: &Component,
    sandbox: &Sandbox,
) -> Result<(BTreeSet<Grant>, PluginClass), AdmitError> {
    let (mut grants, mut class) = (BTreeSet::new(), PluginClass::Fast);
    for (import, _) in component.component_type().imports(&sandbox.engine) {
        let interface = import
            .strip_prefix(PACKAGE)
            .and_then(|rest| rest.split('@').next());
        match interface {
            // Always granted.
            Some("types" | "logging" | "clock") => {}
            Some(name) => {
                let grant = Grant::parse(name)
                    .ok_or_else(|| AdmitError::UnknownImport(import.to_owned()))?;
                if grant.waits() {
                    class = PluginClass::Waiting;
                }
                grants.insert(grant);
            }
            None if waiting::offers(import) => class = PluginClass::Waiting,
            None => return Err(AdmitError::UnknownImport(import.to_owned())),
        }
    }
    Ok((grants, class))
}

fn hooks_of(component: &Component, sandbox: &Sandbox) -> Result<Vec<Hook>, AdmitError> {
    let ty = component.component_type();
    let exported: BTreeSet<&str> = ty
        .exports(&sandbox.engine)
        .filter_map(|(export, _)| {
            export
                .strip_prefix(PACKAGE)
                .and_then(|rest| rest.split('@').next())
        })
        .collect();
    if !exported.contains("lifecycle") {
        return Err(AdmitError::WrongWorld(
            "it does not export `portcullis:policy/lifecycle@0.1.0`".into(),
        ));
    }
    let hooks: Vec<Hook> = Hook::ALL
        .into_iter()
        .filter(|hook| exported.contains(hook.name()))
        .collect();
    if hooks.is_empty() {
        let names = Hook::ALL.map(Hook::name).join("`, `");
        return Err(AdmitError::WrongWorld(format!(
            "it exports no hook; export one or more of `{names}`"
        )));
    }
    Ok(hooks)
}

fn check_manifest(manifest: &Manifest) -> Result<(), AdmitError> {
    let name_is_good = manifest.name.len() <= 64
        && manifest
            .name
            .starts_with(|first: char| first.is_ascii_lowercase())
        && manifest
            .name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !name_is_good {
        return Err(AdmitError::Describe(format!(
            "its name `{:.80}` is not 1-64 of a-z, 0-9 and `-`, starting with a letter",
            manifest.name
        )));
    }
    let version_is_good = (1..=64).contains(&manifest.version.len())
        && manifest
            .version
            .starts_with(|first: char| first.is_ascii_digit())
        && manifest
            .version
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+'))
        && manifest
            .version
            .split(['-', '+'])
            .next()
            .is_some_and(|core| core.split('.').count() == 3);
    if !version_is_good {
        return Err(AdmitError::Describe(format!(
            "its version `{:.80}` is not a semantic version such as 1.0.0",
            manifest.version
        )));
    }
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&manifest.config_schema)
        .map(drop)
        .map_err(|err| {
            AdmitError::Describe(format!("its config-schema is not a JSON object: {err}"))
        })
}
