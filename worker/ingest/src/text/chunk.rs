//! Cuts text into windows of tokens, as LightRAG's default chunker does.
//!
//! Contains the `o200k_base` tokenizer, protected from inputs on which it would fail.

use std::collections::VecDeque;
use std::sync::OnceLock;

use tiktoken_rs::CoreBPE;
use worker::compute::{Stopped, Turn};

use super::blocks::strip;

/// Chunk size and overlap. LightRAG's default is 1200 tokens with an overlap of 100.
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

/// A chunk of a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TextChunk {
    /// Position in the document, counted from 0.
    pub order: u32,
    /// Tokens in the window, before its text is trimmed.
    pub tokens: u32,
    /// The text. Empty only where a whole window is white space.
    pub content: String,
}

/// Why a chunk size is rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChunkSizeError {
    /// The overlap is as large as the chunk, so no chunk would advance.
    #[error("a chunk needs more tokens ({tokens}) than it shares with its neighbour ({overlap})")]
    OverlapTooLarge {
        /// Tokens per chunk.
        tokens: usize,
        /// Tokens shared.
        overlap: usize,
    },
    /// The token table in the program is damaged.
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

    /// A chunker with another chunk size and the same token table.
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
    /// CPU-bound: about 5 million tokens a second. Besides its result it needs memory for the tokens of one chunk.
    ///
    /// # Errors
    /// When `turn` says that the work has to stop.
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

    /// The chunk made of the first tokens.
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

/// The tokenizer's regular expression gives up on about a million spaces in a row, and a word of this many bytes
/// costs it 48 times as much memory. Longer texts are cut where every cut is a token boundary anyway.
const SEGMENT_BYTES: usize = 64 * 1024;

/// The tokenizer of the process. Building it takes a third of a second, once.
fn tokenizer() -> Option<&'static CoreBPE> {
    static TOKENIZER: OnceLock<Option<CoreBPE>> = OnceLock::new();
    TOKENIZER.get_or_init(|| tiktoken_rs::o200k_base().ok()).as_ref()
}

/// Encodes and decodes text.
#[derive(Clone, Copy)]
pub(super) struct Tokens(&'static CoreBPE);

impl Tokens {
    /// `None` when the token table compiled into the program is broken.
    pub(super) fn load() -> Option<Self> {
        tokenizer().map(Self)
    }

    /// Token ids of the text, some thousand at a time. Special tokens in the text are encoded as ordinary text.
    pub(super) fn encode(self, text: &str) -> impl Iterator<Item = Vec<u32>> {
        let mut rest = text;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (segment, after) = rest.split_at(segment_length(rest));
            rest = after;
            Some(self.0.encode_ordinary(segment))
        })
    }

    /// The text of some tokens; bytes of characters that were cut in half become U+FFFD.
    pub(super) fn decode(self, tokens: &[u32]) -> String {
        let bytes = self.0.decode_bytes(tokens).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Length of the next piece to encode on its own: at the first seam after [`SEGMENT_BYTES`], and at any
/// character after twice as much.
fn segment_length(text: &str) -> usize {
    if text.len() <= SEGMENT_BYTES {
        return text.len();
    }
    let from = text.floor_char_boundary(SEGMENT_BYTES);
    let mut previous = text[..from].chars().next_back().unwrap_or(' ');
    for (at, next) in text[from..].char_indices() {
        if is_seam(previous, next) || at >= SEGMENT_BYTES {
            return from + at;
        }
        previous = next;
    }
    text.len()
}

/// Whether no token of `o200k_base` ever spans these two characters. By its pattern no token has a space
/// behind anything but white space, and a word never includes a line end or an ideographic full stop behind
/// it.
fn is_seam(previous: char, next: char) -> bool {
    let ends_word = previous.is_ascii_alphanumeric() || ('\u{4e00}'..='\u{9fff}').contains(&previous);
    (next == ' ' && !previous.is_whitespace()) || (ends_word && matches!(next, '\n' | '。' | '，'))
}
