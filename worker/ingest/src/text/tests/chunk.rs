use std::collections::BTreeMap;

use serde::Deserialize;
use worker::compute::Turn;

use crate::text::{ChunkSize, ChunkSizeError, Chunker};

#[derive(Deserialize)]
struct Reference {
    texts: BTreeMap<String, Repeated>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Repeated {
    unit: String,
    times: usize,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    size: usize,
    overlap: usize,
    count: usize,
    chunks: Vec<(u32, String)>,
}

fn chunker(tokens: usize, overlap: usize) -> Chunker {
    Chunker::new(ChunkSize { tokens, overlap }).expect("a possible size")
}

/// A listed chunk may have its middle replaced by an ellipsis.
fn is_same(listed: &str, content: &str) -> bool {
    let parts = listed.split_once('…').filter(|_| listed.chars().count() == 401);
    parts.map_or(listed == content, |(start, end)| content.starts_with(start) && content.ends_with(end))
}

#[test]
fn chunks_equal_those_of_lightrag() {
    let reference: Reference = serde_json::from_str(include_str!("../testdata/chunking.json")).expect("json");
    for case in reference.cases {
        let text = &reference.texts[&case.text];
        let chunks =
            chunker(case.size, case.overlap).chunks(&text.unit.repeat(text.times), &Turn::unlimited());
        let chunks = chunks.expect("no limit");
        let label = format!("{} {}/{}", case.text, case.size, case.overlap);
        assert_eq!(chunks.len(), case.count, "{label}");
        for (order, (tokens, content)) in case.chunks.iter().enumerate() {
            let chunk = &chunks[order];
            assert_eq!((chunk.order as usize, chunk.tokens), (order, *tokens), "{label}");
            assert!(is_same(content, &chunk.content), "{label} #{order}: {:?}", chunk.content);
        }
    }
}

#[test]
fn overlap_must_leave_a_step() {
    let refused = Chunker::new(ChunkSize { tokens: 100, overlap: 100 });
    assert_eq!(refused.err(), Some(ChunkSizeError::OverlapTooLarge { tokens: 100, overlap: 100 }));
}

#[test]
fn nothing_gives_no_chunk() {
    assert_eq!(chunker(1200, 100).chunks("", &Turn::unlimited()), Ok(vec![]));
}

/// Longer texts are encoded piecewise; the seams must not show.
#[test]
fn long_texts_are_tokenised_as_a_whole() {
    let whole = tiktoken_rs::o200k_base().expect("token table");
    let units = [
        "It's 12,345 words -- or \t more?  (Don't ask.)\n\n  Next…\r\n",
        "let x_y = foo::Bar(1)/2;\n\n\n\treturn;\n",
        "居里夫人在巴黎工作，她发现了钋和镭。",
        "word\nword\n",
        "Ⓐ ① ½ é e\u{301} 🧪🔬 … ",
    ];
    for unit in units {
        let text = unit.repeat(300_000 / unit.len());
        let expected = whole.encode_ordinary(&text);
        let size = ChunkSize { tokens: 50_000, overlap: 0 };
        let chunks = Chunker::new(size).expect("size").chunks(&text, &Turn::unlimited()).expect("no limit");
        let last = chunks.last().expect("a chunk");
        assert_eq!((chunks.len() - 1) * 50_000 + last.tokens as usize, expected.len(), "{unit:?}");
        let tail = whole.decode_bytes(&expected[(chunks.len() - 1) * 50_000..]).expect("tokens");
        assert_eq!(last.content, String::from_utf8_lossy(&tail).trim(), "{unit:?}");
    }
}

/// `tiktoken` itself panics on a million spaces.
#[test]
fn runs_without_a_break_are_chunked() {
    for run in ["a", " ", "\n", "居", "<", "\u{a0}"] {
        let text = format!("x{}x", run.repeat(1_000_000 / run.len()));
        let chunks = chunker(1200, 100).chunks(&text, &Turn::unlimited()).expect("no limit");
        assert!(!chunks.is_empty(), "{run:?}");
        assert!(chunks.last().expect("a chunk").content.ends_with('x'), "{run:?}");
    }
}
