//! Which files of a folder can be ingested, and why the others cannot.

use std::fs;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::text::media_type_of;

/// The largest file the API takes by default.
const MAX_BYTES: u64 = 20 * 1024 * 1024;

/// A file to upload under `name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Its path below the folder, with forward slashes.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its media type.
    pub media_type: &'static str,
}

/// A file that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Its path below the folder.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Everything below `folder`, by name. Hidden files and folders are not looked at; links are followed.
#[must_use]
pub(super) fn walk(folder: &Path) -> (Vec<Found>, Vec<LeftOut>) {
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry)) {
        match entry {
            Ok(entry) if entry.file_type().is_file() => match look(folder, &entry) {
                Ok(file) => found.push(file),
                Err(reason) => left_out.push(LeftOut { name: name_below(folder, entry.path()), reason }),
            },
            Ok(_) => {}
            Err(error) => {
                let path = error.path().unwrap_or(folder);
                left_out.push(LeftOut { name: name_below(folder, path), reason: error.to_string() });
            }
        }
    }
    (found, left_out)
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}

fn look(folder: &Path, entry: &DirEntry) -> Result<Found, String> {
    let name = name_below(folder, entry.path());
    let media_type = media_type_of(&name).ok_or("unsupported type: only text, Markdown and HTML are read")?;
    match fs::metadata(entry.path()).map_err(|error| error.to_string())?.len() {
        0 => Err("empty".to_owned()),
        1..=MAX_BYTES => Ok(Found { name, path: entry.path().to_owned(), media_type }),
        bytes => Err(format!("{bytes} bytes are more than {MAX_BYTES}")),
    }
}

fn name_below(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_split_into_what_is_read_and_what_is_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sub/.git")).unwrap();
        for (name, text) in [
            ("b.md", "# B"),
            ("sub/a.html", "<p>A"),
            ("sub/.git/config.txt", "no"),
            ("photo.png", "\u{89}PNG"),
            ("empty.txt", ""),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let (found, left_out) = walk(dir.path());
        let names: Vec<_> = found.iter().map(|file| file.name.as_str()).collect();
        let out: Vec<_> = left_out.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["b.md", "sub/a.html"]);
        assert_eq!(out, ["empty.txt", "photo.png"]);
    }
}
