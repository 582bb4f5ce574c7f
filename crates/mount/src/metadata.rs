//! The metadata of an image: made of its layers' TOCs once, then used for every mount.

use std::fs::File;
use std::io::BufWriter;

use store::{ChainId, Image, Store};

use crate::erofs::{self, Form};
use crate::error::Error;

/// Returns the metadata image of an image's layers, and whether it had to be made.
pub(crate) fn image(store: &Store, image: &Image, form: Form) -> Result<(File, bool), Error> {
    let chain = ChainId::of(&image.layers);
    if let Some(file) = store.chains().open(&chain, form.suffix())? {
        return Ok((file, false));
    }
    let tree = store.tree(image)?;
    let plan = erofs::Image::plan(&tree, erofs::Options::new(form, chain.prefix()))?;
    let file = store
        .chains()
        .make(&chain, form.suffix(), |file| plan.write(BufWriter::with_capacity(1 << 20, file)))?;
    Ok((file, true))
}

impl Form {
    /// Returns how names of metadata images end.
    fn suffix(self) -> &'static str {
        match self {
            Self::Trusted => "erofs",
            Self::User => "user.erofs",
        }
    }
}
