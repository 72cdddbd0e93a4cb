//! Reads the `.npz` files of the fixtures: a zip of `.npy` arrays.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// The elements of an array, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    F32(Vec<f32>),
    Bool(Vec<bool>),
}

/// One array.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

impl Array {
    pub fn f32(&self) -> Result<&[f32]> {
        match &self.values {
            Values::F32(values) => Ok(values),
            Values::Bool(_) => bail!("an array of booleans where numbers are expected"),
        }
    }

    pub fn bool(&self) -> Result<&[bool]> {
        match &self.values {
            Values::Bool(values) => Ok(values),
            Values::F32(_) => bail!("an array of numbers where booleans are expected"),
        }
    }
}

/// All arrays of a file, by name.
pub fn read(path: &Path) -> Result<BTreeMap<String, Array>> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut archive = zip::ZipArchive::new(file)?;
    let mut arrays = BTreeMap::new();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i)?;
        let name = entry.name()?.trim_end_matches(".npy").to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let array = parse(&bytes).with_context(|| format!("{}: {name}", path.display()))?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}

/// Version 1 of the format, which numpy writes for everything here.
fn parse(bytes: &[u8]) -> Result<Array> {
    let length = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, low, high, ..] => {
            usize::from(u16::from_le_bytes([*low, *high]))
        }
        _ => bail!("not an .npy of version 1"),
    };
    let header = std::str::from_utf8(bytes.get(10..10 + length).context("cut short")?)?;
    if header.contains("'fortran_order': True") {
        bail!("column-major arrays are not read");
    }
    let shape = header
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    let shape = shape
        .context("no shape")?
        .0
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty());
    let shape: Vec<usize> = shape.map(str::parse).collect::<Result<_, _>>()?;
    let data = &bytes[10 + length..];
    let values = if header.contains("'<f4'") {
        let values = data
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        Values::F32(values.collect())
    } else if header.contains("'|b1'") {
        Values::Bool(data.iter().map(|b| *b != 0).collect())
    } else {
        bail!("elements of a kind that is not read: {header}");
    };
    Ok(Array { shape, values })
}
