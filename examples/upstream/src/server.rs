//! The server itself: one handler for every revision, made of the demo and the fixtures.
//!
//! `transport` calls it; tools live in `demo` and `fixtures`, the rest in `prompts`, `resources` and `changes`.
//! A handler lives as long as a session, or as long as one request where there is no session: what must outlive
//! it is in `Shared`. It never looks at HTTP.
#![expect(
    deprecated,
    reason = "logging is deprecated for the future, and part of every revision served here"
)]

use std::{
    borrow::Cow,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    handler::server::{router::tool::ToolRouter, tool::ToolCallContext},
    model::*,
    service::{NotificationContext, RequestContext, SubscriptionContext},
    task_manager::TaskManager,
};
use tokio_util::sync::CancellationToken;

use crate::{
    changes::Changes,
    demo::CallCounts,
    logs::LogThreshold,
    options::{Era, Options},
    paging::{Freshness, page},
    prompts, resources,
};

const INSTRUCTIONS: &str = "A demo server. Try `echo`, `customer_lookup` and `slow`; tools that begin with `test_` \
     are fixtures of the MCP conformance suite.";

/// What all handlers of the process have in common.
pub struct Shared {
    pub name: String,
    pub changes: Changes,
    pub counts: Arc<CallCounts>,
    pub states: RequestStateCodec,
    /// The tasks under way, and the results that wait to be fetched.
    pub tasks: TaskManager,
    pub stop: CancellationToken,
    era: Era,
    tools: ToolRouter<Upstream>,
    page_len: Option<NonZeroUsize>,
    next_handler_id: AtomicU64,
}

impl Shared {
    /// Builds the server that `options` describe; `stop` ends its subscriptions.
    ///
    /// # Errors
    ///
    /// When the secret for `requestState` is too short.
    pub fn new(options: &Options, stop: CancellationToken) -> Result<Arc<Self>, RequestStateError> {
        let secret = match &options.state_secret {
            Some(secret) => secret.as_bytes().to_vec(),
            None => rand::random::<[u8; 32]>().to_vec(),
        };
        let mut tools = Upstream::demo_tools()
            + Upstream::content_tools()
            + Upstream::session_tools()
            + Upstream::stateless_tools()
            + Upstream::round_trip_tools()
            + Upstream::task_tools();
        if !options.allow_crash {
            tools.remove_route("crash");
        }
        Ok(Arc::new(Self {
            name: options.name.clone(),
            changes: Changes::default(),
            counts: Arc::default(),
            states: RequestStateCodec::try_new(secret)?,
            tasks: TaskManager::new(),
            stop,
            era: options.era,
            tools,
            page_len: options.page_len,
            next_handler_id: AtomicU64::new(0),
        }))
    }
}

/// One handler: of a session, of a connection, or of a single stateless request.
#[derive(Clone)]
pub struct Upstream {
    pub shared: Arc<Shared>,
    /// Set by `logging/setLevel`, therefore per session.
    pub log_threshold: Arc<LogThreshold>,
    /// Tells the sessions apart where they wait for notifications.
    pub handler_id: u64,
}

impl Upstream {
    /// A fresh handler over the common state.
    pub fn new(shared: Arc<Shared>) -> Self {
        let handler_id = shared.next_handler_id.fetch_add(1, Ordering::Relaxed);
        Self {
            shared,
            log_threshold: Arc::default(),
            handler_id,
        }
    }

    fn is_offered(&self, tool: &str) -> bool {
        tool != crate::fixtures::DYNAMIC_TOOL || self.shared.changes.has_dynamic_tool()
    }
}

/// Whether this request belongs to the stateless era (2026-07-28 and later).
pub fn is_stateless(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

impl ServerHandler for Upstream {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_logging()
            .enable_completions()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new(
                self.shared.name.clone(),
                env!("CARGO_PKG_VERSION"),
            ))
            .with_instructions(INSTRUCTIONS)
    }

    /// rmcp refuses every other revision, in whichever way it is asked for.
    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(self.shared.era.revisions())
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.shared.changes.register(self.handler_id, context.peer);
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.log_threshold.set(request.level);
        Ok(())
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut tools = self.shared.tools.list_all();
        tools.retain(|tool| self.is_offered(&tool.name));
        let (tools, next_cursor) = page(tools, request.as_ref(), self.shared.page_len)?;
        let freshness = Freshness::of(&context, 5_000, CacheScope::Public);
        Ok(ListToolsResult {
            next_cursor,
            ttl_ms: freshness.ttl_ms,
            cache_scope: freshness.cache_scope,
            ..ListToolsResult::with_all_items(tools)
        })
    }

    /// rmcp asks for the schema here when it validates `Mcp-Param-*` headers.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.shared
            .tools
            .get(name)
            .filter(|tool| self.is_offered(&tool.name))
            .cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !self.is_offered(&request.name) {
            return Err(ErrorData::invalid_params("tool not found", None));
        }
        let counted = CallCounts::enter(&self.shared.counts, context.ct.clone());
        let response = self
            .shared
            .tools
            .call(ToolCallContext::new(self, request, context))
            .await;
        counted.end();
        response
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let (prompts, next_cursor) = page(
            prompts::list(self.shared.changes.has_dynamic_prompt()),
            request.as_ref(),
            self.shared.page_len,
        )?;
        let freshness = Freshness::of(&context, 5_000, CacheScope::Public);
        Ok(ListPromptsResult {
            next_cursor,
            ttl_ms: freshness.ttl_ms,
            cache_scope: freshness.cache_scope,
            ..ListPromptsResult::with_all_items(prompts)
        })
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(request, &context, self.shared.changes.has_dynamic_prompt()).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        prompts::complete(&request)
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let (resources, next_cursor) =
            page(resources::list(), request.as_ref(), self.shared.page_len)?;
        let freshness = Freshness::of(&context, 60_000, CacheScope::Public);
        Ok(ListResourcesResult {
            next_cursor,
            ttl_ms: freshness.ttl_ms,
            cache_scope: freshness.cache_scope,
            ..ListResourcesResult::with_all_items(resources)
        })
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let (templates, next_cursor) = page(
            resources::templates(),
            request.as_ref(),
            self.shared.page_len,
        )?;
        let freshness = Freshness::of(&context, 60_000, CacheScope::Public);
        Ok(ListResourceTemplatesResult {
            next_cursor,
            ttl_ms: freshness.ttl_ms,
            cache_scope: freshness.cache_scope,
            ..ListResourceTemplatesResult::with_all_items(templates)
        })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(request, &context).await
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.shared
            .changes
            .subscribe(self.handler_id, context.peer, request.uri)
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.shared
            .changes
            .unsubscribe(self.handler_id, &request.uri);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.shared
            .changes
            .forward(&context, &self.shared.stop)
            .await;
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.shared
            .tasks
            .get_task(&request.task_id)
            .map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.shared
            .tasks
            .update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.shared.tasks.cancel_task(&request.task_id)
    }
}
