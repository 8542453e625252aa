//! The same on servers, whose drivers treat texts and numbers differently.

use tests::services::migrated;

use super::bodies::hostile_values;
use super::names::{hostile_names, hostile_queries};
use super::site::Site;

#[tokio::test]
async fn nothing_that_is_sent_is_a_fault_of_the_servers() {
    let site = Site::open_on(Some(migrated().await)).await;
    hostile_queries(&site).await;
    hostile_names(&site).await;
    hostile_values(&site).await;
    site.assert_theirs_untouched("a hostile value").await;
}
