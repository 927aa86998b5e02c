//! The chain itself: for each step of the walk, the bindings that take part in it, in order.
//!
//! Every step can be awaited. It is over when it is first polled, unless a binding in it waits for something.

use std::sync::Arc;

use portcullis_sandbox::{CallView, Candidate, Edit, Entry, Hook, Identity, ReplyView};

use crate::call::Call;
use crate::refusal::Refusal;

use super::{Bound, Permitted};

/// A tenant's policies, compiled and configured.
pub struct Chain {
    steps: [Vec<Arc<Bound>>; Hook::ALL.len()],
    anonymous: Option<Arc<Identity>>,
}

impl Chain {
    /// Sorts bindings by the hooks they have; `anonymous` lets unrecognised callers through.
    #[must_use]
    pub fn new(bindings: Vec<Arc<Bound>>, anonymous: bool) -> Self {
        let steps = Hook::ALL.map(|hook| {
            bindings
                .iter()
                .filter(|bound| bound.has(hook))
                .cloned()
                .collect()
        });
        let anonymous = anonymous.then(|| {
            Arc::new(Identity {
                subject: "anonymous".into(),
                team: None,
                roles: Vec::new(),
                scopes: Vec::new(),
                claims: "{}".into(),
            })
        });
        Self { steps, anonymous }
    }

