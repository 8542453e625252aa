//! Which kinds of document can be read. The worker's `text` module reads exactly these;
//! `tests/it/api/media.rs` checks that the two agree.

/// The media types of documents that can be read, and the file name extensions that stand for each.
pub const MEDIA_TYPES: [(&str, &[&str]); 4] = [
    ("text/plain", &["txt", "text", "log", "rst", "adoc"]),
    ("text/markdown", &["md", "markdown", "mdown", "mkd"]),
    ("text/html", &["html", "htm"]),
    ("application/xhtml+xml", &["xhtml"]),
];

/// Why a document cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedMedia {
    /// Neither the declared type nor the extension is known.
    #[error(
        "send text/plain, text/markdown, text/html application/xhtml+xml, or name the file .txt, .md or .html"
    )]
    Type,
    /// It declares another encoding than UTF-8.
    #[error("the declared charset is not UTF-8: convert the document to UTF-8")]
    Charset,
}

/// The media type of a document: the declared one if it says anything, else what the name's extension stands
/// for.
///
/// # Errors When documents of that type cannot be read.
pub fn media_type(declared: Option<&str>, name: &str) -> Result<&'static str, UnsupportedMedia> {
    let (essence, parameters) =
        declared.unwrap_or_default().split_once(';').unwrap_or((declared.unwrap_or_default(), ""));
    if !is_utf8_charset(parameters) {
        return Err(UnsupportedMedia::Charset);
    }
    match essence.trim().to_ascii_lowercase().as_str() {
        // Programs that know no better declare these; the name says more.
        "" | "application/octet-stream" => by_extension(name),
        "text/plain" => Ok(by_extension(name).unwrap_or("text/plain")),
        "text/x-markdown" => Ok("text/markdown"),
        other => MEDIA_TYPES
            .into_iter()
            .map(|(known, _)| known)
            .find(|known| *known == other)
            .ok_or(UnsupportedMedia::Type),
    }
}

fn by_extension(name: &str) -> Result<&'static str, UnsupportedMedia> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let (stem, extension) = file.rsplit_once('.').ok_or(UnsupportedMedia::Type)?;
    let known = |extensions: &[&str]| extensions.iter().any(|known| known.eq_ignore_ascii_case(extension));
    let found = MEDIA_TYPES.into_iter().find(|(_, extensions)| !stem.is_empty() && known(extensions));
    found.map(|(media_type, _)| media_type).ok_or(UnsupportedMedia::Type)
}

/// US-ASCII is a part of UTF-8.
fn is_utf8_charset(parameters: &str) -> bool {
    let charset =
        parameters.split(';').filter_map(|parameter| parameter.split_once('=')).find_map(|(name, value)| {
            name.trim()
                .eq_ignore_ascii_case("charset")
                .then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
    matches!(charset.as_deref(), None | Some("utf-8" | "utf8" | "us-ascii"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_type_wins_unless_it_says_nothing() {
        for (declared, name, expected) in [
            (Some("text/html; charset=UTF-8"), "page", "text/html"),
            (Some("TEXT/X-MARKDOWN"), "a", "text/markdown"),
            (Some("text/plain"), "notes.md", "text/markdown"),
            (Some("text/plain"), "notes", "text/plain"),
            (Some("application/octet-stream"), "dir.d/A.HTM", "text/html"),
            (None, "a.b.txt", "text/plain"),
            (Some(""), "x.xhtml", "application/xhtml+xml"),
        ] {
            assert_eq!(media_type(declared, name), Ok(expected), "{declared:?} {name}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (declared, name) in [
            (Some("application/pdf"), "a.txt"),
            (Some("image/png"), "a.md"),
            (None, "a.pdf"),
            (None, "README"),
            (None, ".md"),
            (None, "md"),
            (Some("application/octet-stream"), "dir.md/file"),
        ] {
            assert_eq!(media_type(declared, name), Err(UnsupportedMedia::Type), "{declared:?} {name}");
        }
        assert_eq!(media_type(Some("text/plain;charset=latin1"), "a.txt"), Err(UnsupportedMedia::Charset));
    }
}
