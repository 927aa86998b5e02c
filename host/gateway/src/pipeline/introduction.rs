//! What the gateway says of itself in `initialize` and `server/discover`: what all upstreams of a server can do together,
//! as far as it can be had through here, and how they would like to be used.
//!
//! Nobody is kept waiting for it: a mount that was not asked yet may turn out to be able to do anything.

use std::sync::Arc;

use portcullis_protocol::lifecycle::{Implementation, merge_capabilities};
use portcullis_protocol::listing::{CacheHint, CacheScope, ListKind};
use portcullis_protocol::revision::Era;
use portcullis_protocol::splice;

use crate::policy::Permitted;
use crate::upstream::Introduction;

/// What is served, as JSON Pointers into capabilities, and in which eras. What upstreams declare besides is not promised.
const SERVED: &[(&str, &[Era])] = &[
    ("/tools/listChanged", BOTH),
    ("/prompts/listChanged", BOTH),
    ("/resources/listChanged", BOTH),
    ("/resources/subscribe", BOTH),
    ("/completions", BOTH),
    ("/logging", BOTH),
    ("/tasks/requests/*", &[Era::Session]),
    ("/tasks/cancel", &[Era::Session]),
    (
        "/extensions/io.modelcontextprotocol~1tasks/*",
        &[Era::Stateless],
    ),
];
const BOTH: &[Era] = &[Era::Session, Era::Stateless];

