//! Target `lifting`: policies of every world that answer with whatever memory the target makes up.
//!
//! A guest asks the host for a value of its state, which the host writes to 65536, and hands that place back as its answer.
//! So the answer is any bytes at all, with addresses into themselves.

use std::sync::Arc;

use portcullis_sandbox::{
    Binding, CallView, Candidate, Denial, Edit, Entry, Failure, Identity, ReplyView,
};
use portcullis_tests::guests::{Policy, World};

use crate::random::Random;
use crate::run::{Outcome, Target};
use crate::stage::{self, Call, Host, OUTPUT_BYTES_MAX};

/// Where the answer begins.
const BASE: u32 = 0x1_0000;
/// Its first part, of numbers; texts follow.
const WORDS: usize = 48;
const ENTRIES: usize = 5;
/// As [`WORDS`], in bytes and for addresses.
const TEXT_AT: u32 = 192;
const TEXTS: [&str; 9] = [
    "{}",
    r#"{"a":[1,2,{"b":null}]}"#,
    "[1]",
    "{",
    "",
    "alice",
    "\u{1f980}\u{0}\n",
    "unauthenticated",
    r#"{"isError":true,"isError":false}"#,
];

/// One binding of each world, on a host that tells them what to answer.
pub struct Answers {
    host: Arc<Host>,
    bindings: Vec<(World, Binding)>,
}

impl Answers {
    /// # Errors
    /// When a guest of the target's own is refused.
    pub fn new() -> Result<Self, String> {
        let (sandbox, host) = (stage::sandbox()?, Arc::<Host>::default());
        let bind = |world: World| {
            let plugin = sandbox
                .admit(&guest(world))
                .map_err(|error| error.to_string())?;
            let binding = plugin
                .bind(stage::settings(&host))
                .map_err(|error| error.to_string())?;
            Ok::<_, String>((world, binding))
        };
        let bindings = World::ALL.map(bind).into_iter().collect::<Result<_, _>>()?;
        Ok(Self { host, bindings })
    }
}

fn guest(world: World) -> Vec<u8> {
    let drop_reply = match world {
        World::ReplyTransformer => "(call $drop_reply (local.get $reply))",
        World::Authenticator
        | World::Admitter
        | World::Router
        | World::CallTransformer
        | World::ListingTransformer => "",
    };
    Policy::new(world, &format!("answers-{}", world.hook()))
        .memory("4")
        .import(("state", "get"), "get", "(param i32 i32 i32)")
        .realloc(&format!("(return (i32.const {BASE}))"))
        .hook(&format!(
            "(call $get (i32.const 1024) (i32.const 1) (i32.const 33000))
             (call $drop (local.get $call)) {drop_reply} (return (i32.const {BASE}))"
        ))
        .component()
}

impl Target for Answers {
    fn name(&self) -> &'static str {
        "lifting"
    }

    fn try_one(&mut self, random: &mut Random) -> Result<Outcome, String> {
        let (world, binding) = random.pick(&self.bindings).ok_or("there is no guest")?;
        self.host.keep(&answer(random));
        let outcome = match ask(*world, binding)? {
            Ok(()) => Outcome::Taken,
            Err(Failure::Trap(_) | Failure::Output(_) | Failure::Memory { .. }) => Outcome::Refused,
            Err(
                failure @ (Failure::Deadline { .. }
                | Failure::HostCalls { .. }
                | Failure::Instances
                | Failure::Quarantined { .. }),
            ) => {
                return Err(format!("{} ended as {failure}", world.hook()));
            }
        };
        // The next caller of the same binding is served, whatever became of this one.
        self.host.keep(&good(*world));
        match ask(*world, binding)? {
            Ok(()) => Ok(outcome),
            Err(failure) => Err(format!(
                "after it a good answer of {} ended as {failure}",
                world.hook()
            )),
        }
    }
}

/// Numbers of all kinds that answers are made of, then texts.
fn answer(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..WORDS {
        let small = u32::from(random.byte());
        let word = match random.below(10) {
            0..3 => 0,
            3 => 1,
            4 => small % 4,
            5 => small,
            6 | 7 => BASE + small,
            8 => BASE + TEXT_AT + small / 2,
            _ => u32::try_from(random.next() >> 32).unwrap_or(u32::MAX),
        };
        bytes.extend(word.to_le_bytes());
    }
    for _ in 0..8 {
        bytes.extend(random.pick(&TEXTS).copied().unwrap_or_default().as_bytes());
        if random.one_in(4) {
            bytes.push(random.byte());
        }
    }
    // A text that is one, where an answer of text is looked for.
    if random.one_in(3) {
        let text = random.pick(&TEXTS).copied().unwrap_or_default();
        let len = u32::try_from(text.len()).unwrap_or(0);
        for (word, value) in [(2, 1), (3, BASE + TEXT_AT), (4, len)] {
            set(&mut bytes, word, value);
        }
        drop(bytes.splice(WORDS * 4.., text.bytes()));
    }
    bytes
}

