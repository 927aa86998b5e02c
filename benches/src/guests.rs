//! Guests of the benchmarks' own: the smallest admit policy, and ones that misbehave.
//!
//! They are made from one text, so that what is measured is the host and not a language's runtime.

const TEXT: &str = include_str!("../guests/policy.wat");

/// What a guest's admit hook does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Lets every message pass.
    Empty,
    /// Asks the host three times (tenant, method, target), then lets the message pass.
    ThreeCalls,
    /// Never ends.
    Loop,
    /// Takes memory until there is none.
    Bomb,
    /// Traps.
    Trap,
}

impl Behaviour {
    /// Those that a host must survive.
    pub const HOSTILE: [Self; 3] = [Self::Loop, Self::Bomb, Self::Trap];

    /// The guest's name as a plugin.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "bench-empty",
            Self::ThreeCalls => "bench-three-calls",
            Self::Loop => "bench-loop",
            Self::Bomb => "bench-bomb",
            Self::Trap => "bench-trap",
        }
    }

    /// How the host should name its failure; none when it does not fail.
    #[must_use]
    pub fn failure(self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::ThreeCalls => None,
            Self::Loop => Some("deadline"),
            Self::Bomb => Some("memory"),
            Self::Trap => Some("trap"),
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::ThreeCalls => {
                "(call $tenant (local.get $call) (i32.const 128))
                 (call $method (local.get $call) (i32.const 136))
                 (call $target (local.get $call) (i32.const 152))"
            }
            Self::Loop => "(loop $again (br $again))",
            Self::Bomb => "(loop $again (drop (memory.grow (i32.const 16))) (br $again))",
            Self::Trap => "(unreachable)",
        }
    }
}

/// The component, as its author would upload it.
///
/// # Errors
/// When the text is no WebAssembly, which is a defect of this package.
pub fn component(behaviour: Behaviour) -> Result<Vec<u8>, wat::Error> {
    let name = behaviour.name();
    let text = TEXT
        .replace("{name_bytes}", &format!("\\{:02x}", name.len()))
        .replace("{name}", name)
        .replace("{admit}", behaviour.code());
    wat::parse_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_is_a_component() {
        for behaviour in [Behaviour::Empty, Behaviour::ThreeCalls]
            .into_iter()
            .chain(Behaviour::HOSTILE)
        {
            let bytes = component(behaviour).unwrap();
            assert_eq!(&bytes[..8], b"\0asm\x0d\0\x01\0", "{behaviour:?}");
        }
    }
}
