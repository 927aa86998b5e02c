//! What each caller of a process wants to hear, and what the process was asked for on behalf of all of them.
//!
//! A plain table: it tells what the process has to be asked, and never asks.

use std::collections::{BTreeSet, HashMap};

use crate::upstream::limits::UpstreamLimits;

/// Wishes by caller, and subscriptions by URI. `M` is the way to a caller.
#[derive(Debug)]
pub(super) struct Table<M> {
    members: HashMap<u64, Member<M>>,
    topics: HashMap<Box<str>, Topic>,
    subscriptions_len: usize,
    /// Which process was told which level.
    told: Option<(u64, usize)>,
}

#[derive(Debug)]
struct Member<M> {
    mailbox: M,
    /// The least severe log messages that it asked for, as a place in `LOG_LEVELS`.
    level: Option<usize>,
    subscriptions_len: usize,
}

/// A URI that somebody subscribed to.
#[derive(Debug, Default)]
struct Topic {
    subscribers: BTreeSet<u64>,
    /// The process that took the subscription.
    held_by: Option<u64>,
}

/// What a wish means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It has been asked already, or need not be.
    Nothing,
    /// It has to be asked.
    Ask,
}

/// Why a subscription cannot be kept: there are as many as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    pub(super) subscriptions_max: usize,
}

impl<M> Default for Table<M> {
    fn default() -> Self {
        Self {
            members: HashMap::new(),
            topics: HashMap::new(),
            subscriptions_len: 0,
            told: None,
        }
    }
}

impl<M> Table<M> {
    /// Takes a caller in, with the way to it, where it is not there yet. Callers are conversations, whose number is
    /// bounded where they are kept.
    pub(super) fn join(&mut self, uid: u64, mailbox: impl FnOnce() -> M) {
        self.members.entry(uid).or_insert_with(|| Member {
            mailbox: mailbox(),
            level: None,
            subscriptions_len: 0,
        });
    }

    /// Takes a caller out; the URIs that nobody is subscribed to any more.
    pub(super) fn leave(&mut self, uid: u64) -> Vec<Box<str>> {
        let Some(member) = self.members.remove(&uid) else {
            return Vec::new();
        };
        self.subscriptions_len = self
            .subscriptions_len
            .saturating_sub(member.subscriptions_len);
        let mut left = Vec::new();
        self.topics.retain(|uri, topic| {
            topic.subscribers.remove(&uid);
            let is_wanted = !topic.subscribers.is_empty();
            if !is_wanted {
                left.push(uri.clone());
            }
            is_wanted
        });
        left
    }

    /// Whether nobody subscribed to anything.
    pub(super) fn is_quiet(&self) -> bool {
        self.topics.is_empty()
    }

    /// Those who asked for log messages of this severity.
    pub(super) fn hearing(&self, severity: usize) -> impl Iterator<Item = &M> {
        let hears = move |member: &&Member<M>| member.level.is_some_and(|least| severity >= least);
        self.members
            .values()
            .filter(hears)
            .map(|member| &member.mailbox)
    }

    /// Those who subscribed to that resource, or to one that it is a part of (MCP 2025-11-25, "Subscriptions").
    pub(super) fn subscribed(&self, uri: &str) -> Vec<&M> {
        let topics = self.topics.iter().filter(|(topic, _)| covers(topic, uri));
        let uids: BTreeSet<u64> = topics
            .flat_map(|(_, topic)| topic.subscribers.iter().copied())
            .collect();
        let members = uids.iter().filter_map(|uid| self.members.get(uid));
        members.map(|member| &member.mailbox).collect()
    }

    /// Notes the level that a caller asked for.
    pub(super) fn set_level(&mut self, uid: u64, level: usize) {
        if let Some(member) = self.members.get_mut(&uid) {
            member.level = Some(level);
        }
    }

    /// The level to tell a process: the least severe that anybody asked for, where it was told another. It counts as
    /// told from now on.
    pub(super) fn level_due(&mut self, process: u64) -> Option<usize> {
        let least = self
            .members
            .values()
            .filter_map(|member| member.level)
            .min();
        let due = (process, least?);
        if self.told == Some(due) {
            return None;
        }
        self.told = Some(due);
        least
    }

    /// The process has refused a level: what it sends is not known.
    pub(super) fn level_refused(&mut self, process: u64) {
        if self.told.is_some_and(|(told, _)| told == process) {
            self.told = None;
        }
    }

    /// Notes a subscription. Where the process has to be asked, it counts as held when `held` says so.
    pub(super) fn subscribe(
        &mut self,
        uid: u64,
        uri: &str,
        process: u64,
        limits: &UpstreamLimits,
    ) -> Result<Need, Full> {
        let Some(member) = self.members.get_mut(&uid) else {
            return Ok(Need::Ask);
        };
        let is_new = self
            .topics
            .get(uri)
            .is_none_or(|topic| !topic.subscribers.contains(&uid));
        if is_new {
            for (len, subscriptions_max) in [
                (
                    member.subscriptions_len,
                    limits.conversation_subscriptions_max,
                ),
                (self.subscriptions_len, limits.process_subscriptions_max),
            ] {
                if len >= subscriptions_max {
                    return Err(Full { subscriptions_max });
                }
            }
            member.subscriptions_len += 1;
            self.subscriptions_len += 1;
        }
        let topic = self.topics.entry(uri.into()).or_default();
        topic.subscribers.insert(uid);
        Ok(match topic.held_by == Some(process) {
            true => Need::Nothing,
            false => Need::Ask,
        })
    }

    /// The process has taken a subscription.
    pub(super) fn held(&mut self, uri: &str, process: u64) {
        if let Some(topic) = self.topics.get_mut(uri) {
            topic.held_by = Some(process);
        }
    }

    /// Takes a subscription back; the process is asked when nobody else has it. Without it there is nothing to ask.
    pub(super) fn unsubscribe(&mut self, uid: u64, uri: &str) -> Need {
        let Some(topic) = self.topics.get_mut(uri) else {
            return Need::Nothing;
        };
        if !topic.subscribers.remove(&uid) {
            return Need::Nothing;
        }
        let is_last = topic.subscribers.is_empty();
        if is_last {
            self.topics.remove(uri);
        }
        self.subscriptions_len = self.subscriptions_len.saturating_sub(1);
        if let Some(member) = self.members.get_mut(&uid) {
            member.subscriptions_len = member.subscriptions_len.saturating_sub(1);
        }
        if is_last { Need::Ask } else { Need::Nothing }
    }

    /// The URIs that somebody wants to hear of.
    pub(super) fn topics(&self) -> Vec<Box<str>> {
        self.topics.keys().cloned().collect()
    }

    /// Whether a process has to be asked for a subscription that was made before it.
    pub(super) fn is_due(&self, uri: &str, process: u64) -> bool {
        let topic = self.topics.get(uri);
        topic.is_some_and(|topic| topic.held_by != Some(process))
    }
}

/// Whether a resource is the one subscribed to, or a part of it.
fn covers(topic: &str, uri: &str) -> bool {
    uri.strip_prefix(topic).is_some_and(|rest| {
        rest.is_empty() || topic.ends_with('/') || rest.starts_with(['/', '?', '#'])
    })
}

#[cfg(test)]
mod tests;
