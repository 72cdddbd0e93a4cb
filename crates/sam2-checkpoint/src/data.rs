//! Elements out of a file, as f32.

use half::{bf16, f16};

use crate::dtype::DType;
use crate::error::{CheckpointError, shown};
use crate::index::TensorInfo;
use crate::source::ReadAt;

/// Bytes read at a time. A multiple of every element size.
pub(crate) const CHUNK: usize = 1 << 20;

/// Reads `bytes` bytes from `offset` in pieces of at most [`CHUNK`].
pub(crate) fn stream(
    source: &dyn ReadAt,
    offset: u64,
    bytes: u64,
    what: &str,
    mut piece: impl FnMut(&[u8]),
) -> Result<(), CheckpointError> {
    let mut buffer = vec![0; CHUNK.min(usize::try_from(bytes).unwrap_or(CHUNK))];
    let mut done = 0;
    while done < bytes {
        let take = usize::try_from(bytes - done).unwrap_or(CHUNK).min(CHUNK);
        source
            .read_at(offset + done, &mut buffer[..take])
            .map_err(|error| CheckpointError::read(what, error))?;
        piece(&buffer[..take]);
        done += take as u64;
    }
    Ok(())
}

/// Reads one tensor in C order. `observe` sees the bytes of a contiguous tensor as they pass, for
/// a checksum; a strided one is read as the span it covers and picked apart.
///
/// Values beyond f32 in an F64 tensor become infinite, as PyTorch's `.float()` does.
pub(crate) fn read_f32(
    source: &dyn ReadAt,
    name: &str,
    info: &TensorInfo,
    mut observe: impl FnMut(&[u8]),
) -> Result<Vec<f32>, CheckpointError> {
    let what = || format!("tensor `{}`", shown(name));
    if !info.dtype.is_float() {
        return Err(CheckpointError::NotFloat {
            name: shown(name),
            dtype: info.dtype.to_string(),
        });
    }
    let elements = info.num_elements();
    let size = info.dtype.size();
    let mut values = reserve(name, elements)?;
    match &info.place.strides {
        None => {
            let bytes = elements as u64 * size as u64;
            stream(source, info.place.offset, bytes, &what(), |piece| {
                observe(piece);
                decode(info.dtype, piece, &mut values);
            })?;
        }
        Some(strides) if elements > 0 => {
            let span: usize = 1 + info
                .shape
                .iter()
                .zip(strides)
                .map(|(dim, stride)| (dim - 1) * stride)
                .sum::<usize>();
            let mut all = reserve(name, span)?;
            stream(
                source,
                info.place.offset,
                span as u64 * size as u64,
                &what(),
                |piece| {
                    decode(info.dtype, piece, &mut all);
                },
            )?;
            gather(&all, &info.shape, strides, &mut values);
        }
        Some(_) => {}
    }
    Ok(values)
}

fn reserve(name: &str, elements: usize) -> Result<Vec<f32>, CheckpointError> {
    let mut values = Vec::new();
    values
        .try_reserve_exact(elements)
        .map_err(|_| CheckpointError::OutOfMemory {
            name: shown(name),
            bytes: elements as u64 * 4,
        })?;
    Ok(values)
}

/// Appends little-endian elements. `bytes` holds whole elements.
fn decode(dtype: DType, bytes: &[u8], values: &mut Vec<f32>) {
    fn each<const N: usize>(bytes: &[u8], values: &mut Vec<f32>, convert: impl Fn([u8; N]) -> f32) {
        let (elements, _) = bytes.as_chunks::<N>();
        values.extend(elements.iter().map(|&element| convert(element)));
    }
    match dtype {
        DType::F64 => each(bytes, values, |element| f64::from_le_bytes(element) as f32),
        DType::F32 => each(bytes, values, f32::from_le_bytes),
        DType::F16 => each(bytes, values, |element| {
            f16::from_le_bytes(element).to_f32()
        }),
        DType::BF16 => each(bytes, values, |element| {
            bf16::from_le_bytes(element).to_f32()
        }),
        // Refused before anything is read.
        DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => {}
    }
}

/// Copies a strided view into C order: an odometer over `shape`, the last dimension fastest.
fn gather(all: &[f32], shape: &[usize], strides: &[usize], values: &mut Vec<f32>) {
    let mut position = vec![0; shape.len()];
    let mut at = 0;
    loop {
        // The reader checked that the furthest element lies within the span.
        values.push(all[at]);
        let mut dim = shape.len();
        loop {
            if dim == 0 {
                return;
            }
            dim -= 1;
            position[dim] += 1;
            at += strides[dim];
            if position[dim] < shape[dim] {
                break;
            }
            at -= position[dim] * strides[dim];
            position[dim] = 0;
        }
    }
}
