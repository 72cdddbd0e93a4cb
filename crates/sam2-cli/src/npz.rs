//! NumPy's .npz: a zip of .npy arrays, written as they come and read by name.

use crate::CliError;
use crate::fails_once::FailsOnce;
use crate::files::AtomicFile;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Writes arrays one after another; nothing but the one at hand is in memory.
pub struct NpzWriter {
    zip: ZipWriter<FailsOnce<BufWriter<File>>>,
    file: AtomicFile,
    path: PathBuf,
}

impl NpzWriter {
    /// Opens a temporary file beside `path`.
    ///
    /// # Errors
    /// [`CliError::Io`].
    pub fn create(path: &Path) -> Result<Self, CliError> {
        let mut file = AtomicFile::create(path)?;
        let handle = file.file()?.try_clone().map_err(CliError::io(path))?;
        Ok(Self {
            zip: ZipWriter::new(FailsOnce::new(BufWriter::new(handle))),
            file,
            path: path.to_owned(),
        })
    }

    /// Adds an array of float32, row-major. Stored: noise of the network does not compress.
    ///
    /// # Errors
    /// [`CliError::Io`].
    pub fn f32(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Result<(), CliError> {
        self.begin(
            name,
            "<f4",
            shape,
            values.len() * 4,
            CompressionMethod::Stored,
        )?;
        let mut buffer = Vec::with_capacity(1 << 16);
        for part in values.chunks(1 << 14) {
            buffer.clear();
            buffer.extend(part.iter().flat_map(|v| v.to_le_bytes()));
            self.zip
                .write_all(&buffer)
                .map_err(CliError::io(&self.path))?;
        }
        Ok(())
    }

    /// Adds an array of bool, row-major, from planes of bytes 0 and 1. Compressed: masks shrink well.
    ///
    /// # Errors
    /// [`CliError::Io`].
    pub fn bool<'a>(
        &mut self,
        name: &str,
        shape: &[usize],
        planes: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), CliError> {
        let bytes = shape.iter().product();
        self.begin(name, "|b1", shape, bytes, CompressionMethod::Deflated)?;
        for plane in planes {
            self.zip
                .write_all(plane)
                .map_err(CliError::io(&self.path))?;
        }
        Ok(())
    }

    /// Adds a text under its own name, beside the arrays.
    ///
    /// # Errors
    /// [`CliError::Io`].
    pub fn text(&mut self, name: &str, text: &str) -> Result<(), CliError> {
        let failed = |e: zip::result::ZipError| CliError::io(&self.path)(std::io::Error::from(e));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .large_file(text.len() as u64 > u64::from(u32::MAX) - (1 << 16));
        self.zip.start_file(name, options).map_err(failed)?;
        let written = self.zip.write_all(text.as_bytes());
        written.map_err(CliError::io(&self.path))
    }

    fn begin(
        &mut self,
        name: &str,
        descr: &str,
        shape: &[usize],
        bytes: usize,
        method: CompressionMethod,
    ) -> Result<(), CliError> {
        let failed = |e: zip::result::ZipError| CliError::io(&self.path)(std::io::Error::from(e));
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .large_file(bytes as u64 > u64::from(u32::MAX) - (1 << 16));
        self.zip
            .start_file(format!("{name}.npy"), options)
            .map_err(failed)?;
        self.zip
            .write_all(&header(descr, shape))
            .map_err(CliError::io(&self.path))
    }

    /// Ends the archive and gives the file its name.
    ///
    /// # Errors
    /// [`CliError::Io`].
    pub fn finish(self) -> Result<(), CliError> {
        let failed = |e: zip::result::ZipError| CliError::io(&self.path)(std::io::Error::from(e));
        let mut inner = self.zip.finish().map_err(failed)?;
        inner.flush().map_err(CliError::io(&self.path))?;
        if inner.has_failed() {
            // Nobody was told: the zip writer kept it to itself.
            let error = std::io::Error::other("it could not be written");
            return Err(CliError::io(&self.path)(error));
        }
        self.file.keep()
    }
}

/// Head of a .npy file, version 1.0: magic, length, a Python dict padded to a multiple of 64.
fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let dims = match shape {
        [one] => format!("{one},"),
        dims => dims
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    };
    let mut dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}), }}");
    let padding = (64 - (10 + dict.len() + 1) % 64) % 64;
    dict.extend(std::iter::repeat_n(' ', padding));
    dict.push('\n');
    let mut head = b"\x93NUMPY\x01\x00".to_vec();
    // At most a few hundred bytes: a shape here has four dimensions.
    head.extend((dict.len() as u16).to_le_bytes());
    head.extend(dict.as_bytes());
    head
}

/// A float32 array.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Row-major shape.
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// Values that an array may have at most when it is read: a mask prompt is far smaller.
const MOST_VALUES: usize = 1 << 26;

