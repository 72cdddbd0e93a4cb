//! Whether a JPEG reaches its end.
//!
//! JPEG decoders for the web fill what is missing with grey, and a person would be shown a mask
//! of half a picture. The markers say cheaply whether all of it is there.

/// True when the end marker (EOI) of the first picture in the file is found by walking the
/// segments: one inside an embedded thumbnail does not count.
pub(crate) fn has_end(bytes: &[u8]) -> bool {
    let mut at = 0;
    let mut in_scan = false;
    while let Some(offset) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|b| *b == 0xff))
    {
        at += offset + 1;
        let Some(marker) = bytes.get(at) else {
            return false;
        };
        match marker {
            // The end.
            0xd9 => return true,
            // A fill byte: the marker begins at the next 0xff.
            0xff => continue,
            // A stuffed 0xff of the scan, restart markers, the start, TEM: without a length.
            0x00 | 0x01 | 0xd0..=0xd8 => at += 1,
            // Inside a scan, a byte that no marker uses there is damage, not a segment.
            0x02..=0xbf if in_scan => at += 1,
            _ => {
                let Some([high, low]) = bytes.get(at + 1..at + 3) else {
                    return false;
                };
                in_scan = *marker == 0xda;
                at += 1 + usize::from(u16::from_be_bytes([*high, *low]));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_end_past_a_thumbnail_and_stuffed_bytes() {
        let mut file = vec![0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9];
        assert!(!has_end(&file), "the end of the thumbnail is not the end");
        file.extend([0xff, 0xda, 0, 3, 9, 1, 2, 0xff, 0x00, 3, 0xff, 0xd0, 4]);
        assert!(!has_end(&file));
        file.extend([0xff, 0xd9, 77]);
        assert!(has_end(&file));
    }

    #[test]
    fn nothing_is_no_end() {
        assert!(!has_end(&[]));
        assert!(!has_end(&[0xff]));
        assert!(!has_end(&[0xff, 0xd8, 0xff, 0xe0, 0xff]));
    }
}
