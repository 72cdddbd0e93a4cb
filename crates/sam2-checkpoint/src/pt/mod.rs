//! `torch.save` archives: a zip of stored entries with a pickle that says how the tensors lie in
//! them. One reader for native and wasm; nothing in the file is executed.

mod pickle;
mod state_dict;
mod zip;

use crate::error::CheckpointError;
use crate::index::TensorIndex;
use crate::source::ReadAt;

/// A real one is some 100 kB.
const MAX_PICKLE: u64 = 64 << 20;

/// A run of bytes with its checksum: one storage, which one or more tensors view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage {
    /// `data/17`, to name it in an error.
    pub name: String,
    pub offset: u64,
    pub bytes: u64,
    /// `None` where the archive was written without checksums.
    pub crc: Option<u32>,
}

/// What an archive holds.
pub(crate) struct Archive {
    pub index: TensorIndex,
    pub storages: Vec<Storage>,
}

/// Reads the directory and the pickle of an archive, not its tensors.
///
/// # Errors
/// [`CheckpointError::Zip`] for a damaged or compressed archive, [`CheckpointError::Pickle`] for
/// anything but a state dict, [`CheckpointError::Checksum`] for a damaged pickle.
pub(crate) fn read_archive(source: &dyn ReadAt) -> Result<Archive, CheckpointError> {
    let directory = zip::read_directory(source)?;
    let root = directory.root()?;
    let order = directory.read(source, &format!("{root}/byteorder"), 16)?;
    if order.is_some_and(|order| order != b"little") {
        return Err(CheckpointError::Zip {
            message: "its numbers are big-endian; save it again on an ordinary machine".into(),
        });
    }
    let pickle = directory
        .read(source, &format!("{root}/data.pkl"), MAX_PICKLE)?
        .ok_or_else(|| CheckpointError::Zip {
            message: "it has no data.pkl".into(),
        })?;
    let program = pickle::run(&pickle)?;
    state_dict::collect(&program, &directory, &root, source)
}

/// The pickle of a valid archive, for tests.
#[cfg(test)]
pub(crate) fn pickle_of(archive: &'static [u8]) -> Vec<u8> {
    let directory = zip::read_directory(&archive).unwrap();
    let name = format!("{}/data.pkl", directory.root().unwrap());
    directory
        .read(&archive, &name, MAX_PICKLE)
        .unwrap()
        .unwrap()
}

/// Another pickle in the place of an archive's own, for tests.
#[cfg(test)]
pub(crate) fn collect_from(
    archive: &'static [u8],
    pickle: &[u8],
) -> Result<Archive, CheckpointError> {
    let directory = zip::read_directory(&archive)?;
    let root = directory.root()?;
    state_dict::collect(&pickle::run(pickle)?, &directory, &root, &archive)
}
