//! The chain of four as the pipeline walks it: authenticate, admit, route, transform the call, transform the result.

use std::error::Error;
use std::sync::Arc;

use portcullis_benches::plan;
use portcullis_gateway::call::Call;
use portcullis_gateway::model::{OnFailure, Selector};
use portcullis_gateway::policy::{Bound, Chain};
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
            let hooks = Arc::new(bed.bind_plugin(plugin)?);
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
        let refused = |refusal: portcullis_gateway::refusal::Refusal| refusal.message.into_owned();
        let call = Arc::new(self.call.clone());
        let identity = self.chain.authenticate(&call).map_err(refused)?;
        call.identity.get_or_init(|| identity);
        let call = self.chain.admit(call).map_err(refused)?;
        self.chain.route(&call, &self.candidates).map_err(refused)?;
        let call = self.chain.transform_call(call).map_err(refused)?;
        let result = self
            .chain
            .transform_reply(&call, self.result.clone())
            .map_err(refused)?;
        Ok(result.len())
    }
}
