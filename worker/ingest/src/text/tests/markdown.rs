use super::read;

fn text(source: &str) -> String {
    read("text/markdown", source).text
}

#[test]
fn headings_keep_their_marks_and_the_first_is_the_title() {
    let parsed = read("text/markdown", "Intro\n\nThe *Guide*\n=========\n\n## Part\nText\nwrapped.\n");
    assert_eq!(parsed.title.as_deref(), Some("The Guide"));
    assert_eq!(parsed.text, "Intro\n\n# The Guide\n\n## Part\n\nText wrapped.");
}

#[test]
fn markup_leaves_its_text() {
    let source =
        "A [link](http://x \"t\"), **bold**, `code`, ![a plan](p.png), <b>raw</b>, ~~old~~, AT&amp;T,
[ref].\n\n\
                  [ref]: http://y";
    assert_eq!(text(source), "A link, bold, code, a plan, raw, old, AT&T, ref.");
}

#[test]
fn badges_say_nothing() {
    assert_eq!(text("# Name\n[![Build](b.svg)](u) [![Docs](d.svg)](u)\n\nText"), "# Name\n\nText");
}

#[test]
fn lists_tables_and_code_keep_their_lines() {
    let source = "- one\n- two\n  - three\n\n1. first\n\n   more\n\n| a | b |\n|---|---|\n| 1 | `x` |\n\n\
                  ```rust\nfn a() {\n\n    b()\n}\n```\n\n> quoted";
    let expected = "- one\n- two\n\n- three\n\n- first\n\nmore\n\na | b\n1 | x\n\n\
                    \x20   fn a() {\n        b()\n    }\n\nquoted";
    assert_eq!(text(source), expected);
}

#[test]
fn html_inside_gives_its_text() {
    let source = "<p align=\"center\">\n<img src=\"x\" alt=\"Logo\">\nHello <br> you\n</p>\n\
                  <!-- not -->\n\nNext<br>line";
    assert_eq!(text(source), "Logo Hello\nyou\n\nNext\nline");
}

#[test]
fn front_matter_is_kept_as_text() {
    let parsed = read("text/markdown", "---\ntitle: x\n---\n\n# Name\n");
    assert_eq!(parsed.text, "title: x\n\n# Name");
    assert_eq!(parsed.title.as_deref(), Some("Name"));
}

#[test]
fn text_between_two_rules_is_no_metadata() {
    let text = |source| read("text/markdown", source).text;
    assert_eq!(text("Before\n\n---\n*one*\n\n<b>two</b>\n\n---\nAfter\n"), "Before\n\none\n\ntwo\n\nAfter");
    assert_eq!(text("---\n\n*one*\n\n---\nAfter\n"), "one\n\nAfter");
    assert_eq!(text("---\n---\n*one*\n\n---\nAfter\n"), "one\n\nAfter");
    assert_eq!(text("---\n*never closed*\n"), "never closed");
}
