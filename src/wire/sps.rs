//! How high the pictures of an H.264 stream are, by its sequence parameter set (ITU-T H.264 section 7.3.2.1.1).

use super::dependency::Bits;

/// Profiles whose parameter sets tell of chroma and scaling.
const HIGH: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
/// The longest parameter set that is read; theirs are some ten bytes.
const LONGEST: usize = 512;
/// Numbers in Exp-Golomb code that are longer do not stand in a parameter set.
const MOST_ZEROS: usize = 16;

/// The height in pixels that a sequence parameter set tells, beginning with its NAL unit header. `None` for what cannot be
/// read.
#[must_use]
pub fn height(unit: &[u8]) -> Option<u16> {
    let bytes = unescaped(unit.get(1..)?);
    let mut bits = Bits::new(&bytes);
    let profile = bits.take(8)?;
    bits.skip(16)?;
    number(&mut bits)?;
    let chroma = if HIGH.contains(&profile) { skip_chroma(&mut bits)? } else { 1 };
    number(&mut bits)?;
    skip_picture_order(&mut bits)?;
    number(&mut bits)?;
    bits.skip(1)?;
    let _width = number(&mut bits)?;
    let units = number(&mut bits)? + 1;
    let only_frames = bits.take(1)? == 1;
    if !only_frames {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    let fields = if only_frames { 1 } else { 2 };
    let mut height = units.checked_mul(16 * fields)?;
    if bits.take(1)? == 1 {
        let [_left, _right, top, bottom] =
            [number(&mut bits)?, number(&mut bits)?, number(&mut bits)?, number(&mut bits)?];
        let rows = if chroma == 1 { 2 * fields } else { fields };
        height = height.checked_sub((top + bottom).checked_mul(rows)?)?;
    }
    u16::try_from(height).ok()
}

/// Without the bytes that keep start codes from appearing.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let (mut plain, mut zeros) = (Vec::new(), 0);
    for byte in bytes.iter().take(LONGEST) {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

/// A number in Exp-Golomb code (section 9.1).
fn number(bits: &mut Bits<'_>) -> Option<u32> {
    let mut zeros = 0;
    while bits.take(1)? == 0 {
        zeros += 1;
        if zeros > MOST_ZEROS {
            return None;
        }
    }
    let mut value = 1_u32;
    for _ in 0..zeros {
        value = value << 1 | u32::from(bits.take(1)?);
    }
    Some(value - 1)
}

/// The same, for a number that may be negative.
fn signed(bits: &mut Bits<'_>) -> Option<i32> {
    let value = i32::try_from(number(bits)?).ok()?;
    Some(if value % 2 == 0 { -(value / 2) } else { value / 2 + 1 })
}

/// Passes over what only high profiles tell. Returns the format of chroma: 1 for 4:2:0.
fn skip_chroma(bits: &mut Bits<'_>) -> Option<u32> {
    let chroma = number(bits)?;
    if chroma == 3 {
        bits.skip(1)?;
    }
    number(bits)?;
    number(bits)?;
    bits.skip(1)?;
    if bits.take(1)? == 1 {
        for list in 0..if chroma == 3 { 12 } else { 8 } {
            if bits.take(1)? == 1 {
                skip_scaling(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(chroma)
}

fn skip_scaling(bits: &mut Bits<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..size {
        if next != 0 {
            next = (last + signed(bits)?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn skip_picture_order(bits: &mut Bits<'_>) -> Option<()> {
    match number(bits)? {
        0 => {
            number(bits)?;
        }
        1 => {
            bits.skip(1)?;
            number(bits)?;
            number(bits)?;
            for _ in 0..number(bits)?.min(255) {
                number(bits)?;
            }
        }
        _ => {}
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of an encoder for 1920 x 1080 (68 rows of macroblocks, cropped), Constrained Baseline.
    fn full_hd(profile: u8) -> Vec<u8> {
        fn code(numbers: &[u32]) -> String {
            let code = |number: &u32| {
                let binary = format!("{:b}", number + 1);
                "0".repeat(binary.len() - 1) + &binary
            };
            numbers.iter().map(code).collect()
        }
        let chroma = if profile == 100 { code(&[1, 0, 0]) + "00" } else { String::new() };
        // The length of frame numbers, order type 2, one reference; the size; what is cut off at the bottom.
        let rest =
            [code(&[4, 2, 1]), "0".into(), code(&[119, 67]), "111".into(), code(&[0, 0, 0, 4])].concat();
        let bits = code(&[0]) + &chroma + &rest + "0100000000";
        let bytes = bits.as_bytes().chunks_exact(8);
        let bytes = bytes.map(|byte| byte.iter().fold(0, |value, bit| value << 1 | (bit - b'0')));
        [0x67, profile, 0, 40].into_iter().chain(bytes).collect()
    }

    #[test]
    fn heights_are_found() {
        assert_eq!(height(&full_hd(66)), Some(1_080));
        assert_eq!(height(&full_hd(100)), Some(1_080));
        assert_eq!(height(&full_hd(66)[..6]), None);
        assert_eq!(height(&[]), None);
    }

    #[test]
    fn bytes_that_only_keep_start_codes_away_are_no_content() {
        assert_eq!(unescaped(&[0, 0, 3, 1, 0, 3, 0, 0, 0, 3]), [0, 0, 1, 0, 3, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(unit in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = height(&unit);
        }
    }
}
