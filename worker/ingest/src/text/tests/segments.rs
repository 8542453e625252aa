//! A long document is read in segments; the seams must not show.

use std::fmt::Write as _;

use proptest::prelude::*;
use worker::compute::Turn;

use super::read;
use crate::text::blocks::BlockWriter;
use crate::text::markdown::write_whole;
use crate::text::segments::WINDOW_BYTES;

fn text(source: &str) -> String {
    read("text/markdown", source).text
}

/// Parsed as one segment.
fn whole(source: &str) -> String {
    let turn = Turn::unlimited();
    let mut blocks = BlockWriter::new(&turn);
    write_whole(source, &mut blocks).expect("no limit");
    blocks.finish().0.trim().to_owned()
}

/// Shows where two long texts differ.
fn assert_same(source: &str) {
    let (expected, found) = (whole(source), text(source));
    let same = expected.bytes().zip(found.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        let (from, to) =
            (text.floor_char_boundary(same.saturating_sub(80)), text.ceil_char_boundary(same + 80));
        text[from..to].to_owned()
    };
    assert!(expected == found, "at {same}:\n{:?}\n{:?}", around(&expected), around(&found));
}

/// Repeats a unit until it fills several windows.
fn long(unit: impl Fn(usize) -> String) -> String {
    let mut source = String::new();
    for number in 0.. {
        if source.len() > 3 * WINDOW_BYTES {
            break;
        }
        source.push_str(&unit(number));
    }
    source
}

#[test]
fn blocks_of_every_kind_are_the_same_in_segments() {
    let units: [fn(usize) -> String; 11] = [
        |n| format!("Paragraph {n} with *emphasis*, `code` and\na second line.\n\n"),
        |n| format!("Heading {n}\n=======\n## Part {n}\nText.\n***\n"),
        |n| {
            format!(
                "```rust\nfn f{n}() {{\n\n# no heading\n- no item\n}}\n```\nText.\n\n~~~\n```\n{n}\n~~~~\n\n"
            )
        },
        |n| {
            format!("1. one {n}\n2. two\n\n   more\n\n   ```\n   code\n   ```\n3. three\n\nText between.\n\n")
        },
        |n| format!("- a {n}\n  - b\n    - c\n* other list\n\n+ third\n\n"),
        |n| format!("|a|b|\n|-|-|\n|{n}|`x|y`|\n|2|3|\n\nafter\n\n"),
        |n| format!("<div>\n<p>html {n}\n</div>\n\n<!-- hidden\n\n# {n} -->\n\nText <b>bold</b>.\n\n"),
        |n| format!("> quoted {n}\n> > deeper\nlazy\n\n> another\n\n"),
        |n| format!("    indented {n}\n\n    more\n\nText\n    no code\n\n"),
        |n| {
            format!(
                "See [the page][p{n}], [p{n}], ![image][p{n}] and [^n{n}].\n\n[^n{n}]: Note {n}\n    goes on.\n\n"
            )
        },
        |n| format!("[unknown {n}][nowhere] [^nothing] [x]\n\n"),
    ];
    for unit in units {
        assert_same(&long(|n| format!("{}{}", unit(n), if n == 0 { "[p0]: http://x\n\n" } else { "" })));
    }
    assert_same(&long(|n| (units[n % units.len()])(n)));
}

#[test]
fn references_find_their_definitions_in_other_segments() {
    let definitions = "[Some Page]: http://x 'title'\n[^note]: The note.\n\n";
    let text = "A [link][some  page], a [Some Page] and [^note].\n\n";
    assert_same(&format!("{}{definitions}", long(|_| text.to_owned())));
    assert_same(&format!("{definitions}{}", long(|_| text.to_owned())));
}

#[test]
fn one_block_longer_than_a_window_keeps_its_form() {
    assert_same(&format!("Before\n\n{}\nAfter\n", long(|n| format!("- item {n}\n  goes on\n"))));
    assert_same(&format!("{}\nAfter\n", long(|n| format!("{n}. item\n\n   more\n\n"))));
    assert_same(&format!("|a|b|\n|-|-|\n{}\nAfter\n\n|c|\n|-|\n|d|\n", long(|n| format!("|{n}|x|\n"))));
    assert_same(&format!(
        "Before\n````log\n{}````\nAfter\n",
        long(|n| format!("line {n}\n\n```\n# no heading\n"))
    ));
    assert_same(&format!("~~~\n{}", long(|n| format!("line {n}\n"))));
    assert_same(&format!("<table>\n{}</table>\n\nAfter *that*\n", long(|n| format!("<tr><td>{n}<td>*x*\n"))));
    assert_same(&format!("<script>\n{}</script>\n\nAfter *that*\n", long(|n| format!("x({n});\n\n"))));
    assert_same(&format!("{}\n\nAfter\n", long(|n| format!("line {n} of *one* paragraph\n"))));
    assert_same(&format!("[a]: b\n\n```\n{}```\nAfter\n", long(|n| format!("line {n}\n"))));
}

/// Blocks that are cut inside keep all their text.
#[test]
fn hostile_blocks_lose_no_word() {
    let units = [
        "[",
        "*a_ ",
        "<i>",
        "`a` ",
        "> - ",
        "[a](b) ",
        "![",
        "\\",
        "é",
        "> a ",
        "[^",
        "- a\n  - b\n    - c\n",
        "|",
    ];
    for unit in units {
        let source = format!("first\n\n{}last", unit.repeat(3 * WINDOW_BYTES / unit.len()));
        let text = text(&source);
        assert!(text.starts_with("first") && text.ends_with("last"), "{unit:?}");
        let letters = |text: &str| text.chars().filter(|&c| c == 'a').count();
        assert_eq!(letters(&text), letters(&source), "{unit:?}");
    }
}

fn block() -> impl Strategy<Value = String> {
    let word = "[a-z]{1,8}";
    prop_oneof![
        (word, word).prop_map(|(a, b)| format!("{a} *{b}* [{a}]\nline\n\n")),
        word.prop_map(|a| format!("# {a}\n")),
        (word, 1..4_usize).prop_map(|(a, n)| format!("- {a}\n{}", "  - x\n".repeat(n))),
        (word, 1..4_usize).prop_map(|(a, n)| format!("{n}) {a}\n\n")),
        word.prop_map(|a| format!("```\n{a}\n\n- x\n```\n")),
        word.prop_map(|a| format!("<div>{a}\n\n")),
        word.prop_map(|a| format!("| {a} | b |\n|---|---|\n| c | d |\n\n")),
        word.prop_map(|a| format!("> {a}\nlazy\n\n")),
        word.prop_map(|a| format!("[{a}]: http://{a}\n\n")),
        word.prop_map(|a| format!("{a}\n---\n")),
        word.prop_map(|a| format!("    {a}\n\n")),
        Just("\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// Padding shifts the seams.
    #[test]
    fn any_mixture_of_blocks_is_the_same_in_segments(
        blocks in prop::collection::vec(block(), 60..120),
        padding in 500..3_000_usize,
    ) {
        let mut source = String::new();
        for (number, block) in blocks.iter().cycle().enumerate() {
            if source.len() > 2 * WINDOW_BYTES {
                break;
            }
            source.push_str(block);
            if number % 7 == 0 {
                let _ = write!(source, "\n{}\n\n", "pad ".repeat(padding / 4));
            }
        }
        assert_same(&source);
    }
}
