//! A policy in WebAssembly text: everything that the contract wants, and the places where a guest may misbehave.
//!
//! Memory: the manifest's texts from 1024, the hook's answer at 2048 (zeroes: success), the manifest at 3072, what the host
//! hands over from 4096. Everything from 32768 is a guest's own.

use std::fmt::Write as _;

use super::{NO_WORLDS, componentize, lifecycle};

const PACKAGE: &str = "portcullis:policy";

/// The one hook that a policy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// `authenticate`
    Authenticator,
    /// `admit`
    Admitter,
    /// `route`
    Router,
    /// `transform-call`
    CallTransformer,
    /// `transform-reply`
    ReplyTransformer,
    /// `transform-listing`
    ListingTransformer,
}

impl World {
    /// Every world of one hook.
    pub const ALL: [Self; 6] = [
        Self::Authenticator,
        Self::Admitter,
        Self::Router,
        Self::CallTransformer,
        Self::ReplyTransformer,
        Self::ListingTransformer,
    ];

    /// The hook, which is an interface with one function of the same name.
    #[must_use]
    pub fn hook(self) -> &'static str {
        match self {
            Self::Authenticator => "authenticate",
            Self::Admitter => "admit",
            Self::Router => "route",
            Self::CallTransformer => "transform-call",
            Self::ReplyTransformer => "transform-reply",
            Self::ListingTransformer => "transform-listing",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Authenticator => "authenticator",
            Self::Admitter => "admitter",
            Self::Router => "router",
            Self::CallTransformer => "call-transformer",
            Self::ReplyTransformer => "reply-transformer",
            Self::ListingTransformer => "listing-transformer",
        }
    }

    /// What the hook takes besides the call: a list, or a reply.
    fn parameters(self) -> &'static str {
        match self {
            Self::Authenticator | Self::Admitter | Self::CallTransformer => "",
            Self::Router | Self::ListingTransformer => "(param $list i32) (param $len i32)",
            Self::ReplyTransformer => "(param $reply i32)",
        }
    }
}

/// A policy that lets everything pass, until it is told otherwise.
pub struct Policy {
    world: World,
    name: String,
    version: String,
    imports: String,
    memory: String,
    fields: String,
    describe: String,
    configure: String,
    realloc: String,
    hook: String,
    post_return: String,
}

impl Policy {
    /// A policy that is called `name`.
    #[must_use]
    pub fn new(world: World, name: &str) -> Self {
        Self {
            world,
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            imports: String::new(),
            memory: "1".to_owned(),
            fields: String::new(),
            describe: String::new(),
            configure: String::new(),
            realloc: String::new(),
            hook: String::new(),
            post_return: String::new(),
        }
    }

    /// Its version; 1.0.0 without.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Imports a function of an interface of the contract as `$name`; `shape` is its core type.
    #[must_use]
    pub fn import(mut self, (interface, function): (&str, &str), name: &str, shape: &str) -> Self {
        writeln!(
            self.imports,
            r#"(import "{PACKAGE}/{interface}@0.1.0" "{function}" (func ${name} {shape}))"#
        )
        .expect("a string");
        self
    }

    /// The limits of its memory, in pages of 64 KiB; one page without.
    #[must_use]
    pub fn memory(mut self, limits: &str) -> Self {
        limits.clone_into(&mut self.memory);
        self
    }

    /// Further fields of the module.
    #[must_use]
    pub fn fields(mut self, fields: &str) -> Self {
        self.fields.push_str(fields);
        self
    }

    /// What it does before it says what it is.
    #[must_use]
    pub fn describe(mut self, deed: &str) -> Self {
        deed.clone_into(&mut self.describe);
        self
    }

    /// What it does before it accepts its configuration.
    #[must_use]
    pub fn configure(mut self, deed: &str) -> Self {
        deed.clone_into(&mut self.configure);
        self
    }

    /// What it does when the host asks it for memory.
    #[must_use]
    pub fn realloc(mut self, deed: &str) -> Self {
        deed.clone_into(&mut self.realloc);
        self
    }

    /// What it does in its hook, with the locals `$call`, `$i` and `$at`, before it answers with what is at 2048.
    #[must_use]
    pub fn hook(mut self, deed: &str) -> Self {
        deed.clone_into(&mut self.hook);
        self
    }

    /// What it does when the host has read its answer.
    #[must_use]
    pub fn post_return(mut self, deed: &str) -> Self {
        deed.clone_into(&mut self.post_return);
        self
    }

    /// The component, as its author would upload it.
    ///
    /// # Panics
    /// When a deed is not WebAssembly text, or the module is not of its world.
    #[must_use]
    pub fn component(&self) -> Vec<u8> {
        componentize((NO_WORLDS, self.world.name()), &self.text())
    }

    fn text(&self) -> String {
        let Self {
            world,
            name,
            version,
            imports,
            memory,
            fields,
            describe,
            configure,
            realloc,
            hook,
            post_return,
        } = self;
        let (hook_name, parameters) = (world.hook(), world.parameters());
        let (take_reply, drop_reply) = match world {
            World::ReplyTransformer => (
                r#"(import "portcullis:policy/types@0.1.0" "[resource-drop]reply" (func $drop_reply (param i32)))"#,
                "(call $drop_reply (local.get $reply))",
            ),
            World::Authenticator
            | World::Admitter
            | World::Router
            | World::CallTransformer
            | World::ListingTransformer => ("", ""),
        };
        let post_return = match post_return.as_str() {
            "" => String::new(),
            deed => format!(
                r#"(func (export "cabi_post_{PACKAGE}/{hook_name}@0.1.0#{hook_name}") (param i32) {deed})"#
            ),
        };
        let lifecycle = lifecycle((name, version), (describe, configure));
        format!(
            r#"(module
  (import "{PACKAGE}/types@0.1.0" "[resource-drop]call" (func $drop (param i32)))
  {take_reply} {imports}
  (memory $memory (export "memory") {memory})
  (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc} (i32.const 4096))
  (func $hook (export "{PACKAGE}/{hook_name}@0.1.0#{hook_name}") (param $call i32) {parameters} (result i32)
    (local $i i32) (local $at i32)
    {hook}
    (call $drop (local.get $call)) {drop_reply}
    (i32.const 2048))
  {post_return}
  {fields}
{lifecycle})"#
        )
    }
}
