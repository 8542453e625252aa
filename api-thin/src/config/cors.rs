//! Whose pages may call the API from a browser.

use axum::http::HeaderValue;
use clap::Args;
use reqwest::Url;

use super::api::InvalidConfig;

const ORIGINS: &str = "TENANTRY_CORS_ORIGINS";

/// Whose pages may call the API from a browser (cross-origin resource sharing). By default no other origin's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors {
    /// The origins, each as browsers send it.
    pub origins: Vec<HeaderValue>,
}

/// Whose pages may call the API from a browser, as a flag and an environment variable.
#[derive(Debug, Clone, Args)]
pub struct CorsSettings {
    /// Origins whose pages may call the API from a browser, such as `https://app.example.com`, separated by commas.
    /// Without any, browsers keep pages of other origins from it.
    #[arg(long, env = ORIGINS, value_delimiter = ',', value_name = "ORIGINS")]
    cors_origins: Vec<String>,
}

impl CorsSettings {
    /// Checks the origins.
    ///
    /// # Errors
    /// When one is not an origin exactly as browsers send it: they compare it letter by letter.
    pub fn cors(&self) -> Result<Cors, InvalidConfig> {
        let given = self.cors_origins.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
        Ok(Cors { origins: given.map(origin).collect::<Result<_, _>>()? })
    }
}

fn origin(text: &str) -> Result<HeaderValue, InvalidConfig> {
    let problem = |expected: &str| InvalidConfig::new(ORIGINS, format!("{text:?} is no origin: {expected}"));
    if text == "*" {
        return Err(problem("name each one, because with * every page on the web could call the API"));
    }
    let is_named = |url: &Url| url.host_str().is_some_and(|host| !host.contains('*'));
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()) && is_named(url));
    let usual =
        "expected scheme and host, and port if it is not the usual one, such as https://app.example.com";
    let sent = url.ok_or_else(|| problem(usual))?.origin().ascii_serialization();
    if sent != text {
        return Err(problem(&format!("browsers send {sent}: write that")));
    }
    HeaderValue::from_str(text).map_err(|_| problem(usual))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: CorsSettings,
    }

    fn cors(arguments: &[&str]) -> Result<Vec<HeaderValue>, InvalidConfig> {
        let line = Line::parse_from(std::iter::once(&"x").chain(arguments));
        line.settings.cors().map(|cors| cors.origins)
    }

    #[test]
    fn by_default_there_are_none_and_several_are_separated_by_commas() {
        assert_eq!(cors(&[]).unwrap(), Cors::default().origins);
        let two = cors(&["--cors-origins", "https://app.example.com, http://localhost:5173"]).unwrap();
        assert_eq!(two, ["https://app.example.com", "http://localhost:5173"]);
    }

    #[test]
    fn what_no_browser_sends_is_refused_with_what_it_sends() {
        for (bad, said) in [
            ("*", "name each one"),
            ("null", "such as https://app.example.com"),
            ("app.example.com", "such as https://app.example.com"),
            ("https://", "such as https://app.example.com"),
            ("https://*.example.com", "such as https://app.example.com"),
            ("ftp://example.com", "such as https://app.example.com"),
            ("https://app.example.com/", "browsers send https://app.example.com: write that"),
            ("https://app.example.com/page", "browsers send https://app.example.com: write that"),
            ("https://App.Example.com", "browsers send https://app.example.com: write that"),
            ("https://app.example.com:443", "browsers send https://app.example.com: write that"),
            ("https://ann@app.example.com", "browsers send https://app.example.com: write that"),
            ("https://b\u{fc}cher.example", "browsers send https://xn--bcher-kva.example: write that"),
        ] {
            let error = cors(&["--cors-origins", bad]).expect_err(bad);
            assert_eq!(error.setting, ORIGINS);
            assert!(error.problem.contains(said), "{bad}: {error}");
        }
    }
}
