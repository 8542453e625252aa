use std::fmt::Write;
use std::time::{Duration, Instant};

use super::parse;

const BYTES: usize = 400_000;

/// Far above what linear work takes on a loaded machine without optimisation, far below what quadratic work
/// takes.
const DEADLINE: Duration = Duration::from_secs(20);

fn numbered(format: impl Fn(usize) -> String) -> String {
    let mut source = String::with_capacity(BYTES);
    for number in 0.. {
        if source.len() >= BYTES {
            break;
        }
        let _ = source.write_str(&format(number));
    }
    source
}

fn repeated(unit: &str) -> String {
    unit.repeat(BYTES / unit.len())
}

fn assert_quick(media_type: &str, source: &str) {
    let started = Instant::now();
    let parsed = parse(media_type, "hostile", source.as_bytes());
    let elapsed = started.elapsed();
    let start = source.get(..40).unwrap_or_default();
    assert!(elapsed < DEADLINE, "{media_type} {start:?} took {elapsed:?}");
    if let Err(error) = parsed {
        assert_eq!(error.code(), "empty_document", "{media_type} {start:?}");
    }
}

#[test]
fn html_takes_linear_time_and_no_stack() {
    let units = [
        "<div>",
        "<",
        "</",
        "<!",
        "<!--",
        "<?",
        "&",
        "&#1",
        "&amp",
        "<a ",
        "<a b='",
        "x<script></",
        "<ul><li>x",
        "<table><tr><td>x",
        "<nav>x",
        "<td>",
        "<pre>x",
        "<svg>",
        "<h1>x",
        "<title>x",
        "<![CDATA[",
        "\u{0130}<A>",
    ];
    for unit in units {
        assert_quick("text/html", &repeated(unit));
        assert_quick("application/xhtml+xml", &repeated(unit));
    }
    assert_quick("text/html", &numbered(|n| format!("<p><b id={n}>x</p>")));
    assert_quick("text/html", &format!("<img {}>", numbered(|n| format!(" a{n}=b"))));
}

#[test]
fn markdown_takes_linear_time_and_no_stack() {
    let units = [
        ">",
        "> ",
        "- ",
        "1. ",
        "[",
        "[a](",
        "![",
        "<",
        "<!--",
        "a <?",
        "a <b c=\"",
        "*",
        "*a **b",
        "_a_*b",
        "`",
        "|",
        "a|b\n",
        "|\n-|-\n",
        "[a]: b\n",
        "[^a]: ",
        "&amp;",
        "#",
        "\\",
        "<div>\n\n",
        "a\n\n",
        "- a\n",
        "    a\n",
        "[[a]",
        "> - ",
        "\t",
    ];
    for unit in units {
        assert_quick("text/markdown", &repeated(unit));
    }
    let columns = BYTES / 8;
    let table = format!("{}\n{}\n{}", "|a".repeat(columns), "|-".repeat(columns), "|\n".repeat(columns));
    assert_quick("text/markdown", &table);
    assert_quick("text/markdown", &numbered(|n| format!("[a{n}]: b\n\n[a{n}] ")));
    assert_quick("text/markdown", &numbered(|n| format!("[^{n}]: x\n\n[^{n}] ")));
    assert_quick("text/markdown", &numbered(|n| format!("{}- a\n", " ".repeat(n.min(500)))));
}
