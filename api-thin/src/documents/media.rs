//! Which kinds of document can be read. The worker's `text` module reads exactly these;
//! `tests/it/api/media.rs` checks that the two agree.

use crate::extract::shown;

/// The media types of documents that can be read, and the file name extensions that stand for each.
pub const MEDIA_TYPES: [(&str, &[&str]); 4] = [
    ("text/plain", &["txt", "text", "log", "rst", "adoc"]),
    ("text/markdown", &["md", "markdown", "mdown", "mkd"]),
    ("text/html", &["html", "htm"]),
    ("application/xhtml+xml", &["xhtml"]),
];

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedMedia {
    /// The declared type is not one of [`MEDIA_TYPES`]. Whether the name says a type that is.
    #[error(
        "documents of type `{declared}` cannot be read: {} text/plain, text/markdown, text/html or \
         application/xhtml+xml",
        if *.by_name { "leave the type out and the name decides, or declare" } else { "convert it to" }
    )]
    Declared {
        /// As declared.
        declared: String,
        /// Whether the name's extension stands for a type that can be read.
        by_name: bool,
    },
    /// No type is declared, and the name's extension says none.
    #[error(
        "the name `{0}` does not say what the document is: let it end in .txt, .md or .html, or declare \
         text/plain, text/markdown, text/html or application/xhtml+xml"
    )]
    Name(String),
    /// It declares another encoding than UTF-8.
    #[error("the declared charset `{0}` is not UTF-8: convert the document to UTF-8")]
    Charset(String),
}

/// The media type of a document: the declared one if it says anything, else what the name's extension stands
/// for.
///
/// # Errors
/// When documents of that type cannot be read.
pub fn media_type(declared: Option<&str>, name: &str) -> Result<&'static str, UnsupportedMedia> {
    let declared = declared.unwrap_or_default();
    let (essence, parameters) = declared.split_once(';').unwrap_or((declared, ""));
    if let Some(charset) = charset(parameters).filter(|charset| !is_utf8(charset)) {
        return Err(UnsupportedMedia::Charset(shown(&charset)));
    }
    match essence.trim().to_ascii_lowercase().as_str() {
        // Programs that know no better declare these; the name says more.
        "" | "application/octet-stream" => {
            by_extension(name).ok_or_else(|| UnsupportedMedia::Name(shown(name)))
        }
        "text/plain" => Ok(by_extension(name).unwrap_or("text/plain")),
        "text/x-markdown" => Ok("text/markdown"),
        other => {
            MEDIA_TYPES.into_iter().map(|(known, _)| known).find(|known| *known == other).ok_or_else(|| {
                UnsupportedMedia::Declared { declared: shown(other), by_name: by_extension(name).is_some() }
            })
        }
    }
}

fn by_extension(name: &str) -> Option<&'static str> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let (stem, extension) = file.rsplit_once('.')?;
    let known = |extensions: &[&str]| extensions.iter().any(|known| known.eq_ignore_ascii_case(extension));
    let found = MEDIA_TYPES.into_iter().find(|(_, extensions)| !stem.is_empty() && known(extensions));
    found.map(|(media_type, _)| media_type)
}

fn charset(parameters: &str) -> Option<String> {
    let mut each = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let found = each.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    found.map(|(_, value)| value.trim().trim_matches('"').to_ascii_lowercase())
}

/// US-ASCII is a part of UTF-8.
fn is_utf8(charset: &str) -> bool {
    matches!(charset, "utf-8" | "utf8" | "us-ascii")
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
            let refused = media_type(declared, name).unwrap_err().to_string();
            let sent = declared.filter(|sent| *sent != "application/octet-stream").unwrap_or(name);
            assert!(refused.contains(&format!("`{sent}`")), "{refused}");
        }
        let refused = media_type(Some("application/x-notes"), "x.md").unwrap_err().to_string();
        assert!(refused.contains("leave the type out and the name decides"), "{refused}");
        let refused = media_type(Some("text/plain;charset=latin1"), "a.txt").unwrap_err();
        assert_eq!(refused, UnsupportedMedia::Charset("latin1".to_owned()));
    }
}
