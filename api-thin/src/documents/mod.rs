//! What may be uploaded: names, media types, sizes. Everything is checked before anything is stored.

mod budget;
mod limits;
mod media;
mod name;
mod upload;

pub use budget::{NoRoom, UploadBudget, UploadRoom};
pub use limits::Limits;
pub use media::{MEDIA_TYPES, media_type};
pub use name::{DocumentName, InvalidName};
pub(crate) use upload::too_large;
pub use upload::{RawDocument, Upload, check_uploads};
