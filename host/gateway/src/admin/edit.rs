//! One change to a tenant, as a value: applied to the state that was read, then written to the store.
//!
//! Applying is pure: it checks the document, its references and the tenant's bounds, and puts redacted secrets
//! back in place. It never reads the store.

use crate::model::{
    ChainSpec, KeyRecord, Resource, ResourceKind, RolloutPlan, RolloutRecord, RolloutState,
    RunningRollout, TenantState, keep_redacted,
};
use crate::store::{NewChain, Put, RolloutEnd, Store, StoreError};
use crate::tenancy::PrepareError;

use super::changes::Outcome;
use super::{Problem, validate};

/// Most upstreams of one tenant.
const UPSTREAMS_MAX: usize = 1_000;
/// Most servers of one tenant.
const SERVERS_MAX: usize = 1_000;
/// Most issuers of one tenant.
const ISSUERS_MAX: usize = 64;
/// Most API keys of one tenant.
const KEYS_MAX: usize = 10_000;

/// One change to a tenant.
pub(super) enum Edit {
    /// Creates or replaces a document.
    Put { name: String, resource: Resource },
    /// Deletes a document that nothing refers to.
    Delete { kind: ResourceKind, name: String },
    /// Adds a key.
    AddKey(KeyRecord),
    /// Deletes a key.
    DeleteKey(String),
    /// Makes a chain the live one; `if_match` holds the revisions it may replace, none for any.
    Chain {
        if_match: Option<Vec<u64>>,
        chain: Box<NewChain>,
    },
    /// Starts to roll a candidate out.
    StartRollout {
        plan: RolloutPlan,
        candidate: Box<NewChain>,
    },
    /// Changes how a candidate meets traffic.
    ChangeRollout { id: u64, plan: RolloutPlan },
    /// Promotes a candidate or takes it back.
    EndRollout { id: u64, end: RolloutEnd },
}

/// An edit that was applied, and what it was applied to.
pub(super) struct Applied {
    edit: Edit,
    revision_before: u64,
}

impl Edit {
    /// Applies the edit to `state`.
    pub(super) fn apply(self, state: &mut TenantState) -> Result<Applied, Problem> {
        let revision_before = state.revision;
        let edit = match self {
            Self::Put { name, resource } => {
                let resource = put(state, &name, resource)?;
                Self::Put { name, resource }
            }
            Self::Delete { kind, name } => {
                delete(state, kind, &name)?;
                Self::Delete { kind, name }
            }
            Self::AddKey(key) => {
                room_for("API keys", state.keys.len(), KEYS_MAX)?;
                validate::key(&key.spec, key.created_at_ms)?;
                state.keys.push(key.clone());
                Self::AddKey(key)
            }
            Self::DeleteKey(id) => {
                let before = state.keys.len();
                state.keys.retain(|key| key.id != id);
                if state.keys.len() == before {
                    return Err(Problem::missing(format!("there is no key `{id}`")));
                }
                Self::DeleteKey(id)
            }
            Self::Chain { if_match, chain } => {
                put_chain(state, if_match.as_deref(), &chain)?;
                Self::Chain { if_match, chain }
            }
            Self::StartRollout { plan, candidate } => {
                if let Some(running) = &state.rollout {
                    let id = running.record.id;
                    return Err(StoreError::RolloutRunning { id }.into());
                }
                state.rollout = Some(RunningRollout {
                    record: unwritten(state, &plan, &candidate.author),
                    chain: candidate.resolved.clone(),
                });
                Self::StartRollout { plan, candidate }
            }
            Self::ChangeRollout { id, plan } => {
                running(state, id)?.record.plan = plan.clone();
                Self::ChangeRollout { id, plan }
            }
            Self::EndRollout { id, end } => {
                running(state, id)?;
                if let Some(ended) = state.rollout.take()
                    && end.state == RolloutState::Promoted
                {
                    state.chain = ended.chain;
                    state.revision = ended.record.revision;
                }
                Self::EndRollout { id, end }
            }
        };
        Ok(Applied {
            edit,
            revision_before,
        })
    }
}

