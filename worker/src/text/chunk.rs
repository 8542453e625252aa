//! Windows of tokens, as LightRAG's default chunker cuts them.

use std::collections::VecDeque;

use super::sanitise::strip;
use super::tokens::Tokens;
use crate::compute::{Stopped, Turn};

/// How to cut. LightRAG's default is 1200 tokens with an overlap of 100.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChunkSize {
    /// Tokens per chunk.
    pub tokens: usize,
    /// Tokens a chunk shares with the one before it.
    pub overlap: usize,
}

impl Default for ChunkSize {
    fn default() -> Self {
        Self { tokens: 1200, overlap: 100 }
    }
}

/// A piece of a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TextChunk {
    /// Position in the document, from 0.
    pub order: u32,
    /// Tokens in the window, before its text is trimmed.
    pub tokens: u32,
    /// The text. Empty only where a whole window is white space.
    pub content: String,
}

/// A chunk size that cannot work.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChunkSizeError {
    /// No chunk would get any further than the one before it.
    #[error("a chunk needs more tokens ({tokens}) than it shares with its neighbour ({overlap})")]
    OverlapTooLarge {
        /// Tokens per chunk.
        tokens: usize,
        /// Tokens shared.
        overlap: usize,
    },
    /// The program itself is broken.
    #[error("the token table built into this program is damaged")]
    TokenTable,
}

/// Cuts text into overlapping chunks.
#[derive(Clone, Copy)]
pub struct Chunker {
    size: ChunkSize,
    tokens: Tokens,
}

impl Chunker {
    /// The first chunker of a process builds the token table, which takes about 0.4 seconds.
    ///
    /// # Errors
    /// When the overlap is not smaller than the chunk.
    pub fn new(size: ChunkSize) -> Result<Self, ChunkSizeError> {
        let tokens = Tokens::load().ok_or(ChunkSizeError::TokenTable)?;
        Self { size, tokens }.sized(size)
    }

    /// A chunker that cuts in another size.
    ///
    /// # Errors
    /// When the overlap is not smaller than the chunk.
    pub fn sized(self, size: ChunkSize) -> Result<Self, ChunkSizeError> {
        if size.overlap >= size.tokens {
            return Err(ChunkSizeError::OverlapTooLarge { tokens: size.tokens, overlap: size.overlap });
        }
        Ok(Self { size, ..self })
    }

    /// The chunks of a text, in order. The last may be short, and may lie within the overlap.
    ///
    /// Keeps a core busy: about 5 million tokens a second. Beside its result it needs the tokens of one chunk.
    ///
    /// # Errors
    /// When `turn` says that the work is to end.
    pub fn chunks(&self, text: &str, turn: &Turn) -> Result<Vec<TextChunk>, Stopped> {
        let step = self.size.tokens - self.size.overlap;
        let (mut chunks, mut window) = (Vec::new(), VecDeque::<u32>::new());
        for tokens in self.tokens.encode(text) {
            turn.check(4 * tokens.len())?;
            window.extend(tokens);
            while window.len() >= self.size.tokens {
                turn.check(self.size.tokens)?;
                chunks.push(self.chunk(&mut window, chunks.len()));
                window.drain(..step);
            }
        }
        while !window.is_empty() {
            chunks.push(self.chunk(&mut window, chunks.len()));
            window.drain(..step.min(window.len()));
        }
        Ok(chunks)
    }

    /// The chunk that the first tokens make.
    fn chunk(&self, tokens: &mut VecDeque<u32>, order: usize) -> TextChunk {
        let length = tokens.len().min(self.size.tokens);
        let window = &tokens.make_contiguous()[..length];
        TextChunk {
            order: u32::try_from(order).unwrap_or(u32::MAX),
            tokens: u32::try_from(length).unwrap_or(u32::MAX),
            content: strip(&self.tokens.decode(window)).to_owned(),
        }
    }
}
