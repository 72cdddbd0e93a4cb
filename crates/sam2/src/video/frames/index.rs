//! Where the frames of a file begin and end.

use super::beyond;
use crate::Error;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Frames at places of one file, read when they are asked for.
#[derive(Debug)]
pub(super) struct FrameIndex {
    file: BufReader<File>,
    /// Start and length of each frame that is used.
    places: Vec<(u64, u64)>,
    /// Frames in the file, those that are not used too.
    found: usize,
    most: usize,
    /// Why the frame after the last place cannot be found, where that is no end but damage.
    damage: Option<String>,
}

impl FrameIndex {
    /// Nothing is found yet; of what will be, the first `max_frames` are used (0: all).
    pub fn new(file: BufReader<File>, max_frames: usize) -> Self {
        let most = match max_frames {
            0 => usize::MAX,
            most => most,
        };
        Self {
            file,
            places: Vec::new(),
            found: 0,
            most,
            damage: None,
        }
    }

    /// The file, to look for frames in.
    pub fn file(&mut self) -> &mut BufReader<File> {
        &mut self.file
    }

    /// Takes note of the next frame.
    pub fn add(&mut self, start: u64, length: u64) {
        self.found += 1;
        if self.places.len() < self.most {
            self.places.push((start, length));
        }
    }

    /// The file is damaged where the next frame would begin, and no later one can be found: that frame
    /// counts as the last one, and reading it is the error.
    pub fn end_damaged(&mut self, reason: &Error) {
        if self.places.len() < self.most {
            self.damage = Some(format!("frame {}: {reason}", self.found));
        }
        self.found += 1;
    }

    /// Frames that are used.
    pub fn len(&self) -> usize {
        self.places.len() + usize::from(self.damage.is_some())
    }

    pub fn found(&self) -> usize {
        self.found
    }

    /// The bytes of a frame.
    ///
    /// # Errors
    /// [`Error::Video`] that names the frame, where it is not there, damaged or cut short.
    pub fn read(&mut self, index: usize) -> Result<Vec<u8>, Error> {
        let place = self.places.get(index).copied();
        let (start, length) = place.ok_or_else(|| match &self.damage {
            Some(reason) => Error::Video(reason.clone()),
            None => beyond(index, self.places.len()),
        })?;
        let named = |reason: String| {
            Error::Video(format!(
                "frame {index} is cut short or unreadable: {reason}"
            ))
        };
        let seek = self.file.seek(SeekFrom::Start(start));
        seek.map_err(|e| named(e.to_string()))?;
        // As much as is there: a length may be a header's promise.
        let mut bytes = Vec::new();
        let read = (&mut self.file).take(length).read_to_end(&mut bytes);
        let read = read.map_err(|e| named(e.to_string()))?;
        match read as u64 == length {
            true => Ok(bytes),
            false => Err(named(format!("{read} of {length} bytes are there"))),
        }
    }
}
