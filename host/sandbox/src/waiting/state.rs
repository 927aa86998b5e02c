//! What the store of a waiting instance knows beyond that of a fast one.

use std::sync::Arc;

use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::console::Lines;
use super::fs::Folder;
use super::http::Outside;
use super::wasi;
use crate::bindings::portcullis::policy as wit;
use crate::guest::GuestLimits;
use crate::host::{self, GuestState};
use crate::{Scope, Services};

/// Streams, pollables and clocks of one instance.
const WASI_HANDLES_MAX: usize = 256;

/// What one store knows: what every guest's does, and what may be waited for.
pub(crate) struct WaitingState {
    pub(super) guest: GuestState,
    pub(super) outside: Arc<dyn Outside>,
    pub(super) folder: Option<Arc<Folder>>,
    pub(super) lines: Arc<Lines>,
    wasi: WasiCtx,
    wasi_handles: ResourceTable,
}

impl WaitingState {
    pub(super) fn new(
        limits: GuestLimits,
        (scope, services): (&Arc<Scope>, &Arc<dyn Services>),
        (outside, folder): (&Arc<dyn Outside>, Option<&Arc<Folder>>),
    ) -> Self {
        let lines = Arc::new(Lines::new(limits.budget.log_lines_max));
        let mut wasi_handles = ResourceTable::new();
        wasi_handles.set_max_capacity(WASI_HANDLES_MAX);
        Self {
            wasi: wasi::empty((scope, services), &lines),
            guest: GuestState::new(limits, (scope, services)),
            outside: Arc::clone(outside),
            folder: folder.map(Arc::clone),
            lines,
            wasi_handles,
        }
    }
}

impl WasiView for WaitingState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.wasi_handles,
        }
    }
}

/// Defines everything that a plugin of this class may import.
pub(super) fn add_to_linker(linker: &mut Linker<WaitingState>) -> Result<()> {
    host::add_to_linker(linker, |state| &mut state.guest)?;
    wit::http::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wit::fs::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasmtime_wasi::p2::add_to_linker_async(linker)
}
