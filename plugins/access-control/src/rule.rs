//! One rule: the conditions under which it decides, and what it says when it denies.

use portcullis_sdk::{Call, Denial, Glob};
use serde::Deserialize;

use crate::argument::Condition;
use crate::caller::Caller;

/// What a rule does with a message that it matches.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    Allow,
    Deny,
}

/// A rule, as written in the configuration. A condition that is left out holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub effect: Effect,
    roles: Option<Vec<String>>,
    teams: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
    subjects: Option<Vec<Glob>>,
    servers: Option<Vec<Glob>>,
    methods: Option<Vec<Glob>>,
    tools: Option<Vec<Glob>>,
    #[serde(default)]
    arguments: Vec<Condition>,
    message: Option<String>,
}

/// What a rule is asked about.
pub struct Message<'a> {
    method: &'a str,
    target: Option<&'a str>,
    pub is_tool_call: bool,
}

/// The arguments of the message: a call's own, or whichever would suit a rule best.
pub enum Arguments<'a> {
    Of(&'a Call),
    Any,
}

impl<'a> Message<'a> {
    pub fn new(method: &'a str) -> Self {
        Self {
            method,
            target: None,
            is_tool_call: method == "tools/call",
        }
    }

    pub fn about(self, target: Option<&'a str>) -> Self {
        Self { target, ..self }
    }

    /// The refusal that says no more than that it is one.
    pub fn denial(&self) -> Denial {
        Denial::forbidden(match self.target {
            Some(target) => format!("You may not call `{target}`."),
            None => format!("You may not send `{}`.", self.method),
        })
    }
}

impl Rule {
    /// What the schema cannot say.
    pub fn check(&self) -> Result<(), String> {
        if self.effect == Effect::Allow && self.message.is_some() {
            return Err("message: a rule that allows has nothing to say".to_owned());
        }
        for (index, condition) in self.arguments.iter().enumerate() {
            condition
                .check()
                .map_err(|error| format!("arguments[{index}].{error}"))?;
        }
        Ok(())
    }

    /// Whether the rule is about messages of this method. One that names none is about calls of tools.
    pub fn concerns(&self, message: &Message<'_>) -> bool {
        match &self.methods {
            Some(methods) => methods.iter().any(|glob| glob.matches(message.method)),
            None => message.is_tool_call,
        }
    }

    pub fn depends_on_arguments(&self) -> bool {
        !self.arguments.is_empty()
    }

    /// Whether every condition holds.
    pub fn matches(
        &self,
        message: &Message<'_>,
        caller: &Caller<'_>,
        arguments: &Arguments<'_>,
    ) -> bool {
        self.matches_message(message)
            && self.matches_caller(caller)
            && self.matches_scopes(caller)
            && self.matches_arguments(arguments)
    }

    /// Whether it would allow the message if the caller had one of its scopes.
    pub fn lacks_only_scopes(
        &self,
        message: &Message<'_>,
        caller: &Caller<'_>,
        arguments: &Arguments<'_>,
    ) -> bool {
        self.effect == Effect::Allow
            && self.matches_message(message)
            && self.matches_caller(caller)
            && caller.identity().is_some()
            && !self.matches_scopes(caller)
            && self.matches_arguments(arguments)
    }

    fn matches_message(&self, message: &Message<'_>) -> bool {
        self.tools.as_ref().is_none_or(|tools| {
            message
                .target
                .is_some_and(|target| tools.iter().any(|glob| glob.matches(target)))
        })
    }

    fn matches_caller(&self, caller: &Caller<'_>) -> bool {
        let server = |globs: &Vec<Glob>| globs.iter().any(|glob| glob.matches(caller.server()));
        if !self.servers.as_ref().is_none_or(server) {
            return false;
        }
        if self.roles.is_none() && self.teams.is_none() && self.subjects.is_none() {
            return true;
        }
        let Some(who) = caller.identity() else {
            return false;
        };
        let role = |roles: &Vec<String>| roles.iter().any(|role| who.roles.contains(role));
        let team = |teams: &Vec<String>| who.team.as_ref().is_some_and(|team| teams.contains(team));
        let subject = |globs: &Vec<Glob>| globs.iter().any(|glob| glob.matches(&who.subject));
        self.roles.as_ref().is_none_or(role)
            && self.teams.as_ref().is_none_or(team)
            && self.subjects.as_ref().is_none_or(subject)
    }

    fn matches_scopes(&self, caller: &Caller<'_>) -> bool {
        let Some(scopes) = &self.scopes else {
            return true;
        };
        let who = caller.identity();
        who.is_some_and(|who| scopes.iter().any(|scope| who.scopes.contains(scope)))
    }

    fn matches_arguments(&self, arguments: &Arguments<'_>) -> bool {
        match arguments {
            Arguments::Any => true,
            Arguments::Of(call) => self.arguments.iter().all(|condition| condition.holds(call)),
        }
    }

    /// The refusal of a rule that denies.
    pub fn denial(&self, message: &Message<'_>) -> Denial {
        match &self.message {
            Some(text) => Denial::forbidden(text.as_str()),
            None => message.denial(),
        }
    }

    /// RFC 6750, section 3.1: which scopes would have been enough.
    pub fn scope_denial(&self, message: &Message<'_>) -> Denial {
        let scopes: Vec<&str> = self.scopes.iter().flatten().map(String::as_str).collect();
        let what = message.target.unwrap_or(message.method);
        // A scope holds no quote and no backslash (RFC 6749, section 3.3); what is written otherwise is left out.
        let quotable = |scope: &&&str| !scope.contains(['"', '\\']) && scope.is_ascii();
        let listed: Vec<&str> = scopes.iter().filter(quotable).copied().collect();
        Denial::forbidden(match scopes.as_slice() {
            [only] => format!("Calling `{what}` needs the scope `{only}`."),
            several => format!(
                "Calling `{what}` needs one of the scopes `{}`.",
                several.join("`, `")
            ),
        })
        .with_challenge(format!(
            "Bearer error=\"insufficient_scope\", scope=\"{}\"",
            listed.join(" ")
        ))
    }
}