/// What the gateway can do itself for whoever has the member: it notices changes that upstreams say nothing of.
const OWN: &[(&str, &str)] = &[
    ("tools", r#"{"tools":{"listChanged":true}}"#),
    ("prompts", r#"{"prompts":{"listChanged":true}}"#),
    ("resources", r#"{"resources":{"listChanged":true}}"#),
];

/// What an upstream may turn out to declare that was not asked yet.
const ANYTHING: &str =
    r#"{"tools":{},"prompts":{},"resources":{"subscribe":true},"completions":{},"logging":{}}"#;

/// Longest time for which a stateless client may reuse it.
const TTL_MS_MAX: u64 = 60_000;
/// The same while something is not known yet that may be soon.
const TTL_MS_SOON: u64 = 5_000;

/// What the gateway says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// What can be asked for, as JSON text.
    pub(super) capabilities: String,
    pub(super) instructions: Option<String>,
    /// As far as upstreams are concerned.
    pub(super) cache: CacheHint,
}

/// What is known of a mount.
enum Known {
    Said(Arc<Introduction>),
    /// It does not answer.
    Nothing,
    NotAsked,
}

/// What is said to this caller.
pub(super) fn of(call: &Permitted) -> Said {
    let catalogue = call.server.catalogue.peek();
    let is_offered = |kind| {
        let offers = catalogue.as_ref().map(|known| known.offers(kind));
        offers.is_some_and(|offers| !offers.is_empty())
    };
    let mounts = call.server.mounts.iter().enumerate().map(|(at, mount)| {
        let mut replicas = mount.replicas.iter();
        let known = match replicas.find_map(|replica| replica.introduction(call.era)) {
            Some(said) => Known::Said(said),
            None if call.server.catalogue.has_heard(at) => Known::Nothing,
            None => Known::NotAsked,
        };
        (mount.name.as_str(), known)
    });
    let mounts: Vec<_> = mounts.collect();
    Said {
        capabilities: capabilities(&mounts, is_offered, call.era),
        instructions: instructions(&mounts),
        cache: cache(&mounts),
    }
}

/// The name and version of the server that this caller has connected to.
pub(super) fn server_info(call: &Permitted) -> Implementation {
    Implementation {
        name: format!("portcullis/{}", call.server.name),
        version: env!("CARGO_PKG_VERSION").into(),
        title: None,
    }
}

/// What any upstream declares, and what any offers that does not say so.
fn capabilities(
    mounts: &[(&str, Known)],
    is_offered: impl Fn(ListKind) -> bool,
    era: Era,
) -> String {
    let declared = mounts.iter().map(|(_, known)| match known {
        Known::Said(said) => said.capabilities.as_ref(),
        Known::Nothing => "{}",
        Known::NotAsked => ANYTHING,
    });
    let offered = ListKind::ALL.map(|kind| match kind {
        _ if !is_offered(kind) => "{}",
        ListKind::Tools => r#"{"tools":{}}"#,
        ListKind::Prompts => r#"{"prompts":{}}"#,
        ListKind::Resources | ListKind::ResourceTemplates => r#"{"resources":{}}"#,
    });
    let served = SERVED.iter().filter(|(_, eras)| eras.contains(&era));
    let served: Vec<&str> = served.map(|(pointer, _)| *pointer).collect();
    let theirs = merge_capabilities(declared.chain(offered), &served);
    let has = |member: &str| splice::get_member(&theirs, member).is_some();
    let own = OWN.iter().filter(|(member, _)| has(member));
    let own = own.map(|(_, capability)| *capability);
    merge_capabilities(std::iter::once(theirs.as_str()).chain(own), &served)
}

/// One upstream's as they are, several under the names that their tools begin with.
fn instructions(mounts: &[(&str, Known)]) -> Option<String> {
    let is_only_one = mounts.len() == 1;
    let parts = mounts.iter().filter_map(|(name, known)| {
        let Known::Said(said) = known else {
            return None;
        };
        let words = said.instructions.as_deref()?;
        Some(match is_only_one {
            true => words.to_owned(),
            false => format!("## {name}\n\n{}", words.trim()),
        })
    });
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

fn cache(mounts: &[(&str, Known)]) -> CacheHint {
    let private = |ttl_ms| CacheHint {
        ttl_ms,
        scope: CacheScope::Private,
    };
    let known = mounts.iter().map(|(_, known)| match known {
        Known::Said(said) => said.cache.unwrap_or(private(TTL_MS_MAX)),
        Known::Nothing | Known::NotAsked => private(TTL_MS_SOON),
    });
    let most = CacheHint {
        ttl_ms: TTL_MS_MAX,
        ..CacheHint::UNBOUND
    };
    known.fold(most, CacheHint::and)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mount that said this; `-` for one that does not answer, `?` for one that was not asked.
    fn mount(capabilities: &str, instructions: Option<&str>, cache: Option<CacheHint>) -> Known {
        match capabilities {
            "-" => Known::Nothing,
            "?" => Known::NotAsked,
            said => Known::Said(Arc::new(Introduction {
                capabilities: said.into(),
                instructions: instructions.map(Into::into),
                cache,
            })),
        }
    }

    #[test]
    fn what_upstreams_declare_is_promised_where_it_is_served() {
        let all = r#"{"completions":{},"logging":{},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}}"#;
        let tools = r#"{"tools":{"listChanged":true}}"#;
        for (mounts, offered, want) in [
            (&["{}"][..], &[][..], "{}"),
            (&["?"], &[], all),
            (&["-"], &[], "{}"),
            (&["-", r#"{"tools":{}}"#], &[], tools),
            (&["?", r#"{"tools":{}}"#], &[], all),
            (
                &[
                    r#"{"tools":{"listChanged":false}}"#,
                    r#"{"resources":{"subscribe":true},"logging":{}}"#,
                ],
                &[],
                r#"{"logging":{},"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}}"#,
            ),
            (
                &[
                    r#"{"experimental":{"x":{}},"extensions":{"y":{}},"odd":1,"completions":{"z":1}}"#,
                ],
                &[],
                r#"{"completions":{}}"#,
            ),
            (&["{}"], &[ListKind::Tools], tools),
            (
                &["{}"],
                &[ListKind::Prompts],
                r#"{"prompts":{"listChanged":true}}"#,
            ),
            (
                &["{}"],
                &[ListKind::ResourceTemplates],
                r#"{"resources":{"listChanged":true}}"#,
            ),
            (&["nonsense"], &[], "{}"),
        ] {
            let named: Vec<_> = mounts
                .iter()
                .map(|said| ("m", mount(said, None, None)))
                .collect();
            for era in [Era::Session, Era::Stateless] {
                let promised = capabilities(&named, |kind| offered.contains(&kind), era);
                assert_eq!(promised, want, "{era:?} {mounts:?} {offered:?}");
            }
        }
    }

    #[test]
    fn instructions_of_several_stand_under_their_names() {
        for (mounts, want) in [
            (&[("crm", Some(" Be kind.\n"))][..], Some(" Be kind.\n")),
            (&[("crm", None)], None),
            (&[("crm", None), ("files", None)], None),
            (
                &[
                    ("crm", Some("Be kind.\n")),
                    ("mute", None),
                    ("files", Some("Be quick.")),
                ],
                Some("## crm\n\nBe kind.\n\n## files\n\nBe quick."),
            ),
            (
                &[("crm", Some("Be kind.")), ("files", None)],
                Some("## crm\n\nBe kind."),
            ),
        ] {
            let named: Vec<_> = mounts
                .iter()
                .map(|(name, words)| (*name, mount("{}", *words, None)))
                .collect();
            assert_eq!(instructions(&named).as_deref(), want, "{mounts:?}");
        }
    }

    #[test]
    fn it_may_be_reused_for_as_long_as_everybody_says() {
        use CacheScope::{Private, Public};
        let said = |ttl_ms, scope| ("{}", Some(CacheHint { ttl_ms, scope }));
        for (mounts, want) in [
            (&[said(7_000, Public)][..], (7_000, Public)),
            (&[said(900_000, Public)], (60_000, Public)),
            (
                &[said(7_000, Public), said(8_000, Private)],
                (7_000, Private),
            ),
            (&[said(7_000, Public), ("{}", None)], (7_000, Private)),
            (&[("{}", None)], (60_000, Private)),
            (&[said(7_000, Public), ("?", None)], (5_000, Private)),
            (&[said(7_000, Public), ("-", None)], (5_000, Private)),
        ] {
            let named: Vec<_> = mounts
                .iter()
                .map(|(said, hint)| ("m", mount(said, None, *hint)))
                .collect();
            let CacheHint { ttl_ms, scope } = cache(&named);
            assert_eq!((ttl_ms, scope), want, "{mounts:?}");
        }
    }
}
