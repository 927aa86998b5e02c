//! What tenants of the benchmarks are given: chains, as the admin API takes them.

use portcullis_benches::plan;
use serde_json::{Value, json};

/// The policies of these plugins, each with the digest that it was published under.
pub fn of(plugins: &[(&str, String)]) -> Value {
    let bindings: Vec<Value> = plugins
        .iter()
        .map(|(plugin, published)| plan::binding(plugin, published))
        .collect();
    json!({"bindings": bindings})
}

/// No policy, and nobody is turned away.
pub fn empty() -> Value {
    json!({"bindings": [], "anonymous": true})
}

/// One policy without configuration that sees tool calls alone.
pub fn on_calls(published: &str) -> Value {
    json!({"anonymous": true, "bindings": [{"name": "guest", "plugin": published, "select": {"methods": ["tools/call"]}}]})
}

/// Sets a member of the object at `pointer`; without such an object nothing happens.
pub fn set(document: &mut Value, pointer: &str, key: &str, value: Value) {
    if let Some(object) = document.pointer_mut(pointer).and_then(Value::as_object_mut) {
        object.insert(key.to_owned(), value);
    }
}
