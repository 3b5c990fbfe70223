//! Tests of zstd.

use std::io::Cursor;

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

fn packed(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

fn unpacked(packed: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Unpacked::new(Box::new(Cursor::new(packed))).read_to_end(&mut text).map(|_| text)
}

#[test]
fn all_frames_are_unpacked() {
    let long = b"records ".repeat(50_000);
    let skippable = [&[0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let file = [skippable.clone(), packed(&long), packed(b""), skippable, packed(b"end")].concat();
    assert!(is_zstd(&file) && is_zstd(&packed(b"")) && !is_zstd(b"\x28\xb5\x2f"));
    assert_eq!(unpacked(file).unwrap(), [&long[..], b"end"].concat());
    // Written by `printf 'recordId\n' | zstd`.
    let cli = b"\x28\xb5\x2f\xfd\x04\x58\x49\x00\x00recordId\n";
    assert!(unpacked(cli.to_vec()).is_err(), "its checksum is missing");
}

#[test]
fn broken_data_is_a_fault() {
    let whole = packed(&b"records ".repeat(1_000));
    for cut in [5, whole.len() / 2, whole.len() - 1] {
        assert!(unpacked(whole[..cut].to_vec()).is_err(), "cut at {cut}");
    }
    let mut changed = packed(b"records, each once");
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert!(unpacked(changed).is_err(), "the checksum is compared");
    assert!(unpacked([packed(b"a"), b"junk".to_vec()].concat()).is_err());
    assert!(unpacked(vec![0x51, 0x2a, 0x4d, 0x18, 9, 0, 0, 0, 1]).is_err());
}
