//! api-thin
