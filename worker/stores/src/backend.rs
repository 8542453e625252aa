//! What one kind of server (embedded files, or servers) has to bring along.

use crate::catalog::Catalogs;
use crate::ports::{Documents, Index};
use crate::scoped::Scope;

pub(crate) struct Backend {
    pub(crate) catalogs: Catalogs,
    pub(crate) documents: Box<dyn Scope<dyn Documents>>,
    pub(crate) index: Box<dyn Scope<dyn Index>>,
}
