//! What may be uploaded: names, media types, sizes. Everything is checked before anything is stored.

mod originals;
mod upload;
mod upload_budget;

pub(crate) use originals::Unregistered;
pub(crate) use upload::too_large;
pub use upload::{
    DocumentName, InvalidName, MEDIA_TYPES, RawDocument, Upload, check_uploads, media_type, name_of_text,
};
pub use upload_budget::{NoRoom, UploadBudget, UploadRoom};
