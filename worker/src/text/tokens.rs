//! The `o200k_base` tokenizer, protected from inputs on which it would fail.

use std::sync::OnceLock;

use tiktoken_rs::CoreBPE;

/// The tokenizer's regular expression gives up on about a million spaces in a row, and a word of this many
/// bytes costs it 48 times as much memory. Longer texts are cut where every cut is a token boundary anyway.
const SEGMENT_BYTES: usize = 64 * 1024;

/// Tokenizer of the process. Building it takes a third of a second, once.
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

    /// Token ids of the text, some thousand at a time; nothing in it is taken for a special token.
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

    /// The text of some tokens; bytes of characters cut in half become U+FFFD.
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
