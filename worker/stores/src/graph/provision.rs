//! Preparing the graph for a knowledge base.

use std::time::Duration;

use neo4rs::Query;

use super::bolt::Neo4j;
use crate::deadline::BULK;
use crate::model::WorkspaceId;
use crate::ports::StoreResult;

const PROVISION: &str = "graph.provision";
/// Neo4j answers before it can make constraints, and two that make one at once get in each other's way.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(250);

impl Neo4j {
    /// Makes names unique in the workspace. It has to come before `LightRAG` opens the workspace: `LightRAG`
    /// makes a plain index, beside which the constraint cannot be made any more, and without it concurrent
    /// merges make doubles.
    pub(crate) async fn provision(&self, workspace: &WorkspaceId) -> StoreResult<()> {
        // DDL takes no parameters and names no tenant's data: the label is all there is.
        let text = format!(
            "CREATE CONSTRAINT `{workspace}_entity_id` IF NOT EXISTS \
             FOR (n:`{workspace}`) REQUIRE n.entity_id IS UNIQUE"
        );
        let mut attempt = 1;
        loop {
            let done = self.write(PROVISION, BULK, vec![Query::new(text.clone())]).await;
            match done {
                Err(error) if error.is_transient() && attempt < ATTEMPTS => {
                    tracing::debug!(
                        attempt,
                        error = jobs::error::report(&error),
                        "the constraint is tried again"
                    );
                    tokio::time::sleep(PAUSE * attempt).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }
}
