//! An open checkpoint, of whichever format.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::{ModelConfig, Size, Version, detect};
use crate::data;
use crate::dtype::DType;
use crate::error::{CheckpointError, shown};
use crate::index::{TensorIndex, TensorInfo};
use crate::metadata::{self, Metadata};
use crate::pt;
use crate::safetensors;
use crate::sniff::{Container, sniff};
use crate::source::ReadAt;

/// What kind of file a checkpoint was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A PyTorch archive, the official `.pt`.
    Pt,
    /// A `.safetensors` with the official keys.
    Safetensors,
    /// The project's own file (`sam2/1`): `.safetensors` with the configuration inside.
    Sam2,
}

/// A model file whose structure has been read and checked; the tensors are read one by one.
pub struct Checkpoint {
    source: Arc<dyn ReadAt>,
    format: Format,
    index: TensorIndex,
    official: Option<(Size, Version)>,
    config: Option<ModelConfig>,
    metadata: Metadata,
    sums: Sums,
}

/// Stands where a file was.
struct Closed;

impl ReadAt for Closed {
    fn len(&self) -> u64 {
        0
    }

    fn read_at(&self, _offset: u64, _buf: &mut [u8]) -> std::io::Result<()> {
        Err(std::io::Error::other("the file was closed after loading"))
    }
}

/// How the data can be verified.
enum Sums {
    /// Nothing recorded.
    None,
    /// The project's own file: one hash over everything from `start` to the end of the file.
    Sha256 { start: u64, hash: [u8; 32] },
    /// A `.pt`: a CRC per storage.
    Crc(Vec<Unit>),
}

/// A storage of a `.pt`, and whether its CRC has been found right.
struct Unit {
    storage: pt::Storage,
    verified: AtomicBool,
}

impl Unit {
    fn new(storage: pt::Storage) -> Self {
        Self {
            storage,
            verified: AtomicBool::new(false),
        }
    }

    /// Holds what was computed against what was recorded, and remembers a success.
    fn settle(&self, crc: u32) -> Result<(), CheckpointError> {
        if self.storage.crc.is_some_and(|recorded| recorded != crc) {
            return Err(CheckpointError::Checksum {
                what: format!("entry `{}` of the .pt archive", shown(&self.storage.name)),
            });
        }
        self.verified.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Reads the storage for its CRC alone.
    fn verify(
        &self,
        source: &dyn ReadAt,
        mut piece: impl FnMut(usize),
    ) -> Result<(), CheckpointError> {
        let mut hasher = crc32fast::Hasher::new();
        data::stream(
            source,
            self.storage.offset,
            self.storage.bytes,
            "the model's data",
            |bytes| {
                hasher.update(bytes);
                piece(bytes.len());
            },
        )?;
        self.settle(hasher.finalize())
    }
}

impl Checkpoint {
    /// Opens a checkpoint: an official `.pt` or `.safetensors`, or the project's own file. The
    /// content decides, not a name. Reads headers only.
    ///
    /// # Errors
    /// [`CheckpointError`] with code `bad_model`: not a model file (saying what it looks like),
    /// cut short, damaged, of a later format, or with an unusable configuration inside.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Self, CheckpointError> {
        match sniff(&*source)? {
            Container::Safetensors => Self::open_safetensors(source),
            Container::Zip => Self::open_pt(source),
        }
    }

