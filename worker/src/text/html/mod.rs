//! HTML to blocks of text, without building a tree.
//!
//! A tree builder is quadratic on hostile pages by its specification (2,000 paragraphs with one unclosed `<b
//! id=N>` each took html5ever 93 seconds) and recursion over its tree overflows the stack at a few thousand
//! nested elements. The text of a page needs neither: tags come one by one, and only the few that shape text
//! matter.

mod page;
mod scan;

pub(super) use page::{write_fragment, write_page};
pub(super) use scan::Syntax;
