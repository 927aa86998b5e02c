//! The engines that the plugins of the process share, and the door through which components come in.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use thiserror::Error;
use wasmtime::component::Linker;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::cache::Cache;
use crate::compile::{CompileLimits, Compiler};
use crate::host::{self, Budget, GuestState};
use crate::machine_code::MachineCode;
use crate::pool::Pool;
use crate::ticker::Ticker;
use crate::waiting::WaitingRoom;
use crate::{AdmitError, Digest, Plugin};

/// Bounds of the whole process; bindings lower them for themselves.
#[derive(Debug, Clone)]
pub struct SandboxSettings {
    /// Folder of compiled components; none compiles anew at every start.
    pub cache_dir: Option<PathBuf>,
    /// Most instances alive at once, over all bindings.
    pub instances_max: u32,
    /// Most memory that any binding may allow one instance, in bytes.
    pub memory_bytes_max: u64,
    /// Largest component admitted, in bytes.
    pub component_bytes_max: usize,
    /// Bounds of compiling one.
    pub compile: CompileLimits,
    /// Most calls into the host during one hook.
    pub host_calls_max: u32,
    /// Most log lines during one hook; further ones are dropped.
    pub log_lines_max: u32,
    /// Most instances of plugins that wait that run at once, over all bindings.
    pub waiting_instances_max: u32,
    /// Most hooks that wait for one of these.
    pub waiting_queue_len_max: usize,
    /// Hooks that a warm instance serves before it is replaced.
    pub uses_max: u32,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            cache_dir: None,
            instances_max: 1_000,
            memory_bytes_max: 64 << 20,
            component_bytes_max: 32 << 20,
            compile: CompileLimits::default(),
            host_calls_max: 10_000,
            log_lines_max: 16,
            waiting_instances_max: 64,
            waiting_queue_len_max: 1_024,
            uses_max: 1_000_000,
        }
    }
}

/// Why the sandbox cannot be set up on this machine.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// wasmtime refused the configuration: most often too little address space for the pool.
    #[error(
        "the engine cannot be set up with room for {instances_max} instances; lower `sandbox.instances_max`"
    )]
    Engine {
        /// What was asked for.
        instances_max: u32,
        /// wasmtime's reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The folder of compiled components cannot be used.
    #[error("compiled components cannot be cached in {}", folder.display())]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The thread that keeps deadlines did not start.
    #[error("the deadline thread cannot be started")]
    Ticker(#[source] std::io::Error),
}

/// An engine for each class of plugins, and one clock. Cheap to share.
pub struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) settings: SandboxSettings,
    pub(crate) waiting: WaitingRoom,
    linker: Linker<GuestState>,
    cache: Option<Cache>,
    compiler: Compiler,
    pools: Mutex<Vec<Weak<Pool>>>,
    _ticker: Ticker,
}

impl Sandbox {
    /// Sets up the engine and starts its clock.
    ///
    /// # Errors
    /// [`SandboxError`], with what to change.
    pub fn new(settings: SandboxSettings) -> Result<Arc<Self>, SandboxError> {
        let refused = |source: wasmtime::Error| SandboxError::Engine {
            instances_max: settings.instances_max,
            source: source.into(),
        };
        let engine = Engine::new(&engine_config(&settings)).map_err(refused)?;
        let mut linker = Linker::new(&engine);
        host::add_to_linker(&mut linker, |state| state).map_err(refused)?;
        let waiting = WaitingRoom::new(&settings).map_err(refused)?;
        let cache = match &settings.cache_dir {
            None => None,
            Some(folder) => {
                Some(
                    Cache::open(folder, &engine).map_err(|source| SandboxError::Cache {
                        folder: folder.clone(),
                        source,
                    })?,
                )
            }
        };
        let compiler = Compiler::new(settings.compile);
        let ticker = Ticker::start([&engine, &waiting.engine]).map_err(SandboxError::Ticker)?;
        Ok(Arc::new(Self {
            engine,
            settings,
            waiting,
            linker,
            cache,
            compiler,
            pools: Mutex::default(),
            _ticker: ticker,
        }))
    }

    /// Validates and compiles a component, or loads its compiled form from the cache. Blocks for the compile.
    ///
    /// # Errors
    /// [`AdmitError`]: what the bytes are not.
    pub fn admit(self: &Arc<Self>, bytes: &[u8]) -> Result<Arc<Plugin>, AdmitError> {
        crate::plugin::check_preamble(bytes, self.settings.component_bytes_max)?;
        let digest = Digest::of(bytes);
        let cached = self.cache.as_ref();
        let code = match cached.and_then(|cache| cache.load(&self.engine, digest)) {
            Some(code) => code,
            None => self.compile(digest, bytes)?,
        };
        Plugin::new(self, &self.linker, &code, (digest, bytes.len())).map(Arc::new)
    }

    fn compile(&self, digest: Digest, bytes: &[u8]) -> Result<MachineCode, AdmitError> {
        let code = self.compiler.compile(&self.engine, (digest, bytes))?;
        // The compiler knows nothing of the pool: what has no room in any slot of it is found out here.
        code.load(&self.engine)
            .map_err(|err| AdmitError::Compile(format!("{err:#}")))?;
        if let Some(cache) = &self.cache {
            cache.store(digest, &code);
        }
        Ok(code)
    }

    pub(crate) fn budget(&self) -> Budget {
        Budget {
            host_calls_max: self.settings.host_calls_max,
            log_lines_max: self.settings.log_lines_max,
        }
    }

    pub(crate) fn register(&self, pool: &Arc<Pool>) {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    /// Frees the idle instances of every binding: what one tenant keeps warm never keeps another from running.
    pub(crate) fn reclaim(&self) {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|pool| pool.clear());
    }
}

fn engine_config(settings: &SandboxSettings) -> Config {
    let instances = settings.instances_max;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        // A component made by `componentize` holds its module and one or two shims.
        .total_core_instances(instances.saturating_mul(4))
        .max_core_instances_per_component(16)
        .total_memories(instances)
        .max_memories_per_component(4)
        .max_memory_size(usize::try_from(settings.memory_bytes_max).unwrap_or(usize::MAX))
        .total_tables(instances.saturating_mul(3))
        .max_tables_per_component(8)
        .table_elements(10_000)
        // Nothing is ever set aside here.
        .total_stacks(1)
        .max_unused_warm_slots(16)
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(4 << 10);
    let mut config = compiler_config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// What machine code is made by. It runs in engines of this configuration, whatever they take instances from.
pub(crate) fn compiler_config() -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .memory_init_cow(true)
        .wasm_component_model(true)
        .concurrency_support(false)
        .max_wasm_stack(256 << 10)
        .wasm_backtrace_max_frames(None);
    config
}
