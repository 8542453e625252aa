//! Errors as text, for logs and for operators who start a program.

/// Prints an error with everything that caused it, outermost first.
#[must_use]
pub fn report(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// [`report`] as one sentence for the operator who starts a program: on one line, each cause once, without the numbers
/// of the operating system.
#[must_use]
pub fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = plain(&error.to_string());
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = plain(&next.to_string());
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

/// The root cause of an error in the same plain words; the operating system's text if it has one.
#[must_use]
pub fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.downcast_ref().map_or_else(|| plain(&last.to_string()), plain_io)
}

/// The operating system's error text, without its number.
#[must_use]
pub fn plain_io(error: &std::io::Error) -> String {
    let text = plain(&error.to_string());
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    if error.raw_os_error().is_some() { first.into_iter().chain(letters).collect() } else { text }
}

fn plain(text: &str) -> String {
    const NUMBER: &str = " (os error ";
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    while let Some(start) = text.find(NUMBER) {
        let length = text[start..].find(')').map_or(text.len() - start, |end| end + 1);
        text.replace_range(start..start + length, "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Outer(&'static str, #[source] std::io::Error);

    #[test]
    fn a_sentence_says_everything_once_and_without_numbers() {
        let refused = || std::io::Error::from_raw_os_error(111);
        let outer = Outer("the server\n  does not answer", refused());
        assert_eq!(sentence(&outer), "the server does not answer: Connection refused");
        assert_eq!(root(&outer), "connection refused");
        let twice = Outer("no: Connection refused (os error 111), twice", refused());
        assert_eq!(sentence(&twice), "no: Connection refused, twice");
        assert_eq!(plain_io(&std::io::Error::other("Host X")), "Host X");
    }
}
