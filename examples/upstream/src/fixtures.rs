//! The fixtures that the official MCP conformance suite calls by name.
//!
//! `content` and `session` serve the revisions up to 2025-11-25; `stateless`, `round_trips` and `tasks` add what
//! 2026-07-28 asks for. `server` offers them all to everybody. Names, texts and shapes are the suite's, not ours to choose.

mod content;
mod round_trips;
mod session;
mod stateless;
mod tasks;

use rmcp::model::{CallToolResult, ContentBlock};

/// Comes and goes with `test_trigger_tool_change`.
pub const DYNAMIC_TOOL: &str = "test_dynamic_tool";
/// Loses the stream of its call on purpose; the HTTP transport does that.
pub const RECONNECTION_TOOL: &str = "test_reconnection";

/// A red pixel.
pub const RED_PIXEL_PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A WAV file without a sample.
const EMPTY_WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}
