//! worker/stores
