use super::{parse, read, refuse};
use crate::text::parse::contained;
use crate::text::{is_supported, media_type_of};

#[test]
fn plain_text_is_sanitised_like_lightrag() {
    let cases = [
        ("  spaced  ", "spaced"),
        ("AT&amp;T", "AT&T"),
        ("a<br>b", "a<br>b"),
        ("name\u{1}with\u{1f}ctl\u{85}\u{7f}\u{ffff}", "namewithctl"),
        ("Nora\u{b}Lindqvist runs\u{c}Fennwick\u{85}Ltd.", "Nora Lindqvist runs Fennwick Ltd."),
        ("a\tb\r\nc", "a\tb\r\nc"),
        ("\u{feff}marked", "marked"),
        ("“居里夫人”", "“居里夫人”"),
    ];
    for (source, text) in cases {
        assert_eq!(read("text/plain; charset=utf-8", source).text, text);
    }
}

#[test]
fn what_is_not_utf8_is_refused_at_its_first_bad_byte() {
    let cases: [(&[u8], &str); 4] = [
        (b"caf\xe9", "byte 3 "),
        (b"\xff\xfeh\0i\0", "byte 0 "),
        (b"\xfe\xff\0h\0i", "byte 0 "),
        (b"a\0b\0c\0", "3 NUL bytes, the first at byte 1:"),
    ];
    for (bytes, at) in cases {
        for media_type in ["text/plain", "text/markdown", "text/html"] {
            let error = refuse(media_type, "a", bytes);
            assert_eq!(error.code(), "not_utf8");
            assert!(error.to_string().contains(at), "{error}");
        }
    }
}

/// A parser would turn it into a replacement character.
#[test]
fn a_stray_nul_is_dropped_like_other_control_characters() {
    let source = "Nora runs Fenn\0wick.\n\nPage 2\0\n\nTomas lives in Oslo, and works there.";
    let text = "Nora runs Fennwick.\n\nPage 2\n\nTomas lives in Oslo, and works there.";
    for media_type in ["text/plain", "text/markdown"] {
        assert_eq!(read(media_type, source).text, text, "{media_type}");
    }
    assert_eq!(read("text/html", "<p>Fenn\0wick runs</p>").text, "Fennwick runs");
    assert_eq!(read("text/plain", "a\0").text, "a");
}

#[test]
fn a_document_without_text_is_empty() {
    let cases = [
        ("text/plain", ""),
        ("text/plain", " \n\t\u{feff}"),
        ("text/plain", "\u{1}\u{2}"),
        ("text/plain", "&nbsp;&#32;"),
        ("text/markdown", "[a]: http://example.com\n\n---\n"),
        (
            "text/html",
            "<html><head><title>only a title</title></head><body><script>x()</script></body></html>",
        ),
    ];
    for (media_type, source) in cases {
        let source = source.strip_suffix('\u{feff}').unwrap_or(source);
        assert_eq!(refuse(media_type, "a", source.as_bytes()).code(), "empty_document", "{source:?}");
    }
}

#[test]
fn other_media_types_are_refused_by_name() {
    for media_type in ["application/pdf", "image/png", "text/csv", "nonsense"] {
        let error = refuse(media_type, "a.md", b"text");
        assert_eq!(error.code(), "unsupported_media_type");
        assert!(error.to_string().contains(media_type));
    }
    assert_eq!(refuse("", "a.exe", b"text").code(), "unsupported_media_type");
}

#[test]
fn the_name_decides_when_the_media_type_says_nothing() {
    for media_type in ["", "application/octet-stream"] {
        let parsed = parse(media_type, "dir/README.md", b"# Title\n\n*word*").expect("readable");
        assert_eq!(parsed.text, "# Title\n\nword");
    }
    assert!(is_supported("TEXT/HTML; charset=UTF-8", ""));
    assert!(!is_supported("", "README"));
}

#[test]
fn names_give_media_types() {
    let cases = [
        ("a.md", Some("text/markdown")),
        ("A.MARKDOWN", Some("text/markdown")),
        ("dir/a.txt", Some("text/plain")),
        ("a.text", Some("text/plain")),
        ("a.rst", Some("text/plain")),
        ("a.b.html", Some("text/html")),
        ("a.htm", Some("text/html")),
        ("a.xhtml", Some("application/xhtml+xml")),
        ("a.pdf", None),
        ("dir.md/a", None),
        ("dir\\a.md", Some("text/markdown")),
        (".md", None),
        ("md", None),
        ("", None),
    ];
    for (name, media_type) in cases {
        assert_eq!(media_type_of(name), media_type, "{name}");
    }
}

#[test]
fn a_panic_in_a_parser_is_an_error() {
    assert_eq!(contained(|| 1), Ok(1));
    let error = contained::<()>(|| panic!("a bug in a parser")).expect_err("contained");
    assert_eq!(error.code(), "parse_failed");
}
