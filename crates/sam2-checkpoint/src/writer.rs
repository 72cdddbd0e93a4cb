//! Writing models: the project's own file, and the official layout for use in PyTorch.
//!
//! Both are `.safetensors`. The same input always gives the same bytes: tensors lie in order of
//! their names, header keys too, and nothing of the machine or the time goes in. Tensors are asked
//! for one by one, so memory stays at one tensor. The caller writes to a temporary name and renames
//! it when this has returned.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};

use half::f16;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::config::ModelConfig;
use crate::error::{CheckpointError, shown};
use crate::metadata::{
    FORMAT, KEY_CONFIG, KEY_FORMAT, KEY_LICENCE, KEY_NAME, KEY_PROBE, KEY_PRODUCER, KEY_SHA256,
    Metadata, hex,
};

/// How elements are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    F32,
    /// Half the size. Values beyond ±65 504 are refused, as they would become infinite.
    F16,
}

impl Precision {
    fn bytes(self) -> u64 {
        match self {
            Precision::F32 => 4,
            Precision::F16 => 2,
        }
    }

    /// The name in a safetensors header, and the value of `precision` in listings.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "F32",
            Precision::F16 => "F16",
        }
    }
}

/// Names and shapes of what is to be written, as [`expected_tensors`](crate::expected_tensors)
/// gives them, in any order.
type Shapes = [(String, Vec<usize>)];

/// What the header starts with until the hash is known; of the same length.
const NO_HASH: [u8; 32] = [0; 32];

/// Writes the project's own file (`sam2/1`) and returns the sha256 of its data.
///
/// `read` is asked for each tensor once, in order of the names: f32 in C order, which is what
/// [`Checkpoint::read_f32`](crate::Checkpoint::read_f32) gives. `progress` gets tensors done and
/// tensors in all. The header is written twice, as it holds the hash of what follows it.
///
/// # Errors
/// What `read` returns, [`CheckpointError::Write`] when `out` fails,
/// [`CheckpointError::NotWritable`] for a tensor of another length or a value that F16 cannot hold.
pub fn write_sam2<W: Write + Seek>(
    out: &mut W,
    shapes: &Shapes,
    read: impl FnMut(&str) -> Result<Vec<f32>, CheckpointError>,
    precision: Precision,
    config: &ModelConfig,
    metadata: &Metadata,
    progress: impl FnMut(usize, usize),
) -> Result<[u8; 32], CheckpointError> {
    let header = |hash: &[u8; 32]| {
        let mut entries = BTreeMap::from([
            (KEY_FORMAT, FORMAT.to_owned()),
            (KEY_CONFIG, config.to_json()),
            (KEY_SHA256, hex(hash)),
        ]);
        entries.extend(metadata.name.clone().map(|name| (KEY_NAME, name)));
        entries.extend(
            metadata
                .licence
                .clone()
                .map(|licence| (KEY_LICENCE, licence)),
        );
        entries.extend(
            metadata
                .producer
                .clone()
                .map(|producer| (KEY_PRODUCER, producer)),
        );
        entries.extend(
            metadata
                .probe
                .as_ref()
                .map(|probe| (KEY_PROBE, probe.to_string())),
        );
        header(shapes, precision, &entries)
    };
    let start = out.stream_position().map_err(CheckpointError::Write)?;
    let first = header(&NO_HASH)?;
    out.write_all(&first).map_err(CheckpointError::Write)?;
    let mut hashing = Hashing {
        out,
        hasher: Sha256::new(),
    };
    write_data(&mut hashing, shapes, read, precision, progress)?;
    let hash: [u8; 32] = hashing.hasher.finalize().into();

    let end = out.stream_position().map_err(CheckpointError::Write)?;
    let last = header(&hash)?;
    debug_assert_eq!(first.len(), last.len());
    let rewrite = |out: &mut W| {
        out.seek(SeekFrom::Start(start))?;
        out.write_all(&last)?;
        out.seek(SeekFrom::Start(end))?;
        out.flush()
    };
    rewrite(out).map_err(CheckpointError::Write)?;
    Ok(hash)
}

