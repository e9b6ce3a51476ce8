//! What several tests of storage share.

pub(crate) mod broken_fs;
