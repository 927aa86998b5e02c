//! Settings from files, variables and flags; the texts of errors.