/// Writes a plain `.safetensors` with the official keys, which PyTorch loads with
/// `model.load_state_dict(safetensors.torch.load_file(path))`.
///
/// # Errors
/// As [`write_sam2`].
pub fn write_safetensors<W: Write>(
    out: &mut W,
    shapes: &Shapes,
    read: impl FnMut(&str) -> Result<Vec<f32>, CheckpointError>,
    precision: Precision,
    progress: impl FnMut(usize, usize),
) -> Result<(), CheckpointError> {
    // What the Hugging Face loaders look for.
    let entries = BTreeMap::from([(KEY_FORMAT, "pt".to_owned())]);
    out.write_all(&header(shapes, precision, &entries)?)
        .map_err(CheckpointError::Write)?;
    write_data(out, shapes, read, precision, progress)?;
    out.flush().map_err(CheckpointError::Write)
}

/// In order of the names, whatever order they came in.
fn sorted(shapes: &Shapes) -> Vec<&(String, Vec<usize>)> {
    let mut sorted: Vec<_> = shapes.iter().collect();
    sorted.sort();
    sorted
}

fn elements(shape: &[usize]) -> u64 {
    shape.iter().map(|&dim| dim as u64).product()
}

/// Length and JSON, padded with spaces so that the data is aligned for any element.
fn header(
    shapes: &Shapes,
    precision: Precision,
    metadata: &BTreeMap<&str, String>,
) -> Result<Vec<u8>, CheckpointError> {
    const ALIGNMENT: usize = 8;
    let mut entries = BTreeMap::from([("__metadata__", HeaderEntry::Metadata(metadata))]);
    let mut offset = 0;
    for (name, shape) in sorted(shapes) {
        let end = offset + elements(shape) * precision.bytes();
        let data_offsets = [offset, end];
        entries.insert(
            name,
            HeaderEntry::Tensor {
                dtype: precision.name(),
                shape,
                data_offsets,
            },
        );
        offset = end;
    }
    let mut text =
        serde_json::to_vec(&entries).map_err(|error| CheckpointError::Write(error.into()))?;
    text.resize(text.len().next_multiple_of(ALIGNMENT), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok(bytes)
}

/// A struct and a sorted map, not a `serde_json::Map`, whose order hangs on another crate's features.
#[derive(Serialize)]
#[serde(untagged)]
enum HeaderEntry<'a> {
    Metadata(&'a BTreeMap<&'a str, String>),
    Tensor {
        dtype: &'static str,
        shape: &'a [usize],
        data_offsets: [u64; 2],
    },
}

fn write_data(
    out: &mut impl Write,
    shapes: &Shapes,
    mut read: impl FnMut(&str) -> Result<Vec<f32>, CheckpointError>,
    precision: Precision,
    mut progress: impl FnMut(usize, usize),
) -> Result<(), CheckpointError> {
    /// Elements converted at a time.
    const CHUNK: usize = 1 << 16;
    let mut buffer = Vec::with_capacity(4 * CHUNK);
    for (done, (name, shape)) in sorted(shapes).into_iter().enumerate() {
        let bad = |message: String| CheckpointError::NotWritable {
            name: shown(name),
            message,
        };
        let values = read(name)?;
        if values.len() as u64 != elements(shape) {
            return Err(bad(format!(
                "has {} elements, not those of {shape:?}",
                values.len()
            )));
        }
        for chunk in values.chunks(CHUNK) {
            buffer.clear();
            match precision {
                Precision::F32 => buffer.extend(chunk.iter().flat_map(|value| value.to_le_bytes())),
                Precision::F16 => {
                    let beyond =
                        |value: &&f32| value.is_finite() && f16::from_f32(**value).is_infinite();
                    if let Some(value) = chunk.iter().find(beyond) {
                        return Err(bad(format!("holds {value}, which f16 cannot; write f32")));
                    }
                    buffer.extend(
                        chunk
                            .iter()
                            .flat_map(|&value| f16::from_f32(value).to_le_bytes()),
                    );
                }
            }
            out.write_all(&buffer).map_err(CheckpointError::Write)?;
        }
        progress(done + 1, shapes.len());
    }
    Ok(())
}

/// Hashes what passes through.
struct Hashing<'a, W> {
    out: &'a mut W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
