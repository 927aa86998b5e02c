//! Bodies as they go out.
