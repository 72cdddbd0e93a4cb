//! What a file is, from its first bytes; names and extensions lie.

use crate::error::CheckpointError;
use crate::source::ReadAt;

/// Containers that this crate reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Zip,
    Safetensors,
}

/// Enough for every signature below; a tar's is the furthest in.
const HEAD: usize = 512;

const AGAIN: &str = "download the model again, and check its size";
const UNPACK: &str = "unpack it first, and open the .pt or .safetensors inside";
const RESAVE: &str =
    "load it in a current PyTorch and save it again with torch.save, or as .safetensors";
const OTHER: &str = "SAM 2 models are .pt or .safetensors files";

/// Signatures at the start of files that people open by mistake.
const SIGNATURES: &[(&[u8], &str, &str)] = &[
    (
        b"version https://git-lfs",
        "a git-lfs pointer, not the file it stands for",
        "run `git lfs pull`, or download the file itself",
    ),
    (b"PK\x05\x06", "an empty zip archive", AGAIN),
    (
        b"\x80\x02",
        "a torch.save file of the format before PyTorch 1.6",
        RESAVE,
    ),
    (b"\x80\x03", "a Python pickle", RESAVE),
    (b"\x80\x04", "a Python pickle", RESAVE),
    (b"\x80\x05", "a Python pickle", RESAVE),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (b"\xfd7zXZ", "an xz archive", UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", UNPACK),
    (b"Rar!", "a rar archive", UNPACK),
    (b"GGUF", "a GGUF model", OTHER),
    (b"\x89HDF", "an HDF5 file", OTHER),
    (b"\x93NUMPY", "a NumPy array", OTHER),
    (b"\x89PNG", "a PNG picture", OTHER),
    (b"\xff\xd8\xff", "a JPEG picture", OTHER),
    (b"%PDF", "a PDF document", OTHER),
    (b"\x7fELF", "a program", OTHER),
    (b"\0asm", "a WebAssembly module", OTHER),
];

/// Decides how to read `source`.
///
/// # Errors
/// [`CheckpointError::NotACheckpoint`] says what the file looks like instead.
pub(crate) fn sniff(source: &dyn ReadAt) -> Result<Container, CheckpointError> {
    let not = |looks_like, hint| Err(CheckpointError::NotACheckpoint { looks_like, hint });
    if source.is_empty() {
        return not("an empty file", AGAIN);
    }
    let mut buffer = [0; HEAD];
    let len = usize::try_from(source.len()).unwrap_or(HEAD).min(HEAD);
    let head = &mut buffer[..len];
    source
        .read_at(0, head)
        .map_err(|error| CheckpointError::read("the start of the model", error))?;

    if head.starts_with(b"PK\x03\x04") {
        return Ok(Container::Zip);
    }
    // A length and the brace of a JSON object; the length's own sense is the reader's business.
    if head.get(8) == Some(&b'{') && head[4..8] == [0; 4] {
        return Ok(Container::Safetensors);
    }
    if let Some((_, looks_like, hint)) = SIGNATURES
        .iter()
        .find(|(start, ..)| head.starts_with(start))
    {
        return not(looks_like, hint);
    }
    if head.get(257..262) == Some(b"ustar") {
        return not(
            "a tar archive (PyTorch's oldest format, or a package)",
            RESAVE,
        );
    }
    let text = String::from_utf8_lossy(head)
        .trim_start_matches('\u{feff}')
        .trim_start()
        .to_lowercase();
    if text.starts_with("<!doctype") || text.starts_with("<html") || text.starts_with("<?xml") {
        return not(
            "a web page saved under the name of a model",
            "open the address in a browser to see what it says, then download again",
        );
    }
    if text.starts_with("# @package") || text.starts_with("model:") {
        return not(
            "a yaml configuration",
            "the model is the file with the weights; this is given besides",
        );
    }
    if text.starts_with('{') || text.starts_with('[') {
        return not("JSON text", OTHER);
    }
    if head.iter().all(|&byte| byte == 0) {
        return not("a file of zeros, as an interrupted download leaves", AGAIN);
    }
    not("something else", OTHER)
}