/// Reads a .npy of float32 or float64 in C order.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_npy(mut from: impl Read) -> Result<Array, String> {
    let short = |_| "the array is cut short".to_owned();
    let mut head = [0; 10];
    from.read_exact(&mut head).map_err(short)?;
    if &head[..6] != b"\x93NUMPY" || head[6] != 1 {
        return Err("it is no .npy array of format 1".to_owned());
    }
    let mut dict = vec![0; usize::from(u16::from_le_bytes([head[8], head[9]]))];
    from.read_exact(&mut dict).map_err(short)?;
    let dict = String::from_utf8(dict).map_err(|_| "its header is damaged".to_owned())?;
    let wide = match ["'<f4'", "'<f8'"].map(|d| dict.contains(d)) {
        [true, _] => false,
        [_, true] => true,
        _ => return Err("it does not hold float32 or float64 values".to_owned()),
    };
    if !dict.contains("'fortran_order': False") {
        return Err("it is not in C order: save it with numpy.ascontiguousarray".to_owned());
    }
    let dims = dict
        .split_once("'shape': (")
        .and_then(|(_, rest)| rest.split_once(')'));
    let dims = dims
        .ok_or("its header has no shape")?
        .0
        .split(',')
        .map(str::trim);
    let shape: Option<Vec<usize>> = dims
        .filter(|d| !d.is_empty())
        .map(|d| d.parse().ok())
        .collect();
    let shape = shape.ok_or("its shape is damaged")?;
    let count = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
    let count = count
        .filter(|n| *n <= MOST_VALUES)
        .ok_or("it is too large")?;
    let size = if wide { 8 } else { 4 };
    let mut bytes = Vec::new();
    from.take((count * size) as u64)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() != count * size {
        return Err("the array is cut short".to_owned());
    }
    let values = match wide {
        false => bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
        true => bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b) as f32)
            .collect(),
    };
    Ok(Array { shape, values })
}

/// An .npz to read from.
pub struct NpzReader<R>(ZipArchive<R>);

impl<R: Read + Seek> NpzReader<R> {
    /// Reads the directory.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn open(from: R) -> Result<Self, String> {
        ZipArchive::new(from)
            .map(Self)
            .map_err(|e| format!("it is no .npz: {e}"))
    }

    /// Names of the arrays.
    pub fn names(&self) -> Vec<String> {
        let names = self.0.file_names().filter_map(Result::ok);
        names
            .map(|n| n.trim_end_matches(".npy").to_owned())
            .collect()
    }

    /// Reads one array.
    ///
    /// # Errors
    /// As [`read_npy`].
    pub fn read(&mut self, name: &str) -> Result<Array, String> {
        let entry = self
            .0
            .by_name(&format!("{name}.npy"))
            .map_err(|e| format!("{name}: {e}"))?;
        read_npy(entry).map_err(|e| format!("{name}: {e}"))
    }

    /// Reads a text of at most `limit` bytes.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn text(&mut self, name: &str, limit: u64) -> Result<String, String> {
        let named = |e: String| format!("{name}: {e}");
        let entry = self.0.by_name(name).map_err(|e| named(e.to_string()))?;
        let mut text = String::new();
        let read = entry.take(limit + 1).read_to_string(&mut text);
        match read.map_err(|e| named(e.to_string()))? as u64 > limit {
            true => Err(named("it is too large".to_owned())),
            false => Ok(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_numpys() {
        // numpy.lib.format.write_array_header_1_0 for zeros((2, 3), float32).
        let head = header("<f4", &[2, 3]);
        assert_eq!(head.len() % 64, 0);
        assert!(head.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', "));
        assert!(String::from_utf8_lossy(&head[10..]).contains("'shape': (2, 3), }"));
        assert!(head.ends_with(b"\n"));
        assert!(String::from_utf8_lossy(&header("|b1", &[7])[10..]).contains("'shape': (7,), }"));
    }

    #[test]
    fn arrays_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let values: Vec<f32> = (0..35_000).map(|i| i as f32 * 0.5 - 3.0).collect();
        let mut npz = NpzWriter::create(&path).unwrap();
        npz.f32("low_0", &[1, 175, 200], &values).unwrap();
        let planes = [[1_u8, 0, 1], [0, 0, 1]];
        npz.bool("mask_0", &[2, 1, 3], planes.iter().map(|p| &p[..]))
            .unwrap();
        npz.finish().unwrap();
        let mut read = NpzReader::open(File::open(&path).unwrap()).unwrap();
        let mut names = read.names();
        names.sort();
        assert_eq!(names, ["low_0", "mask_0"]);
        let array = read.read("low_0").unwrap();
        assert_eq!((array.shape, array.values), (vec![1, 175, 200], values));
        assert!(read.read("mask_0").unwrap_err().contains("float32"));
        assert!(read.read("none").is_err());
    }

    #[test]
    fn damaged_arrays_are_refused() {
        let mut good = header("<f4", &[2, 2]);
        good.extend([0; 16]);
        assert_eq!(read_npy(&good[..]).unwrap().shape, [2, 2]);
        assert!(
            read_npy(&good[..good.len() - 1])
                .unwrap_err()
                .contains("cut short")
        );
        assert!(
            read_npy(&header("<f4", &[usize::MAX, 2])[..])
                .unwrap_err()
                .contains("too large")
        );
        assert!(read_npy(&b"PK\x03\x04 not an array"[..]).is_err());
    }
}
