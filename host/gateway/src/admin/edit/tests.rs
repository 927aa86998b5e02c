//! Edits on states in memory: what they refuse, and what they leave behind.