fn set(bytes: &mut [u8], word: usize, value: u32) {
    for (byte, new) in bytes.iter_mut().skip(word * 4).zip(value.to_le_bytes()) {
        *byte = new;
    }
}

/// Nothing to say: all zeroes, and for a listing as many edits as there are entries.
fn good(world: World) -> Vec<u8> {
    let mut bytes = vec![0; WORDS * 4];
    if world == World::ListingTransformer {
        set(&mut bytes, 2, BASE + 64);
        set(&mut bytes, 3, u32::try_from(ENTRIES).unwrap_or(0));
    }
    bytes
}

/// Asks, and holds the answer against what the sandbox promises of it.
fn ask(world: World, binding: &Binding) -> Result<Result<(), Failure>, String> {
    let call: Arc<dyn CallView> = Arc::new(Call);
    Ok(match world {
        World::Authenticator => binding
            .authenticate(&call)
            .map(|answer| taken(answer.map(|who| who.map_or(0, |who| size(&who))))),
        World::Admitter => binding.admit(&call).map(|answer| taken(answer.map(|()| 0))),
        World::Router => {
            let candidates = [true, false, true].map(|healthy| Candidate {
                healthy,
                in_flight: 0,
                latency_us: 1,
            });
            binding
                .route(&call, &candidates)
                .map(|answer| match answer {
                    Ok(Some(place @ (1 | 3..))) => Err(format!("the candidate {place} is chosen")),
                    Ok(Some(0 | 2) | None) => Ok(()),
                    Err(denial) => taken(Err(denial)),
                })
        }
        World::CallTransformer => binding.transform_call(&call).map(text),
        World::ReplyTransformer => {
            let reply: Arc<dyn ReplyView> = Arc::new(Call);
            binding.transform_reply(&call, &reply).map(text)
        }
        World::ListingTransformer => {
            let entry = || Entry {
                name: "echo".into(),
                definition: r#"{"name":"echo"}"#.into(),
            };
            let entries: Vec<_> = std::iter::repeat_with(entry).take(ENTRIES).collect();
            binding
                .transform_listing(&call, &entries)
                .map(|answer| match answer {
                    Ok(edits) if edits.len() == ENTRIES => {
                        edits.into_iter().try_for_each(|edit| match edit {
                            Edit::Keep | Edit::Hide => Ok(()),
                            Edit::Replace(definition) => text(Ok(Some(definition))),
                        })
                    }
                    Ok(edits) => Err(format!("{} edits of {ENTRIES} entries", edits.len())),
                    Err(denial) => taken(Err(denial)),
                })
        }
    })
    .and_then(|answer| match answer {
        Ok(found) => found.map(Ok),
        Err(failure) => Ok(Err(failure)),
    })
}

fn size(who: &Identity) -> usize {
    let lists = who
        .roles
        .iter()
        .chain(&who.scopes)
        .map(String::len)
        .sum::<usize>();
    lists + who.subject.len() + who.claims.len() + who.team.as_deref().map_or(0, str::len)
}

/// What is handed over stays within the bound.
fn taken(answer: Result<usize, Denial>) -> Result<(), String> {
    let bytes = answer.unwrap_or_else(|denial| {
        denial.code.len() + denial.message.len() + denial.challenge.map_or(0, |text| text.len())
    });
    match bytes {
        0..=OUTPUT_BYTES_MAX => Ok(()),
        more => Err(format!("{more} bytes are taken")),
    }
}

/// Text that takes the place of JSON is JSON.
fn text(answer: Result<Option<String>, Denial>) -> Result<(), String> {
    match answer {
        Ok(Some(text)) => {
            match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text) {
                Ok(_) => taken(Ok(text.len())),
                Err(error) => Err(format!("{text:?} takes the place of an object: {error}")),
            }
        }
        Ok(None) => Ok(()),
        Err(denial) => taken(Err(denial)),
    }
}