    pub(super) fn bindings(&self, hook: Hook) -> &[Arc<Bound>] {
        self.steps
            .get(hook.place())
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Who calls where nobody is recognised, if that is allowed.
    pub(super) fn anonymous(&self) -> Option<Arc<Identity>> {
        self.anonymous.clone()
    }

    /// The bindings of one step that this call reaches.
    fn step<'a>(&'a self, hook: Hook, call: &'a Call) -> impl Iterator<Item = &'a Arc<Bound>> {
        self.bindings(hook)
            .iter()
            .filter(|bound| bound.selects(call))
    }

    /// Who is calling: the first identity wins. The selector of an authenticator does not apply, so that no message
    /// slips past it.
    ///
    /// # Errors
    /// 401 when nobody recognises the caller and the chain does not let anonymous callers through.
    pub async fn authenticate(&self, call: &Arc<Call>) -> Result<Arc<Identity>, Refusal> {
        if let Some(tally) = call.tally() {
            tally.call();
        }
        let view: Arc<dyn CallView> = Arc::<Call>::clone(call);
        for bound in self.bindings(Hook::Authenticate) {
            let answer = bound.run(
                Hook::Authenticate,
                call,
                |hooks| hooks.authenticate(&view),
                |waits| Box::pin(waits.authenticate(&view)),
            );
            if let Some(Some(identity)) = answer.await? {
                return Ok(identity);
            }
        }
        self.anonymous().ok_or_else(|| {
            call.refused(None, "unauthenticated");
            Refusal::unauthenticated("no credentials that this tenant accepts; send a token or an API key in `Authorization: Bearer …`")
        })
    }

    /// Whether any binding decides about messages at all.
    #[must_use]
    pub fn admits(&self) -> bool {
        !self.bindings(Hook::Admit).is_empty()
    }

    /// May it. The only maker of [`Permitted`].
    ///
    /// # Errors
    /// The first denial, or the failure of a binding that fails closed.
    pub async fn admit(&self, call: Arc<Call>) -> Result<Permitted, Refusal> {
        let view: Arc<dyn CallView> = Arc::<Call>::clone(&call);
        for bound in self.step(Hook::Admit, &call) {
            let answer = bound.run(
                Hook::Admit,
                &call,
                |hooks| hooks.admit(&view),
                |waits| Box::pin(waits.admit(&view)),
            );
            answer.await?;
        }
        Ok(Permitted(call))
    }

    /// Whether any binding routes this call; without one the host's choice needs no candidates.
    #[must_use]
    pub fn routes(&self, call: &Call) -> bool {
        self.step(Hook::Route, call).next().is_some()
    }

    /// Where to, by the candidate's place: the first choice wins; none keeps the host's.
    ///
    /// # Errors
    /// As [`Chain::admit`].
    pub async fn route(
        &self,
        call: &Permitted,
        candidates: &[Candidate],
    ) -> Result<Option<usize>, Refusal> {
        let view: Arc<dyn CallView> = Arc::<Call>::clone(call.call());
        for bound in self.step(Hook::Route, call) {
            let answer = bound.run(
                Hook::Route,
                call,
                |hooks| hooks.route(&view, candidates),
                |waits| Box::pin(waits.route(&view, candidates)),
            );
            if let Some(Some(choice)) = answer.await? {
                return Ok(Some(choice));
            }
        }
        Ok(None)
    }

    /// New arguments, where a transform asks for them; what changed is admitted again, before the next transform sees it.
    ///
    /// # Errors
    /// As [`Chain::admit`].
    pub async fn transform_call(&self, mut call: Permitted) -> Result<Permitted, Refusal> {
        for bound in self.step(Hook::TransformCall, &call.0.clone()) {
            let view: Arc<dyn CallView> = Arc::<Call>::clone(call.call());
            let answer = bound.run(
                Hook::TransformCall,
                &call,
                |hooks| hooks.transform_call(&view),
                |waits| Box::pin(waits.transform_call(&view)),
            );
            if let Some(Some(arguments)) = answer.await? {
                call = self.admit(Arc::new(call.with_arguments(arguments))).await?;
            }
        }
        Ok(call)
    }

    /// Whether what one caller gets another may not: some policy recognises callers, or judges or edits this message.
    #[must_use]
    pub fn guards(&self, call: &Call) -> bool {
        let of_this_call = [Hook::Admit, Hook::TransformListing, Hook::TransformReply];
        self.anonymous.is_none()
            || !self.bindings(Hook::Authenticate).is_empty()
            || of_this_call
                .into_iter()
                .any(|hook| self.step(hook, call).next().is_some())
    }

    /// Whether any binding wants to see this call's result.
    #[must_use]
    pub fn transforms_reply(&self, call: &Call) -> bool {
        self.step(Hook::TransformReply, call).next().is_some()
    }

    /// A new result, where a transform asks for one: each sees what the one before it left.
    ///
    /// # Errors
    /// As [`Chain::admit`].
    pub async fn transform_reply(
        &self,
        call: &Permitted,
        result: String,
    ) -> Result<String, Refusal> {
        let view: Arc<dyn CallView> = Arc::<Call>::clone(call.call());
        let mut reply = Arc::new(Reply::new(result));
        for bound in self.step(Hook::TransformReply, call) {
            let seen: Arc<dyn ReplyView> = Arc::<Reply>::clone(&reply);
            let answer = bound.run(
                Hook::TransformReply,
                call,
                |hooks| hooks.transform_reply(&view, &seen),
                |waits| Box::pin(waits.transform_reply(&view, &seen)),
            );
            if let Some(Some(changed)) = answer.await? {
                reply = Arc::new(Reply::new(changed));
            }
        }
        Ok(Arc::try_unwrap(reply).map_or_else(|shared| shared.json.clone(), |reply| reply.json))
    }

    /// What of a listing the caller gets to see.
    ///
    /// # Errors
    /// As [`Chain::admit`].
    pub async fn transform_listing(
        &self,
        call: &Permitted,
        mut entries: Vec<Entry>,
    ) -> Result<Vec<Entry>, Refusal> {
        let view: Arc<dyn CallView> = Arc::<Call>::clone(call.call());
        for bound in self.step(Hook::TransformListing, call) {
            let answer = bound.run(
                Hook::TransformListing,
                call,
                |hooks| hooks.transform_listing(&view, &entries),
                |waits| Box::pin(waits.transform_listing(&view, &entries)),
            );
            if let Some(edits) = answer.await? {
                entries = entries
                    .into_iter()
                    .zip(edits)
                    .filter_map(|(entry, edit)| apply(entry, edit))
                    .collect();
            }
        }
        Ok(entries)
    }

    /// Whether any binding edits listings for this call.
    #[must_use]
    pub fn transforms_listing(&self, call: &Call) -> bool {
        self.step(Hook::TransformListing, call).next().is_some()
    }
}

fn apply(entry: Entry, edit: Edit) -> Option<Entry> {
    match edit {
        Edit::Keep => Some(entry),
        Edit::Hide => None,
        Edit::Replace(definition) => Some(Entry {
            name: entry.name,
            definition,
        }),
    }
}

/// A result on its way back.
pub(super) struct Reply {
    json: String,
}

impl Reply {
    pub(super) fn new(json: String) -> Self {
        Self { json }
    }
}

impl ReplyView for Reply {
    fn is_error(&self) -> bool {
        portcullis_protocol::splice::get_member(&self.json, "isError") == Some("true")
    }

    fn json(&self) -> &str {
        &self.json
    }

    fn get(&self, pointer: &str) -> Option<&str> {
        portcullis_protocol::splice::get_pointer(&self.json, pointer)
    }
}
