//! From what documents say to entities and relations: one pure fold, shared by every implementation of the
//! index.
//!
//! The index keeps a log of mentions, at most one for each (entity, chunk) and (relation, chunk). An entity
//! or relation is a fold over its mentions in byte order of chunk id, so neither the order in which documents
//! arrive nor a document that comes twice leaves a trace. What is read for one fold is bounded by
//! [`MENTIONS_READ`]: the ten-thousandth mention of an entity costs what the two-hundredth did.

mod breaks;
mod document;
mod fold;

pub(crate) use breaks::Breaks;
pub(crate) use document::{DocumentMentions, EntityMention, GraphKeys, RelationMention};
pub(crate) use fold::{EntityRow, MENTIONS_READ, RelationRow, entity, relation, unknown_entity};
