//! Which kinds of document we read, by media type or by file name.

/// How a document is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Plain,
    Markdown,
    Html,
    Xhtml,
}

const EXTENSIONS: [(&str, &str); 12] = [
    ("adoc", "text/plain"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("log", "text/plain"),
    ("markdown", "text/markdown"),
    ("md", "text/markdown"),
    ("mdown", "text/markdown"),
    ("mkd", "text/markdown"),
    ("rst", "text/plain"),
    ("text", "text/plain"),
    ("txt", "text/plain"),
    ("xhtml", "application/xhtml+xml"),
];

/// The media type a file name stands for, or `None` when we cannot read such files.
#[must_use]
pub fn media_type_of(name: &str) -> Option<&'static str> {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let (stem, extension) = file.rsplit_once('.')?;
    if stem.is_empty() {
        return None;
    }
    let known = |(known, _): &&(&str, &str)| known.eq_ignore_ascii_case(extension);
    EXTENSIONS.iter().find(known).map(|(_, media_type)| *media_type)
}

/// Whether [`parse`](super::parse()) knows how to read such a document.
#[must_use]
pub fn is_supported(media_type: &str, name: &str) -> bool {
    format_of(media_type, name).is_some()
}

/// The declared media type wins; a missing or meaningless one gives way to the file name.
pub(super) fn format_of(media_type: &str, name: &str) -> Option<Format> {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "text/plain" | "text/x-rst" | "text/prs.fallenstein.rst" => Some(Format::Plain),
        "text/markdown" | "text/x-markdown" => Some(Format::Markdown),
        "text/html" => Some(Format::Html),
        "application/xhtml+xml" => Some(Format::Xhtml),
        "" | "application/octet-stream" => format_of(media_type_of(name)?, ""),
        _ => None,
    }
}