impl Applied {
    /// The chain that the edit brings before messages, and its place in what was sent; none for what only changes
    /// something else, or takes a chain back.
    pub(super) fn chain<'a>(&self, next: &'a TenantState) -> Option<(&'a ChainSpec, &'static str)> {
        match &self.edit {
            Edit::Chain { .. } => Some((&next.chain, "")),
            Edit::StartRollout { .. } => {
                let candidate = next.rollout.as_ref()?;
                Some((&candidate.chain, "/policies"))
            }
            Edit::EndRollout { end, .. } => {
                (end.state == RolloutState::Promoted).then_some((&next.chain, ""))
            }
            Edit::ChangeRollout { .. }
            | Edit::Put { .. }
            | Edit::Delete { .. }
            | Edit::AddKey(_)
            | Edit::DeleteKey(_) => None,
        }
    }

    /// The problem for the caller whose edit cannot be served. Pointers of preparation lead into the chain, which is
    /// what was sent only when the edit is one.
    pub(super) fn blame(&self, error: PrepareError) -> Problem {
        match &self.edit {
            Edit::Chain { .. } => error.into(),
            Edit::StartRollout { .. } => Problem::from(error).below("/policies"),
            Edit::ChangeRollout { .. }
            | Edit::EndRollout { .. }
            | Edit::Put { .. }
            | Edit::Delete { .. }
            | Edit::AddKey(_)
            | Edit::DeleteKey(_) => Problem::invalid(
                "",
                format!("with this change the tenant could not be served: {error}"),
            ),
        }
    }

    /// Writes what was applied.
    pub(super) async fn write(
        self,
        store: &dyn Store,
        tenant: &str,
    ) -> Result<Outcome, StoreError> {
        match self.edit {
            Edit::Put { name, resource } => {
                Ok(match store.put_resource(tenant, &name, &resource).await? {
                    Put::Created => Outcome::Created,
                    Put::Replaced => Outcome::Replaced,
                })
            }
            Edit::Delete { kind, name } => store
                .delete_resource(tenant, kind, &name)
                .await
                .map(|_| Outcome::Deleted),
            Edit::AddKey(key) => store.put_key(tenant, &key).await.map(|()| Outcome::Created),
            Edit::DeleteKey(id) => store
                .delete_key(tenant, &id)
                .await
                .map(|_| Outcome::Deleted),
            // The generation was made for the revision after the one that was read, so nothing else will do.
            Edit::Chain { if_match: _, chain } => store
                .put_chain(tenant, Some(self.revision_before), *chain)
                .await
                .map(Outcome::Revision),
            Edit::StartRollout { plan, candidate } => store
                .start_rollout(tenant, &plan, *candidate)
                .await
                .map(|record| Outcome::Rollout(record.id)),
            Edit::ChangeRollout { id, plan } => store
                .change_rollout(tenant, id, &plan)
                .await
                .map(|()| Outcome::Rollout(id)),
            Edit::EndRollout { id, end } => store
                .end_rollout(tenant, id, &end)
                .await
                .map(|()| Outcome::Rollout(id)),
        }
    }
}

/// A chain that is put ends the rollout of another.
fn put_chain(
    state: &mut TenantState,
    if_match: Option<&[u64]>,
    chain: &NewChain,
) -> Result<(), StoreError> {
    let current = state.revision;
    if let Some(allowed) = if_match.filter(|allowed| !allowed.contains(&current)) {
        let expected = allowed.first().copied().unwrap_or_default();
        return Err(StoreError::RevisionMoved { expected, current });
    }
    state.chain = chain.resolved.clone();
    state.newest = state.newest.saturating_add(1);
    state.revision = state.newest;
    state.rollout = None;
    Ok(())
}

/// A rollout as it will be written.
fn unwritten(state: &TenantState, plan: &RolloutPlan, author: &str) -> RolloutRecord {
    RolloutRecord {
        id: state.rollouts.saturating_add(1),
        revision: state.newest.saturating_add(1),
        base: state.revision,
        plan: plan.clone(),
        state: RolloutState::Running,
        reason: None,
        author: author.to_owned(),
        started_at_ms: 0,
        ended_at_ms: None,
    }
}

fn running(state: &mut TenantState, id: u64) -> Result<&mut RunningRollout, StoreError> {
    match &mut state.rollout {
        Some(running) if running.record.id == id => Ok(running),
        Some(_) | None => Err(StoreError::NoRolloutRuns { id }),
    }
}

fn put(state: &mut TenantState, name: &str, resource: Resource) -> Result<Resource, Problem> {
    validate::name(name)?;
    Ok(match resource {
        Resource::Upstream(mut spec) => {
            keep_redacted(&mut spec, state.upstreams.get(name))?;
            validate::upstream(&spec)?;
            if state
                .upstreams
                .insert(name.to_owned(), spec.clone())
                .is_none()
            {
                room_for("upstreams", state.upstreams.len() - 1, UPSTREAMS_MAX)?;
            }
            Resource::Upstream(spec)
        }
        Resource::Server(spec) => {
            validate::server(&spec, state)?;
            if state
                .servers
                .insert(name.to_owned(), spec.clone())
                .is_none()
            {
                room_for("servers", state.servers.len() - 1, SERVERS_MAX)?;
            }
            Resource::Server(spec)
        }
        Resource::Issuer(mut spec) => {
            keep_redacted(&mut spec, state.issuers.get(name))?;
            validate::issuer(name, &spec, state)?;
            if state
                .issuers
                .insert(name.to_owned(), spec.clone())
                .is_none()
            {
                room_for("issuers", state.issuers.len() - 1, ISSUERS_MAX)?;
            }
            Resource::Issuer(spec)
        }
    })
}

fn room_for(what: &str, count: usize, count_max: usize) -> Result<(), Problem> {
    if count < count_max {
        Ok(())
    } else {
        Err(Problem::conflict(
            "limit-reached",
            format!("a tenant has at most {count_max} {what}"),
        ))
    }
}

fn delete(state: &mut TenantState, kind: ResourceKind, name: &str) -> Result<(), Problem> {
    let existed = match kind {
        ResourceKind::Upstream => {
            let uses = |mount: &crate::model::Mount| {
                if mount.replicas.is_empty() {
                    mount.name == name
                } else {
                    mount.replicas.iter().any(|replica| replica == name)
                }
            };
            if let Some((server, _)) = state
                .servers
                .iter()
                .find(|(_, server)| server.upstreams.iter().any(uses))
            {
                return Err(Problem::conflict(
                    "in-use",
                    format!(
                        "the server `{server}` mounts the upstream `{name}`: change the server first"
                    ),
                ));
            }
            state.upstreams.remove(name).is_some()
        }
        ResourceKind::Server => state.servers.remove(name).is_some(),
        ResourceKind::Issuer => state.issuers.remove(name).is_some(),
    };
    if existed {
        Ok(())
    } else {
        Err(Problem::missing(format!("there is no {kind} `{name}`")))
    }
}

#[cfg(test)]
mod tests;
