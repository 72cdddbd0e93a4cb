//! Natural order of file names: `frame2` before `frame10`.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::Chars;

/// Compares names with runs of digits taken as numbers; equal numbers of different length by length,
/// so that the order is total.
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.chars().peekable(), b.chars().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return a.cmp(b),
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (x, y) = (number(&mut left), number(&mut right));
                x.len().cmp(&y.len()).then_with(|| x.cmp(&y))
            }
            _ => left.next().cmp(&right.next()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// The digits at the front, without leading zeros.
fn number(chars: &mut Peekable<Chars>) -> String {
    let mut digits = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        if digit != '0' || !digits.is_empty() {
            digits.push(digit);
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = vec![
            "f10.png",
            "f9.png",
            "f010.png",
            "f1b2.png",
            "f1b10.png",
            "a.png",
            "f.png",
            "00000.png",
            "99999999999999999999999.png",
            "1.png",
        ];
        names.sort_by(|a, b| natural_order(a, b));
        let expected = [
            "00000.png",
            "1.png",
            "99999999999999999999999.png",
            "a.png",
            "f.png",
            "f1b2.png",
            "f1b10.png",
            "f9.png",
            "f010.png",
            "f10.png",
        ];
        assert_eq!(names, expected);
    }
}
