//! Cypher query texts, checked at compile time to filter by tenant.

use jobs::tenant::TenantId;
use neo4rs::Query;

use crate::model::WorkspaceId;

/// A query text that names `$tenant_id`. Made by [`tenant_cypher!`](crate::tenant_cypher), checked at compile time.
#[derive(Debug, Clone, Copy)]
pub struct TenantCypher(&'static str);

/// Placeholder for the label of the workspace.
const LABEL: &str = "{workspace}";

impl TenantCypher {
    /// # Panics
    /// When `text` lacks `$tenant_id` or `{workspace}`: at compile time when used through the macro.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        assert!(mentions(text, "$tenant_id"), "a query on tenants' data must be bound to $tenant_id");
        assert!(mentions(text, LABEL), "a query on tenants' data must be about one {{workspace}}");
        Self(text)
    }

    /// The query on one workspace of one tenant. Nothing but the label is ever put into the text, and a
    /// [`WorkspaceId`] consists of letters and digits.
    pub(crate) fn query(self, tenant: &TenantId, workspace: &WorkspaceId) -> Query {
        let label = format!("`{workspace}`");
        Query::new(self.0.replace(LABEL, &label)).param("tenant_id", tenant.as_str())
    }
}

/// Whether `text` contains `word` as a whole word, and not as the beginning of a longer one.
const fn mentions(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let mut start = 0;
    while start + word.len() <= text.len() {
        let mut at = 0;
        while at < word.len() && text[start + at] == word[at] {
            at += 1;
        }
        let end = start + word.len();
        let goes_on = end < text.len() && (text[end].is_ascii_alphanumeric() || text[end] == b'_');
        if at == word.len() && !goes_on {
            return true;
        }
        start += 1;
    }
    false
}

/// A Cypher query on one tenant's nodes. `{workspace}` stands for the label of the knowledge base.
///
/// ```
/// const COUNT: stores::TenantCypher =
///     stores::tenant_cypher!("MATCH (n:{workspace}) WHERE n.tenant_id = $tenant_id RETURN count(n) AS
/// total");
/// ```
///
/// A text that is not bound to the tenant does not compile:
///
/// ```compile_fail,E0080
/// const COUNT: stores::TenantCypher =
///     stores::tenant_cypher!("MATCH (n:{workspace}) RETURN count(n) AS total");
/// ```
///
/// nor does one that only looks as if it were:
///
/// ```compile_fail,E0080
/// const COUNT: stores::TenantCypher =
///     stores::tenant_cypher!("MATCH (n:{workspace}) WHERE n.tenant_id = $tenant_ids RETURN count(n) AS
/// total");
/// ```
///
/// nor one over every workspace:
///
/// ```compile_fail,E0080
/// const COUNT: stores::TenantCypher =
///     stores::tenant_cypher!("MATCH (n) WHERE n.tenant_id = $tenant_id RETURN count(n) AS total");
/// ```
#[macro_export]
macro_rules! tenant_cypher {
    ($text:expr) => {{
        const CYPHER: $crate::TenantCypher = $crate::TenantCypher::new($text);
        CYPHER
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_whole() {
        assert!(mentions("a = $tenant_id", "$tenant_id"));
        assert!(mentions("$tenant_ids, $tenant_id)", "$tenant_id"));
        for text in ["", "$tenant", "$tenant_ids", "$tenant_id_2", "tenant_id"] {
            assert!(!mentions(text, "$tenant_id"), "{text}");
        }
    }
}
