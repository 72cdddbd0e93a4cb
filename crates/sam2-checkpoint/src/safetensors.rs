//! The header of a `.safetensors` file, read strictly.
//!
//! Layout: u64 little-endian length N, N bytes of JSON, then the data that the JSON's offsets
//! divide without gap or overlap. Written here instead of taken from the `safetensors` crate
//! because that one wants the whole file in memory.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::dtype::DType;
use crate::error::{CheckpointError, shown};
use crate::index::{Place, TensorIndex, TensorInfo};
use crate::source::ReadAt;

/// A real header is some 100 kB.
const MAX_HEADER: u64 = 64 << 20;
/// The largest published model has 903 tensors.
const MAX_TENSORS: usize = 100_000;
const MAX_RANK: usize = 8;

/// What the header says.
pub(crate) struct Header {
    pub index: TensorIndex,
    pub metadata: BTreeMap<String, String>,
    /// Start of the data in the file.
    pub data_start: u64,
}

/// Reads and checks the header.
///
/// # Errors
/// [`CheckpointError::Truncated`] when the file ends early, [`CheckpointError::Safetensors`] for
/// anything that contradicts itself: duplicate names, gaps, overlaps, wrong lengths, unknown types.
pub(crate) fn read_header(source: &dyn ReadAt) -> Result<Header, CheckpointError> {
    let mut length = [0; 8];
    source
        .read_at(0, &mut length)
        .map_err(|error| CheckpointError::read("the header length", error))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Err(CheckpointError::safetensors(format!(
            "it claims to be {length} bytes long, more than the {MAX_HEADER} accepted"
        )));
    }
    let data_start = 8 + length;
    if data_start > source.len() {
        return Err(CheckpointError::Truncated {
            expected: data_start,
            found: source.len(),
        });
    }
    let mut text = vec![0; length as usize];
    source
        .read_at(8, &mut text)
        .map_err(|error| CheckpointError::read("the header", error))?;
    let raw: RawHeader = serde_json::from_slice(&text)
        .map_err(|error| CheckpointError::safetensors(shown(&error.to_string())))?;
    let index = place_tensors(raw.tensors, data_start, source.len())?;
    Ok(Header {
        index,
        metadata: raw.metadata,
        data_start,
    })
}

fn place_tensors(
    tensors: BTreeMap<String, RawTensor>,
    data_start: u64,
    file_len: u64,
) -> Result<TensorIndex, CheckpointError> {
    let mut index = TensorIndex::default();
    let mut ranges = Vec::with_capacity(tensors.len());
    for (name, raw) in tensors {
        let bad = |message: String| {
            CheckpointError::safetensors(format!("tensor `{}` {message}", shown(&name)))
        };
        let dtype = DType::from_safetensors(&raw.dtype)
            .ok_or_else(|| bad(format!("has the unknown type `{}`", shown(&raw.dtype))))?;
        if raw.shape.len() > MAX_RANK {
            return Err(bad(format!("has {} dimensions", raw.shape.len())));
        }
        let (begin, end) = raw.data_offsets;
        let bytes = raw
            .shape
            .iter()
            .try_fold(dtype.size() as u64, |size, &dim| size.checked_mul(dim));
        if begin > end || bytes != Some(end - begin) {
            return Err(bad(format!(
                "claims bytes {begin} to {end} for shape {:?} of {dtype}",
                raw.shape
            )));
        }
        let offset = data_start.checked_add(end).map(|_| data_start + begin);
        let (Some(offset), Ok(shape)) = (
            offset,
            raw.shape
                .iter()
                .map(|&dim| usize::try_from(dim))
                .collect::<Result<Vec<_>, _>>(),
        ) else {
            return Err(bad("is larger than this machine can address".into()));
        };
        ranges.push((begin, end));
        index.insert(
            name,
            TensorInfo {
                shape,
                dtype,
                place: Place {
                    offset,
                    strides: None,
                    storage: None,
                },
            },
        );
    }
    ranges.sort_unstable();
    let mut reached = 0;
    for (begin, end) in ranges {
        if begin != reached {
            let what = if begin < reached {
                "overlap"
            } else {
                "leave a gap"
            };
            return Err(CheckpointError::safetensors(format!(
                "two tensors {what} at byte {begin} of the data"
            )));
        }
        reached = end;
    }
    let expected = data_start.saturating_add(reached);
    match expected.cmp(&file_len) {
        std::cmp::Ordering::Greater => Err(CheckpointError::Truncated {
            expected,
            found: file_len,
        }),
        std::cmp::Ordering::Less => Err(CheckpointError::safetensors(format!(
            "{} bytes follow the last tensor",
            file_len - expected
        ))),
        std::cmp::Ordering::Equal => Ok(index),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// The header as written; a name that stands twice is an error, where a map would keep the last.
#[derive(Default)]
struct RawHeader {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, RawTensor>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;
        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut header = RawHeader::default();
                let mut metadata_seen = false;
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        if std::mem::replace(&mut metadata_seen, true) {
                            return Err(A::Error::custom("__metadata__ stands twice"));
                        }
                        header.metadata = map.next_value()?;
                        continue;
                    }
                    if header.tensors.len() >= MAX_TENSORS {
                        return Err(A::Error::custom(format!("more than {MAX_TENSORS} tensors")));
                    }
                    let tensor = map.next_value()?;
                    if header.tensors.insert(name.clone(), tensor).is_some() {
                        return Err(A::Error::custom(format!(
                            "tensor `{}` stands twice",
                            shown(&name)
                        )));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(HeaderVisitor)
    }
}
