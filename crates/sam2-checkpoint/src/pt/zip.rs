//! The directory of a zip archive with stored entries only, as PyTorch writes it.
//!
//! Sizes and offsets are taken from the central directory (with zip64 where present) and checked
//! against the file; nothing is unpacked, so there is no bomb to go off.

use std::collections::BTreeMap;

use crate::error::{CheckpointError, shown};
use crate::source::ReadAt;

const MAX_ENTRIES: u64 = 200_000;
const MAX_DIRECTORY: u64 = 64 << 20;

const END: [u8; 4] = *b"PK\x05\x06";
const END64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR64: [u8; 4] = *b"PK\x06\x07";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";

/// One entry, as the central directory describes it.
#[derive(Debug, Clone, Copy)]
struct Entry {
    method: u16,
    encrypted: bool,
    crc: u32,
    packed: u64,
    bytes: u64,
    /// Position of the local header.
    header: u64,
}

/// Where the bytes of a stored entry lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub offset: u64,
    pub bytes: u64,
    pub crc: Option<u32>,
}

pub(super) struct Directory(BTreeMap<String, Entry>);

impl Directory {
    /// The folder that PyTorch puts everything in: the `X` of the one `X/data.pkl`.
    pub fn root(&self) -> Result<String, CheckpointError> {
        let mut roots = self
            .0
            .keys()
            .filter_map(|name| name.strip_suffix("/data.pkl"));
        let root = roots.next().ok_or_else(|| zip_error(match self.0.keys().next() {
            Some(name) => format!(
                "it is a zip of other files (such as `{}`), not a PyTorch checkpoint; if the model is inside, unpack it first",
                shown(name)
            ),
            None => "it is empty".into(),
        }))?;
        if roots.next().is_some() {
            return Err(zip_error("it has more than one data.pkl"));
        }
        if self.0.contains_key(&format!("{root}/constants.pkl")) {
            return Err(zip_error(
                "it is a TorchScript program; save the state_dict instead",
            ));
        }
        Ok(root.to_owned())
    }

    /// Where an entry's bytes lie, after checking that they are stored, readable and in the file.
    pub fn stored(
        &self,
        source: &dyn ReadAt,
        name: &str,
    ) -> Result<Option<Stored>, CheckpointError> {
        let Some(entry) = self.0.get(name) else {
            return Ok(None);
        };
        let bad = |message: &str| Err(zip_error(format!("entry `{}` {message}", shown(name))));
        if entry.encrypted {
            return bad("is encrypted");
        }
        if entry.method != 0 {
            return bad(
                "is compressed, which PyTorch never does; unpack the archive and zip it with `zip -0`, or save it again with torch.save",
            );
        }
        if entry.packed != entry.bytes {
            return bad("is stored, but has two sizes");
        }
        let mut header = [0; 30];
        if entry
            .header
            .checked_add(30)
            .is_none_or(|end| end > source.len())
        {
            return bad("lies outside the file");
        }
        source
            .read_at(entry.header, &mut header)
            .map_err(|error| CheckpointError::read("the archive", error))?;
        if header[..4] != LOCAL {
            return bad("has no header where the directory says; the file is damaged or cut short");
        }
        let lengths = u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        let offset = entry.header + 30 + lengths;
        if offset
            .checked_add(entry.bytes)
            .is_none_or(|end| end > source.len())
        {
            return bad("reaches beyond the end of the file; it is cut short or damaged");
        }
        // torch.serialization.set_crc32_options(False) writes 0 for every entry.
        let crc = (entry.crc != 0).then_some(entry.crc);
        Ok(Some(Stored {
            offset,
            bytes: entry.bytes,
            crc,
        }))
    }

