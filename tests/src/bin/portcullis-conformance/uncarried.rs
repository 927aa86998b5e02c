//! What cannot be carried from one era to the other, or is not done: the one place where a scenario may fail, and why.
//!
//! `verdict` reports these as skipped, and says which of them pass after all, so that they leave this table.

use portcullis_tests::mcp::Era;

use crate::options::Way;

/// One scenario that cannot pass.
#[derive(Debug)]
pub struct Uncarried {
    era: Era,
    scenario: &'static str,
    why: &'static str,
}

const TASKS: &str = "tasks are an extension of 2026-07-28: a server of the session era makes none, and its calls end with their result";

const ONE_BY_ONE: &str = "a server of the session era asks one question after the other, so the gateway never knows of three at once";

const KEYS: &str = "questions of the session era have no keys, and the scenario wants the key that the server of its own era chose";

/// The eras are the suite's; the upstream speaks the other.
const CROSSED: &[Uncarried] = &[
    stateless("tasks-lifecycle", TASKS),
    stateless("tasks-capability-negotiation", TASKS),
    stateless("tasks-wire-fields", TASKS),
    stateless("tasks-request-state-removal", TASKS),
    stateless("tasks-mrtr-input", TASKS),
    stateless("tasks-request-headers", TASKS),
    stateless("tasks-dispatch-and-envelope", TASKS),
    stateless("tasks-mrtr-composition", TASKS),
    stateless("input-required-result-multiple-input-requests", ONE_BY_ONE),
    stateless("input-required-result-basic-elicitation", KEYS),
];

const DPOP: &str =
    "an extension that the gateway does not have: tokens that are bound to a key (RFC 9449)";

const IDENTITY: &str = "an extension that the gateway does not have: grants of an identity provider (SEP-990, SEP-1933)";

/// Here the gateway is the client.
const CLIENT: &[Uncarried] = &[
    session("auth/dpop", DPOP),
    session("auth/dpop-nonce", DPOP),
    session("auth/enterprise-managed-authorization", IDENTITY),
    session("auth/wif-jwt-bearer", IDENTITY),
    stateless("auth/dpop", DPOP),
    stateless("auth/dpop-nonce", DPOP),
    stateless("auth/enterprise-managed-authorization", IDENTITY),
    stateless("auth/wif-jwt-bearer", IDENTITY),
];

const fn session(scenario: &'static str, why: &'static str) -> Uncarried {
    Uncarried {
        era: Era::Session,
        scenario,
        why,
    }
}

const fn stateless(scenario: &'static str, why: &'static str) -> Uncarried {
    Uncarried {
        era: Era::Stateless,
        scenario,
        why,
    }
}

/// Why this scenario cannot pass this way, if that is so.
pub fn why(way: Way, era: Era, scenario: &str) -> Option<&'static str> {
    let table = match way {
        Way::Direct | Way::Gateway => &[],
        Way::GatewayCrossed => CROSSED,
        Way::Client => CLIENT,
    };
    let found = table
        .iter()
        .find(|of| of.era == era && of.scenario == scenario);
    found.map(|of| of.why)
}
