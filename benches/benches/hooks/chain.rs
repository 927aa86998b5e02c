//! The chain of four as the pipeline walks it: authenticate, admit, route, transform the call, transform the result.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use portcullis_benches::plan;
use portcullis_gateway::call::Call;
use portcullis_gateway::model::{OnFailure, Selector};
use portcullis_gateway::policy::{Bound, Chain, Runs};
use portcullis_gateway::refusal::Refusal;
use portcullis_sandbox::Candidate;

use crate::bed::{self, Bed};

/// A chain, and what goes through it.
pub struct Through {
    chain: Chain,
    call: Call,
    candidates: Vec<Candidate>,
    result: String,
}

impl Through {
    /// Binds the four, in order, with the gateway's metrics around each hook.
    pub fn make(bed: &Bed) -> Result<Self, Box<dyn Error>> {
        let mut bindings = Vec::with_capacity(plan::CHAIN.len());
        for plugin in plan::CHAIN {
            let hooks = Runs::Now(Arc::new(bed.bind_plugin(plugin)?));
            let around = (OnFailure::Closed, Selector::default());
            bindings.push(Arc::new(Bound::new(
                ("bench", plugin, plugin),
                hooks,
                around,
                &bed.metrics,
            )));
        }
        Ok(Self {
            chain: Chain::new(bindings, false),
            call: bed.call(),
            candidates: bed::candidates(),
            result: plan::result().to_string(),
        })
    }

    /// One message there and back. The result's length is only handed out so that nothing is optimised away.
    pub fn once(&mut self) -> Result<usize, String> {
        let refused = |refusal: Refusal| refusal.message.into_owned();
        let walked = pin!(self.walk());
        match walked.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(walked) => walked.map_err(refused),
            Poll::Pending => Err("a hook of the fast path was waited for".to_owned()),
        }
    }

    async fn walk(&self) -> Result<usize, Refusal> {
        let call = Arc::new(self.call.clone());
        let identity = self.chain.authenticate(&call).await?;
        call.identity.get_or_init(|| identity);
        let call = self.chain.admit(call).await?;
        self.chain.route(&call, &self.candidates).await?;
        let call = self.chain.transform_call(call).await?;
        let result = self.chain.transform_reply(&call, self.result.clone());
        Ok(result.await?.len())
    }
}