    /// Reads an entry whole, and checks its CRC. `None` when there is no such entry.
    pub fn read(
        &self,
        source: &dyn ReadAt,
        name: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, CheckpointError> {
        let Some(stored) = self.stored(source, name)? else {
            return Ok(None);
        };
        if stored.bytes > limit {
            return Err(zip_error(format!(
                "entry `{}` is {} bytes long, more than the {limit} accepted",
                shown(name),
                stored.bytes
            )));
        }
        let mut bytes = vec![0; stored.bytes as usize];
        source
            .read_at(stored.offset, &mut bytes)
            .map_err(|error| CheckpointError::read("the archive", error))?;
        if stored.crc.is_some_and(|crc| crc != crc32fast::hash(&bytes)) {
            return Err(CheckpointError::Checksum {
                what: format!("entry `{}` of the .pt archive", shown(name)),
            });
        }
        Ok(Some(bytes))
    }
}

/// Finds and reads the central directory.
pub(super) fn read_directory(source: &dyn ReadAt) -> Result<Directory, CheckpointError> {
    let (offset, bytes, count) = find_directory(source)?;
    if count > MAX_ENTRIES || bytes > MAX_DIRECTORY {
        return Err(zip_error(format!(
            "its directory claims {count} entries in {bytes} bytes, more than is accepted"
        )));
    }
    if offset
        .checked_add(bytes)
        .is_none_or(|end| end > source.len())
    {
        return Err(zip_error(
            "its directory reaches beyond the end of the file",
        ));
    }
    let mut directory = vec![0; bytes as usize];
    source
        .read_at(offset, &mut directory)
        .map_err(|error| CheckpointError::read("the archive", error))?;

    let mut entries = BTreeMap::new();
    let mut rest = directory.as_slice();
    for _ in 0..count {
        let (name, entry, next) =
            central_entry(rest).ok_or_else(|| zip_error("its directory is damaged"))?;
        if entries.insert(name.clone(), entry).is_some() {
            return Err(zip_error(format!("entry `{}` stands twice", shown(&name))));
        }
        rest = next;
    }
    Ok(Directory(entries))
}

/// Position, bytes and number of entries of the central directory.
fn find_directory(source: &dyn ReadAt) -> Result<(u64, u64, u64), CheckpointError> {
    const CUT: &str =
        "it has no directory at its end; the file is cut short, download or copy it again";
    // The end record is 22 bytes and a comment of up to 65 535.
    let len = source.len().min(22 + 0xffff);
    let start = source.len() - len;
    let mut tail = vec![0; len as usize];
    source
        .read_at(start, &mut tail)
        .map_err(|error| CheckpointError::read("the archive", error))?;
    let at = (0..=tail.len().saturating_sub(22))
        .rev()
        .find(|&at| {
            tail.len() >= at + 22
                && tail[at..at + 4] == END
                && at + 22 + usize::from(u16_at(&tail, at + 20)) == tail.len()
        })
        .ok_or_else(|| zip_error(CUT))?;
    let plain = (
        u64::from(u32_at(&tail, at + 16)),
        u64::from(u32_at(&tail, at + 12)),
        u64::from(u16_at(&tail, at + 10)),
    );
    let end = start + at as u64;
    let Some(locator) = end.checked_sub(20) else {
        return Ok(plain);
    };
    let mut record = [0; 20];
    source
        .read_at(locator, &mut record)
        .map_err(|error| CheckpointError::read("the archive", error))?;
    if record[..4] != LOCATOR64 {
        return Ok(plain);
    }
    let position = u64_at(&record, 8);
    if position.checked_add(56).is_none_or(|end| end > locator) {
        return Err(zip_error("its zip64 directory lies outside the file"));
    }
    let mut end64 = [0; 56];
    source
        .read_at(position, &mut end64)
        .map_err(|error| CheckpointError::read("the archive", error))?;
    if end64[..4] != END64 {
        return Err(zip_error("its zip64 directory is damaged"));
    }
    Ok((u64_at(&end64, 48), u64_at(&end64, 40), u64_at(&end64, 32)))
}

/// The first entry of `rest` and what follows it; `None` when it does not fit.
fn central_entry(rest: &[u8]) -> Option<(String, Entry, &[u8])> {
    const FIXED: usize = 46;
    let header = rest.get(..FIXED)?;
    if header[..4] != CENTRAL {
        return None;
    }
    let (name_len, extra_len, comment_len) = (
        usize::from(u16_at(header, 28)),
        usize::from(u16_at(header, 30)),
        usize::from(u16_at(header, 32)),
    );
    let name = String::from_utf8_lossy(rest.get(FIXED..FIXED + name_len)?).into_owned();
    let extra = rest.get(FIXED + name_len..FIXED + name_len + extra_len)?;
    let next = rest.get(FIXED + name_len + extra_len + comment_len..)?;

    let mut wide = Zip64::find(extra);
    let entry = Entry {
        encrypted: u16_at(header, 8) & 1 != 0,
        method: u16_at(header, 10),
        crc: u32_at(header, 16),
        // In this order in the extra field, and only those that did not fit.
        bytes: wide.widen(u32_at(header, 24))?,
        packed: wide.widen(u32_at(header, 20))?,
        header: wide.widen(u32_at(header, 42))?,
    };
    Some((name, entry, next))
}

/// The zip64 extra field: the 64-bit values whose 32-bit place holds all ones.
struct Zip64<'a>(&'a [u8]);

impl<'a> Zip64<'a> {
    fn find(mut extra: &'a [u8]) -> Self {
        while extra.len() >= 4 {
            let len = usize::from(u16_at(extra, 2));
            let Some(body) = extra.get(4..4 + len) else {
                break;
            };
            if u16_at(extra, 0) == 1 {
                return Self(body);
            }
            extra = &extra[4 + len..];
        }
        Self(&[])
    }

    fn widen(&mut self, narrow: u32) -> Option<u64> {
        if narrow != u32::MAX {
            return Some(narrow.into());
        }
        let (value, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*value))
    }
}

fn zip_error(message: impl Into<String>) -> CheckpointError {
    CheckpointError::Zip {
        message: message.into(),
    }
}

// The callers hold slices of fixed, checked length.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
