use super::read;

fn text(source: &str) -> String {
    read("text/html", source).text
}

#[test]
fn a_page_gives_title_headings_and_paragraphs() {
    let page = "<!DOCTYPE html><html><head><title>The\n Page</title><style>p{}</style></head><body>\
                <nav><a href=/>Home</a></nav><h1>Top <em>part</em></h1><p>One\n two<p>Three\
                <script>if (a<b) x('</p>')</script> four\
                <div>five</div></body></html>";
    let parsed = read("text/html", page);
    assert_eq!(parsed.title.as_deref(), Some("The Page"));
    assert_eq!(parsed.text, "# Top part\n\nOne two\n\nThree four\n\nfive");
}

#[test]
fn lists_tables_and_code_keep_their_lines() {
    let page = "<ul><li>one<li><p>two</p></li></ul><table><tr><th>a</th><th>b</th></tr><tr><td>1<td>2</table>\
                <pre>x\n  y <b>z</b></pre>end";
    assert_eq!(text(page), "- one\n- two\n\na | b\n1 | 2\n\n    x\n      y z\n\nend");
}

#[test]
fn references_are_decoded_once() {
    assert_eq!(
        text("<p>AT&amp;T &lt;b&gt; caf&eacute; &#233; &amp;lt; a&nbsp;b soft&shy;ly"),
        "AT&T <b> café é &lt; a b softly"
    );
}

#[test]
fn odd_markup_loses_no_text() {
    let cases = [
        ("a < b <3 c", "a < b <3 c"),
        ("<p title='a>b' alt=\"<p>\">text", "text"),
        ("x<!-- <p>no</p> -->y<!-->z<!--->w", "xyzw"),
        ("x<?php echo 1 ?>y</>z</ p>w", "xyzw"),
        ("<SCRIPT>no</Script >yes", "yes"),
        ("<![CDATA[a<b]]> c", "a<b c"),
        ("<svg><title>no</title><svg/></svg>yes", "yes"),
        ("<nav>no<main>yes</main>", "yes"),
        ("<nav>only links</nav>", "only links"),
        ("é<b>é</b>é<", "ééé<"),
        ("text <a href='", "text"),
        ("<a><img alt=badge></a><img alt='a plan' src=x> of", "a plan of"),
        ("<img src=a alt=\"x=1 &amp; y\"/>", "x=1 & y"),
        ("1<br/>2<br>3", "1\n2\n3"),
    ];
    for (source, expected) in cases {
        assert_eq!(text(source), expected, "{source}");
    }
}

#[test]
fn xhtml_knows_empty_elements() {
    let page = "<?xml version=\"1.0\"?><html xmlns=\"x\"><head><title>T</title>\
                <script src=\"a\"/></head><body><p>text</p></body></html>";
    let parsed = read("application/xhtml+xml", page);
    assert_eq!((parsed.title.as_deref(), parsed.text.as_str()), (Some("T"), "text"));
}
