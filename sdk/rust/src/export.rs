//! The two macros of a policy's crate: what it exports, and what it is.

/// Makes a component of a [`Policy`](crate::Policy) that exports `lifecycle` and the hooks named here.
///
/// The host calls exactly what a component exports, so a hook that is not named costs nothing. Natively it does nothing.
///
/// ```
/// # struct Mine;
/// # impl portcullis_sdk::Policy for Mine {
/// #     fn manifest() -> portcullis_sdk::Manifest { portcullis_sdk::manifest!("{}") }
/// #     fn configure(_: &str) -> Result<Self, String> { Ok(Mine) }
/// # }
/// portcullis_sdk::export!(Mine: admit, transform_listing);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    ($policy:ident: $($hook:ident),+ $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, clippy::all, reason = "generated exports")]
        const _: () = {
            impl $crate::component::Instance for $policy {
                fn with<R>(read: impl FnOnce(&::std::cell::OnceCell<Self>) -> R) -> R {
                    ::std::thread_local! {
                        static INSTANCE: ::std::cell::OnceCell<$policy> =
                            const { ::std::cell::OnceCell::new() };
                    }
                    INSTANCE.with(read)
                }
            }
            type Component = $crate::component::Component<$policy>;
            $crate::__portcullis_export!(lifecycle, Component);
            $($crate::__portcullis_export!($hook, Component);)+
        };
    };
}

/// The [`Manifest`](crate::Manifest) of the crate that calls it: name, version and description from its `Cargo.toml`.
///
/// The argument is the JSON Schema of the configuration, as text: `manifest!(include_str!("../schema.json"))`.
#[macro_export]
macro_rules! manifest {
    ($config_schema:expr) => {
        $crate::Manifest {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            description: env!("CARGO_PKG_DESCRIPTION").to_owned(),
            config_schema: $config_schema.to_owned(),
        }
    };
}
