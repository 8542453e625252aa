use std::path::Path;

use jobs::clock::SharedClock;

use crate::backend::Backend;
use crate::config::InvalidStores;
use crate::directory::DirectoryNews;

pub(crate) async fn open(
    data: &Path,
    clock: SharedClock,
    news: DirectoryNews,
) -> Result<Backend, InvalidStores> {
    let _ = (data, clock, news);
    Err(InvalidStores::Setting { setting: "TENANTRY_DATA_DIR", problem: "not supported yet".into() })
}
