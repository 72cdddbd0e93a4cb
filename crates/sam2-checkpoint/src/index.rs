//! The tensors of a checkpoint, and how they are held against a model.

use std::collections::BTreeMap;
use std::fmt;

use crate::dtype::DType;
use crate::error::shown;

/// One tensor of a checkpoint, without its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// As PyTorch gives it: a `Linear` is `[out, in]`, a convolution `[out, in, kH, kW]`.
    pub shape: Vec<usize>,
    pub dtype: DType,
    pub(crate) place: Place,
}

impl TensorInfo {
    /// Number of elements. Cannot overflow: a reader checks it against the file's length.
    pub fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of the elements in the file.
    pub fn num_bytes(&self) -> u64 {
        self.num_elements() as u64 * self.dtype.size() as u64
    }
}

/// Where the elements lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Position of the first element in the file, in bytes.
    pub offset: u64,
    /// Steps in elements per dimension; `None` means C order without gaps.
    pub strides: Option<Vec<usize>>,
    /// Which checksummed unit the elements lie in (`.pt` only).
    pub storage: Option<usize>,
}

/// Names and shapes of a checkpoint, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TensorIndex(BTreeMap<String, TensorInfo>);

impl TensorIndex {
    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All tensors in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.0.iter().map(|(name, info)| (name.as_str(), info))
    }

    /// All names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// One tensor.
    pub fn get(&self, name: &str) -> Option<&TensorInfo> {
        self.0.get(name)
    }

    /// The shape of one tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.0.get(name).map(|info| info.shape.as_slice())
    }

    /// Whether a tensor of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// An index of names and shapes without a file behind it, typed F32; for recognising a model
    /// from a listing.
    pub fn from_shapes(shapes: impl IntoIterator<Item = (String, Vec<usize>)>) -> Self {
        let place = Place {
            offset: 0,
            strides: None,
            storage: None,
        };
        let info = |shape| TensorInfo {
            shape,
            dtype: DType::F32,
            place: place.clone(),
        };
        Self(
            shapes
                .into_iter()
                .map(|(name, shape)| (name, info(shape)))
                .collect(),
        )
    }

    /// Adds a tensor; `false` when the name was there already.
    pub(crate) fn insert(&mut self, name: String, info: TensorInfo) -> bool {
        self.0.insert(name, info).is_none()
    }

    /// Holds the tensors against what a model needs
    /// ([`expected_tensors`](crate::expected_tensors)). Strict: every missing, unexpected, wrongly
    /// shaped and wrongly typed tensor counts.
    ///
    /// # Errors
    /// [`Mismatch`] with all of them.
    pub fn check_against(&self, expected: &[(String, Vec<usize>)]) -> Result<(), Mismatch> {
        let mut mismatch = Mismatch::default();
        let mut wanted = std::collections::HashSet::with_capacity(expected.len());
        for (name, shape) in expected {
            wanted.insert(name.as_str());
            match self.0.get(name) {
                None => mismatch.missing.push(name.clone()),
                Some(found) if found.shape != *shape => mismatch.wrongly_shaped.push(WrongShape {
                    name: name.clone(),
                    expected: shape.clone(),
                    found: found.shape.clone(),
                }),
                Some(found) if !found.dtype.is_float() => {
                    mismatch.wrongly_typed.push((name.clone(), found.dtype));
                }
                Some(_) => {}
            }
        }
        mismatch.unexpected = self
            .names()
            .filter(|&name| !wanted.contains(name))
            .map(str::to_owned)
            .collect();
        if mismatch.is_empty() {
            Ok(())
        } else {
            Err(mismatch)
        }
    }
}

/// How the tensors of a checkpoint differ from those of a model.
///
/// `Display` is one line: the counts, and the first three of each kind. `{:#}` lists all of them,
/// one a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mismatch {
    pub missing: Vec<String>,
    pub unexpected: Vec<String>,
    pub wrongly_shaped: Vec<WrongShape>,
    /// Tensors that are not floating-point.
    pub wrongly_typed: Vec<(String, DType)>,
}

/// A tensor that both sides have, in different shapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongShape {
    pub name: String,
    pub expected: Vec<usize>,
    pub found: Vec<usize>,
}

impl Mismatch {
    fn is_empty(&self) -> bool {
        self.missing.is_empty()
            && self.unexpected.is_empty()
            && self.wrongly_shaped.is_empty()
            && self.wrongly_typed.is_empty()
    }

    /// The kinds of difference with their lines, those that occurred only.
    fn kinds(&self) -> impl Iterator<Item = (&'static str, Vec<String>)> {
        let shapes = self.wrongly_shaped.iter().map(|wrong| {
            format!(
                "{} is {:?}, expected {:?}",
                shown(&wrong.name),
                wrong.found,
                wrong.expected
            )
        });
        let types = self
            .wrongly_typed
            .iter()
            .map(|(name, dtype)| format!("{} is {dtype}", shown(name)));
        [
            (
                "missing",
                self.missing.iter().map(|name| shown(name)).collect(),
            ),
            (
                "unexpected",
                self.unexpected.iter().map(|name| shown(name)).collect(),
            ),
            ("wrongly shaped", shapes.collect()),
            ("not floating-point", types.collect::<Vec<_>>()),
        ]
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        f.write_str("the checkpoint does not fit the model's configuration: ")?;
        for (position, (kind, lines)) in self.kinds().enumerate() {
            if f.alternate() {
                write!(f, "\n{} {kind}:", lines.len())?;
                for line in &lines {
                    write!(f, "\n  {line}")?;
                }
                continue;
            }
            let separator = if position > 0 { "; " } else { "" };
            let more = if lines.len() > SHOWN { ", …" } else { "" };
            let first = lines
                .iter()
                .take(SHOWN)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            write!(f, "{separator}{} {kind} ({first}{more})", lines.len())?;
        }
        Ok(())
    }
}

impl std::error::Error for Mismatch {}
