//! The admin plane, driven as a service.