    /// What the network computes in, and what the weights were stored as, in words.
    pub fn precision(&self) -> &'static str {
        let mut types = self.tensors().map(|(_, t)| t.dtype);
        let first = types.next();
        match first {
            Some(one) if types.all(|other| other == one) => match one {
                DType::F16 => "f32 (weights f16)",
                DType::BF16 => "f32 (weights bf16)",
                _ => "f32",
            },
            _ => "f32 (mixed weights)",
        }
    }

    /// Lets go of the file: its names, shapes and metadata stay, its tensors can no longer be read.
    /// In a page the file is held in memory, which a model that is loaded for good has better uses for.
    pub fn close(&mut self) {
        self.source = Arc::new(Closed);
    }

    fn open_safetensors(source: Arc<dyn ReadAt>) -> Result<Self, CheckpointError> {
        let header = safetensors::read_header(&*source)?;
        let start = header.data_start;
        Ok(match metadata::parse(&header.metadata)? {
            Some(own) => Self {
                source,
                format: Format::Sam2,
                official: detect(&header.index),
                index: header.index,
                config: Some(own.config),
                metadata: own.metadata,
                sums: Sums::Sha256 {
                    start,
                    hash: own.data_sha256,
                },
            },
            None => Self::without_config(source, Format::Safetensors, header.index, Sums::None),
        })
    }

    fn open_pt(source: Arc<dyn ReadAt>) -> Result<Self, CheckpointError> {
        let archive = pt::read_archive(&*source)?;
        let sums = Sums::Crc(archive.storages.into_iter().map(Unit::new).collect());
        Ok(Self::without_config(
            source,
            Format::Pt,
            archive.index,
            sums,
        ))
    }

    /// A checkpoint whose configuration has to be recognised.
    fn without_config(
        source: Arc<dyn ReadAt>,
        format: Format,
        index: TensorIndex,
        sums: Sums,
    ) -> Self {
        let official = detect(&index);
        let config = official.map(|(size, version)| ModelConfig::official(size, version));
        Self {
            source,
            format,
            index,
            official,
            config,
            metadata: Metadata::default(),
            sums,
        }
    }

    /// The kind of file.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The published model that the tensors look like, if any ([`detect`]).
    pub fn official(&self) -> Option<(Size, Version)> {
        self.official
    }

    /// All tensors in order of their names, without their data.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.index.iter()
    }

    /// Names and shapes.
    pub fn index(&self) -> &TensorIndex {
        &self.index
    }

    /// The configuration: the one inside the file, or that of the published model it looks like.
    pub fn config(&self) -> Option<&ModelConfig> {
        self.config.as_ref()
    }

    /// The configuration, or the error that asks for one.
    ///
    /// # Errors
    /// [`CheckpointError::NoConfig`].
    pub fn require_config(&self) -> Result<&ModelConfig, CheckpointError> {
        self.config.as_ref().ok_or(CheckpointError::NoConfig)
    }

    /// Replaces the configuration by one that the person gave (`--config`).
    pub fn set_config(&mut self, config: ModelConfig) {
        self.config = Some(config);
    }

    /// Name, licence and producer, where the file says them.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The model's answers on the built-in picture, where the file brings them.
    pub fn probe(&self) -> Option<&Value> {
        self.metadata.probe.as_ref()
    }

    /// Size of the file in bytes.
    pub fn file_size(&self) -> u64 {
        self.source.len()
    }

    /// Number of elements of all tensors.
    pub fn num_parameters(&self) -> u64 {
        self.index
            .iter()
            .map(|(_, info)| info.num_elements() as u64)
            .sum()
    }

    /// Holds the tensors against a model's ([`TensorIndex::check_against`]).
    ///
    /// # Errors
    /// [`CheckpointError::Mismatch`], one line; the [`Mismatch`](crate::Mismatch) in it has all.
    pub fn check_against(&self, expected: &[(String, Vec<usize>)]) -> Result<(), CheckpointError> {
        Ok(self.index.check_against(expected).map_err(Box::new)?)
    }

    /// Reads one tensor as f32 in C order. Needs memory for that tensor (twice for a strided view)
    /// and one mebibyte.
    ///
    /// # Errors
    /// [`CheckpointError::NoTensor`], [`CheckpointError::NotFloat`], [`CheckpointError::Checksum`]
    /// when a `.pt` recorded another CRC, [`CheckpointError::OutOfMemory`], or a failure to read.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let info = self
            .index
            .get(name)
            .ok_or_else(|| CheckpointError::NoTensor { name: shown(name) })?;
        let unit = match (&self.sums, info.place.storage) {
            (Sums::Crc(units), Some(at)) => units.get(at),
            _ => None,
        };
        let Some(unit) = unit.filter(|unit| !unit.verified.load(Ordering::Relaxed)) else {
            return data::read_f32(&*self.source, name, info, |_| {});
        };
        // A tensor that is its whole storage, as nearly all are, is hashed while it is read.
        if info.place.strides.is_none() && info.num_bytes() == unit.storage.bytes {
            let mut hasher = crc32fast::Hasher::new();
            let values = data::read_f32(&*self.source, name, info, |piece| hasher.update(piece))?;
            unit.settle(hasher.finalize())?;
            return Ok(values);
        }
        unit.verify(&*self.source, |_| {})?;
        data::read_f32(&*self.source, name, info, |_| {})
    }

    /// Reads all data once and holds it against the checksums that the file records: the sha256 of
    /// the project's own file, the CRCs of a `.pt`. `progress` gets bytes done and bytes in all.
    ///
    /// Returns whether there was anything to verify; a plain `.safetensors` records nothing.
    ///
    /// # Errors
    /// [`CheckpointError::Checksum`], or a failure to read.
    pub fn verify_data_sha256(
        &self,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<bool, CheckpointError> {
        match &self.sums {
            Sums::None => Ok(false),
            Sums::Crc(units) => {
                let total = units.iter().map(|unit| unit.storage.bytes).sum();
                let mut done = 0;
                for unit in units {
                    unit.verify(&*self.source, |bytes| {
                        done += bytes as u64;
                        progress(done, total);
                    })?;
                }
                Ok(units.iter().any(|unit| unit.storage.crc.is_some()))
            }
            Sums::Sha256 { start, hash } => {
                let total = self.source.len().saturating_sub(*start);
                let (mut hasher, mut done) = (Sha256::new(), 0);
                data::stream(&*self.source, *start, total, "the model's data", |piece| {
                    hasher.update(piece);
                    done += piece.len() as u64;
                    progress(done, total);
                })?;
                if hasher.finalize()[..] != hash[..] {
                    return Err(CheckpointError::Checksum {
                        what: "the model's data".into(),
                    });
                }
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod fuzz;
