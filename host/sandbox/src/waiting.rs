//! Plugins that wait: asynchronous instances beside the synchronous fast path, which does not know of them.
//!
//! A plugin is of this class when it imports `http`, `fs` or anything of WASI. Its hooks run on fibers: at every epoch,
//! and whenever they wait, the thread is free for others. What bounds them is a deadline on the clock. They have an
//! engine of their own, so that they never take an instance from a hook that answers from memory.

mod binding;
mod console;
mod fs;
mod guest;
mod http;
mod queue;
mod state;
mod wasi;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use wasmtime::component::{InstancePre, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result};

use crate::sandbox::{SandboxSettings, compiler_config};

pub use binding::{WaitingBinding, WaitingSettings};
pub use fs::{FolderAccess, FolderGrant};
pub use http::Outside;

pub(crate) use guest::describe;
use queue::Queue;
use state::WaitingState;
pub(crate) use wasi::offers;

/// An instance of this class before it is made.
pub(crate) type WaitingPre = InstancePre<WaitingState>;

/// Room for a guest's frames, and for those of the host beneath them.
const STACK_BYTES: usize = 2 << 20;
const WASM_STACK_BYTES: usize = 1 << 20;
/// Instances that describe or configure themselves, beside those that run hooks.
const SPARE_INSTANCES: u32 = 8;

/// The engine of plugins that wait, and who may run in it now.
pub(crate) struct WaitingRoom {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<WaitingState>,
    pub(crate) queue: Queue,
    bindings: Mutex<Vec<Weak<binding::Idle>>>,
}

impl WaitingRoom {
    pub(crate) fn new(settings: &SandboxSettings) -> Result<Self> {
        let engine = Engine::new(&engine_config(settings))?;
        let mut linker = Linker::new(&engine);
        state::add_to_linker(&mut linker)?;
        Ok(Self {
            engine,
            linker,
            queue: Queue::new(
                settings.waiting_instances_max,
                settings.waiting_queue_len_max,
            ),
            bindings: Mutex::default(),
        })
    }

    /// Notes where a binding keeps its idle instances.
    fn register(&self, idle: &Arc<binding::Idle>) {
        let mut bindings = self.bindings.lock().unwrap_or_else(PoisonError::into_inner);
        bindings.retain(|idle| idle.strong_count() > 0);
        bindings.push(Arc::downgrade(idle));
    }

    /// Frees the idle instances of every binding.
    fn reclaim(&self) {
        let bindings = self.bindings.lock().unwrap_or_else(PoisonError::into_inner);
        bindings
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|idle| idle.clear());
    }
}

/// Machine code is the fast path's; what differs is where instances come from. Language runtimes come in many modules
/// and with large tables.
fn engine_config(settings: &SandboxSettings) -> Config {
    let instances = settings
        .waiting_instances_max
        .saturating_add(SPARE_INSTANCES);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(16))
        .max_core_instances_per_component(64)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .total_memories(instances)
        .max_memories_per_component(4)
        .max_memory_size(usize::try_from(settings.memory_bytes_max).unwrap_or(usize::MAX))
        .total_tables(instances.saturating_mul(4))
        .max_tables_per_component(8)
        .table_elements(100_000)
        .total_stacks(instances)
        .max_unused_warm_slots(8)
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(4 << 10);
    let mut config = compiler_config();
    config
        .async_stack_size(STACK_BYTES)
        .max_wasm_stack(WASM_STACK_BYTES)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
