//! Allows or denies messages by ordered rules, and hides from listings what a caller may never call.
//!
//! Before it: authentication. After it: routing; for listings, the listener. It never widens what another policy
//! refused, and it hides a tool only when no arguments could make a call of it pass.

mod argument;
mod caller;
mod rule;

use portcullis_sdk::{Call, Denial, Edit, Entry, Manifest, Policy, config};
use serde::Deserialize;

use caller::Caller;
use rule::{Arguments, Effect, Message, Rule};

/// The policy, as configured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessControl {
    #[serde(default = "deny")]
    default: Effect,
    #[serde(default)]
    rules: Vec<Rule>,
}

fn deny() -> Effect {
    Effect::Deny
}

impl Policy for AccessControl {
    fn manifest() -> Manifest {
        portcullis_sdk::manifest!(include_str!("../schema.json"))
    }

    fn configure(text: &str) -> Result<Self, String> {
        let policy: Self = config::parse(text)?;
        for (index, rule) in policy.rules.iter().enumerate() {
            rule.check()
                .map_err(|error| format!("rules[{index}].{error}"))?;
        }
        Ok(policy)
    }

    fn admit(&self, call: &Call) -> Result<(), Denial> {
        let Some(method) = call.method() else {
            return Ok(());
        };
        let message = Message::new(&method);
        if !self.rules.iter().any(|rule| rule.concerns(&message)) && !message.is_tool_call {
            return Ok(());
        }
        let target = call.target();
        let message = message.about(target.as_deref());
        let caller = Caller::new(call);
        let arguments = Arguments::Of(call);
        let rules = || self.rules.iter().filter(|rule| rule.concerns(&message));
        for rule in rules() {
            if rule.matches(&message, &caller, &arguments) {
                return match rule.effect {
                    Effect::Allow => Ok(()),
                    Effect::Deny => Err(rule.denial(&message)),
                };
            }
        }
        if !message.is_tool_call || self.default == Effect::Allow {
            return Ok(());
        }
        // One scope short of an allowed call: say which, so that the client can ask its user for it.
        let short = |rule: &&Rule| rule.lacks_only_scopes(&message, &caller, &arguments);
        Err(match rules().find(short) {
            Some(rule) => rule.scope_denial(&message),
            None => message.denial(),
        })
    }

    fn transform_listing(&self, call: &Call, entries: &[Entry]) -> Result<Vec<Edit>, Denial> {
        let method = call.method();
        let Some(method) = method.as_deref().and_then(use_of_listed) else {
            return Ok(entries.iter().map(|_| Edit::Keep).collect());
        };
        let caller = Caller::new(call);
        let edits = entries.iter().map(|entry| {
            let message = Message::new(method).about(Some(&entry.name));
            match self.could(&message, &caller) {
                true => Edit::Keep,
                false => Edit::Hide,
            }
        });
        Ok(edits.collect())
    }
}

impl AccessControl {
    /// Whether some arguments would let the message pass.
    fn could(&self, message: &Message<'_>, caller: &Caller<'_>) -> bool {
        for rule in self.rules.iter().filter(|rule| rule.concerns(message)) {
            if !rule.matches(message, caller, &Arguments::Any) {
                continue;
            }
            match rule.effect {
                Effect::Allow => return true,
                // With other arguments the call goes past this rule.
                Effect::Deny if rule.depends_on_arguments() => {}
                Effect::Deny => return false,
            }
        }
        !message.is_tool_call || self.default == Effect::Allow
    }
}

/// The method by which a listed thing is used.
fn use_of_listed(listing: &str) -> Option<&'static str> {
    match listing {
        "tools/list" => Some("tools/call"),
        "prompts/list" => Some("prompts/get"),
        "resources/list" => Some("resources/read"),
        _ => None,
    }
}

portcullis_sdk::export!(AccessControl: admit, transform_listing);

#[cfg(test)]
mod tests;
