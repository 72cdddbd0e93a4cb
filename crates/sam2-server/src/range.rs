//! The `Range` header of RFC 9110, section 14.

/// What a `Range` header asks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranged {
    /// The whole file: no header, another unit, a malformed one, or several ranges. RFC 9110
    /// (14.2) lets a server ignore all of these; several ranges are ignored because no client of
    /// ours asks for them and overlapping ones are a known way to wear a server out.
    Whole,
    /// `length` bytes from `start`, `length >= 1`.
    Part { start: u64, length: u64 },
    /// Nothing of what was asked for exists.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `size` bytes.
pub fn parse(header: &str, size: u64) -> Ranged {
    let Some((unit, set)) = header.split_once('=') else {
        return Ranged::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Ranged::Whole;
    }
    // Lists may carry empty elements (5.6.1).
    let mut ranges = set
        .split(',')
        .map(str::trim)
        .filter(|range| !range.is_empty());
    match (ranges.next(), ranges.next()) {
        (Some(range), None) => one(range, size),
        _ => Ranged::Whole,
    }
}

fn one(range: &str, size: u64) -> Ranged {
    let Some((first, last)) = range.split_once('-') else {
        return Ranged::Whole;
    };
    if first.is_empty() {
        return match number(last) {
            Some(0) => Ranged::Unsatisfiable,
            Some(_) if size == 0 => Ranged::Unsatisfiable,
            Some(suffix) => {
                let length = suffix.min(size);
                Ranged::Part {
                    start: size - length,
                    length,
                }
            }
            None => Ranged::Whole,
        };
    }
    let Some(start) = number(first) else {
        return Ranged::Whole;
    };
    let last = if last.is_empty() {
        u64::MAX
    } else {
        match number(last) {
            Some(last) if last >= start => last,
            _ => return Ranged::Whole,
        }
    };
    if start >= size {
        return Ranged::Unsatisfiable;
    }
    Ranged::Part {
        start,
        length: last.min(size - 1) - start + 1,
    }
}

/// A number of digits alone; one beyond 64 bits is beyond every file and counts as the largest.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_file_of_ten_bytes() {
        let part = |start, length| Ranged::Part { start, length };
        for (header, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-5", part(2, 4)),
            ("bytes=0-9", part(0, 10)),
            ("bytes=7-", part(7, 3)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-100", part(0, 10)),
            ("bytes=5-100", part(5, 5)),
            ("bytes=5-99999999999999999999999", part(5, 5)),
            ("Bytes=1-2", part(1, 2)),
            ("bytes= 1-2 ,", part(1, 2)),
            ("bytes=10-", Ranged::Unsatisfiable),
            ("bytes=10-20", Ranged::Unsatisfiable),
            ("bytes=99999999999999999999999-", Ranged::Unsatisfiable),
            ("bytes=-0", Ranged::Unsatisfiable),
            ("bytes=5-2", Ranged::Whole),
            ("bytes=a-b", Ranged::Whole),
            ("bytes=+1-2", Ranged::Whole),
            ("bytes=1 - 2", Ranged::Whole),
            ("bytes=-", Ranged::Whole),
            ("bytes=", Ranged::Whole),
            ("bytes", Ranged::Whole),
            ("lines=0-1", Ranged::Whole),
            ("bytes=0-1,3-4", Ranged::Whole),
        ] {
            assert_eq!(parse(header, 10), expected, "{header}");
        }
    }

    #[test]
    fn an_empty_file_has_no_range() {
        for header in ["bytes=0-", "bytes=-5", "bytes=0-0"] {
            assert_eq!(parse(header, 0), Ranged::Unsatisfiable, "{header}");
        }
    }
}
