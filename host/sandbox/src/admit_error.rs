//! Why bytes are no plugin, with what to do about it.

use thiserror::Error;

/// Why bytes are not admitted as a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AdmitError {
    /// Not WebAssembly at all.
    #[error("this is not a WebAssembly component: it does not begin with `\\0asm`")]
    NotWasm,
    /// A core module.
    #[error(
        "this is a core WebAssembly module, not a component; make one of it with `portcullis-guest componentize` or `wasm-tools component new`"
    )]
    CoreModule,
    /// Over the bound.
    #[error("the component has {bytes} bytes, and at most {bytes_max} are admitted")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The sandbox's bound.
        bytes_max: usize,
    },
    /// An import that no grant covers.
    #[error(
        "the component imports `{0}`, which Portcullis does not offer; a policy may import only portcullis:policy interfaces and WASI 0.2"
    )]
    UnknownImport(String),
    /// Missing exports, or exports of another type.
    #[error("the component is not of a world of portcullis:policy@0.1.0: {0}")]
    WrongWorld(String),
    /// It does not validate or compile.
    #[error("the component does not compile: {0}")]
    Compile(String),
    /// It would take longer to compile than it may.
    #[error(
        "compiling the component took longer than {time_s_max} s; make it smaller, or raise `sandbox.compile_time_s_max`"
    )]
    CompileTime {
        /// The sandbox's bound.
        time_s_max: u64,
    },
    /// Its compiler would need more memory than it may have.
    #[error(
        "compiling the component took more than {memory_bytes_max} bytes of memory; make it smaller, or raise `sandbox.compile_memory_bytes_max`"
    )]
    CompileMemory {
        /// The sandbox's bound.
        memory_bytes_max: u64,
    },
    /// Its machine code is larger than it may be.
    #[error(
        "the component compiles to more than {output_bytes_max} bytes of machine code; make it smaller, or raise `sandbox.compile_output_bytes_max`"
    )]
    CompileOutput {
        /// The sandbox's bound.
        output_bytes_max: u64,
    },
    /// Too many components wait to be compiled.
    #[error("{queued_max} components wait to be compiled already; try again in a moment")]
    Busy {
        /// The sandbox's bound.
        queued_max: usize,
    },
    /// The compiler itself failed; the component is not to blame.
    #[error("the compiler failed: {0}")]
    Compiler(String),
    /// `describe` failed or says something impossible.
    #[error("the component does not describe itself: {0}")]
    Describe(String),
}

impl AdmitError {
    /// A stable code for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotWasm => "not-wasm",
            Self::CoreModule => "core-module",
            Self::TooLarge { .. } => "too-large",
            Self::UnknownImport(_) => "unknown-import",
            Self::WrongWorld(_) => "wrong-world",
            Self::Compile(_) => "compile",
            Self::CompileTime { .. } => "compile-time",
            Self::CompileMemory { .. } => "compile-memory",
            Self::CompileOutput { .. } => "compile-output",
            Self::Busy { .. } => "compiler-busy",
            Self::Compiler(_) => "compiler-failed",
            Self::Describe(_) => "describe",
        }
    }
}
