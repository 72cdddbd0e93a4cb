//! From what a pickle built to tensors with places in the archive.

use std::collections::HashMap;

use super::pickle::{Id, Program, Value};
use super::zip::Directory;
use super::{Archive, Storage};
use crate::dtype::DType;
use crate::error::{CheckpointError, shown};
use crate::index::{Place, TensorIndex, TensorInfo};
use crate::source::ReadAt;

type Entries = [(Id, Id)];

/// The tensors under the root's key `model`, as official checkpoints have them, or of a bare state
/// dict. Every value there must be a tensor that lies in its storage.
pub(super) fn collect(
    program: &Program,
    directory: &Directory,
    root: &str,
    source: &dyn ReadAt,
) -> Result<Archive, CheckpointError> {
    let mut storages = Storages {
        directory,
        root,
        source,
        by_key: HashMap::new(),
        list: Vec::new(),
    };
    let mut index = TensorIndex::default();
    for &(key, value) in state_dict(program)? {
        let Value::Text(name) = program.get(key) else {
            return pickle_error("a tensor's name is not text");
        };
        let Value::Tensor {
            storage,
            offset,
            shape,
            strides,
        } = program.get(value)
        else {
            return pickle_error(format!("`{}` is not a tensor", shown(name)));
        };
        let Value::Storage {
            dtype,
            key,
            elements,
        } = program.get(*storage)
        else {
            return pickle_error(format!("`{}` has no storage", shown(name)));
        };
        let at = storages.find(key, *dtype, *elements)?;
        let info = view(
            &storages.list[at],
            at,
            *dtype,
            *elements,
            *offset,
            shape,
            strides,
        )
        .ok_or_else(|| CheckpointError::Pickle {
            message: format!("tensor `{}` reaches outside its storage", shown(name)),
        })?;
        if !index.insert(name.clone(), info) {
            return pickle_error(format!("tensor `{}` stands twice", shown(name)));
        }
    }
    Ok(Archive {
        index,
        storages: storages.list,
    })
}

fn state_dict(program: &Program) -> Result<&Entries, CheckpointError> {
    let Value::Dict(root) = program.get(program.root) else {
        return pickle_error("its root is not a dict");
    };
    let model = root
        .iter()
        .find(|(key, _)| matches!(program.get(*key), Value::Text(text) if text == "model"));
    if let Some((_, value)) = model {
        if let Value::Dict(entries) = program.get(*value) {
            return Ok(entries);
        }
        return pickle_error("its entry `model` is not a dict");
    }
    if root
        .iter()
        .any(|(_, value)| matches!(program.get(*value), Value::Tensor { .. }))
    {
        return Ok(root);
    }
    let keys: Vec<_> = root
        .iter()
        .filter_map(|(key, _)| match program.get(*key) {
            Value::Text(text) => Some(shown(text)),
            _ => None,
        })
        .take(5)
        .collect();
    pickle_error(format!(
        "it has neither an entry `model` nor tensors at its root, only: {}",
        if keys.is_empty() {
            "nothing".into()
        } else {
            keys.join(", ")
        }
    ))
}

/// Looks storages up in the archive, each once.
struct Storages<'a> {
    directory: &'a Directory,
    root: &'a str,
    source: &'a dyn ReadAt,
    by_key: HashMap<String, usize>,
    list: Vec<Storage>,
}

impl Storages<'_> {
    fn find(&mut self, key: &str, dtype: DType, elements: u64) -> Result<usize, CheckpointError> {
        let at = match self.by_key.get(key) {
            Some(&at) => at,
            None => {
                let name = format!("{}/data/{key}", self.root);
                let stored = self.directory.stored(self.source, &name)?.ok_or_else(|| {
                    CheckpointError::Zip {
                        message: format!("entry `{}` is missing", shown(&name)),
                    }
                })?;
                self.list.push(Storage {
                    name,
                    offset: stored.offset,
                    bytes: stored.bytes,
                    crc: stored.crc,
                });
                self.by_key.insert(key.to_owned(), self.list.len() - 1);
                self.list.len() - 1
            }
        };
        let needed = elements.checked_mul(dtype.size() as u64);
        if needed.is_none_or(|bytes| bytes > self.list[at].bytes) {
            return Err(CheckpointError::Zip {
                message: format!(
                    "entry `{}` holds {} bytes, fewer than its {elements} elements of {dtype} need",
                    shown(&self.list[at].name),
                    self.list[at].bytes
                ),
            });
        }
        Ok(at)
    }
}

/// A view of a storage; `None` where it would reach outside, or repeat elements (an expanded view
/// could ask for any amount of memory, and no state dict holds one).
fn view(
    storage: &Storage,
    at: usize,
    dtype: DType,
    elements: u64,
    offset: u64,
    shape: &[u64],
    strides: &[u64],
) -> Option<TensorInfo> {
    let count = shape
        .iter()
        .try_fold(1u64, |count, &dim| count.checked_mul(dim))?;
    if shape.len() != strides.len() || count > elements {
        return None;
    }
    let mut contiguous = true;
    if count > 0 {
        let mut furthest = offset;
        let mut expected = 1;
        for (&dim, &stride) in shape.iter().zip(strides).rev() {
            furthest = furthest.checked_add((dim - 1).checked_mul(stride)?)?;
            contiguous &= dim == 1 || stride == expected;
            // Cannot overflow: at most `count`.
            expected *= dim;
        }
        if furthest >= elements {
            return None;
        }
    } else if offset > elements {
        return None;
    }
    let narrow = |sizes: &[u64]| {
        sizes
            .iter()
            .map(|&size| usize::try_from(size).ok())
            .collect::<Option<Vec<_>>>()
    };
    let shape = narrow(shape)?;
    let strides = if contiguous {
        None
    } else {
        Some(narrow(strides)?)
    };
    let offset = storage
        .offset
        .checked_add(offset.checked_mul(dtype.size() as u64)?)?;
    Some(TensorInfo {
        shape,
        dtype,
        place: Place {
            offset,
            strides,
            storage: Some(at),
        },
    })
}

fn pickle_error<T>(message: impl Into<String>) -> Result<T, CheckpointError> {
    Err(CheckpointError::Pickle {
        message: message.into(),
    })
}
