use serde::{Deserialize, Serialize};

/// A tenant's settings for reading documents and answering questions. Missing fields have the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RagSettings {
    /// The models to use, by name.
    pub models: Models,
    /// Length of the vectors of chunks.
    pub embedding_dimensions: u32,
    /// Tokens per chunk.
    pub chunk_size_tokens: u32,
    /// Tokens that a chunk shares with the one before it.
    pub chunk_overlap_tokens: u32,
    /// Results considered by a query.
    pub top_k: u32,
}

/// Models by name; `None` is the installation's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Models {
    /// The model that reads documents and answers questions.
    pub llm: Option<String>,
    /// The model that computes vectors of chunks.
    pub embedding: Option<String>,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidRagSetting {
    /// The setting.
    pub field: &'static str,
    /// The expected value.
    pub problem: String,
}

impl Default for RagSettings {
    /// The defaults of `LightRAG`.
    fn default() -> Self {
        Self {
            models: Models::default(),
            embedding_dimensions: 1024,
            chunk_size_tokens: 1200,
            chunk_overlap_tokens: 100,
            top_k: 40,
        }
    }
}

impl RagSettings {
    /// Checks ranges, which the types do not express.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn check(&self) -> Result<(), InvalidRagSetting> {
        // A chunk advances by what it does not share, so both bounds keep a document from becoming millions of them.
        let half = self.chunk_size_tokens / 2;
        for (field, value, least, most) in [
            ("embedding_dimensions", self.embedding_dimensions, 1, 16_384),
            ("chunk_size_tokens", self.chunk_size_tokens, 100, 32_768),
            ("top_k", self.top_k, 1, 1_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(InvalidRagSetting { field, problem: format!("expected {least} to {most}") });
            }
        }
        if self.chunk_overlap_tokens > half {
            let problem = format!("expected at most {half}, half of chunk_size_tokens");
            return Err(InvalidRagSetting { field: "chunk_overlap_tokens", problem });
        }
        let models = [("models.llm", &self.models.llm), ("models.embedding", &self.models.embedding)];
        match models.into_iter().find(|(_, name)| name.as_deref().is_some_and(|name| !is_name(name))) {
            Some((field, _)) => {
                let problem = "expected 1 to 200 visible ASCII characters".to_owned();
                Err(InvalidRagSetting { field, problem })
            }
            None => Ok(()),
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=200).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Result<(), &'static str> {
        serde_json::from_str::<RagSettings>(json).unwrap().check().map_err(|invalid| invalid.field)
    }

    #[test]
    fn settings_that_cannot_be_used_are_named() {
        assert_eq!(checked("{}"), Ok(()));
        assert_eq!(checked(r#"{"chunk_size_tokens": 100, "chunk_overlap_tokens": 50}"#), Ok(()));
        assert_eq!(checked(r#"{"chunk_overlap_tokens": 0, "models": {"llm": "gpt-4o/mini:1"}}"#), Ok(()));
        for (json, field) in [
            (r#"{"chunk_overlap_tokens": 1200}"#, "chunk_overlap_tokens"),
            (r#"{"chunk_overlap_tokens": 601}"#, "chunk_overlap_tokens"),
            (r#"{"chunk_size_tokens": 150}"#, "chunk_overlap_tokens"),
            (r#"{"chunk_size_tokens": 0, "chunk_overlap_tokens": 0}"#, "chunk_size_tokens"),
            (r#"{"chunk_size_tokens": 32769}"#, "chunk_size_tokens"),
            (r#"{"embedding_dimensions": 0}"#, "embedding_dimensions"),
            (r#"{"top_k": 1001}"#, "top_k"),
            (r#"{"models": {"embedding": ""}}"#, "models.embedding"),
            (r#"{"models": {"llm": "a b"}}"#, "models.llm"),
        ] {
            assert_eq!(checked(json), Err(field), "{json}");
        }
    }
}
