//! Recognises the kind of a file that should be PEM (RFC 7468) and is not.

/// Says what is wrong with the beginning of a file that should be PEM. A PEM parser skips unknown text: a certificate
/// behind a byte order mark would be missing from the chain.
#[must_use]
pub fn pem_fault(file: &[u8]) -> Option<&'static str> {
    match file {
        [] => Some("it is empty"),
        [0xef, 0xbb, 0xbf, ..] => Some("it begins with a byte order mark (BOM): save it as UTF-8 without one"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("it is text in UTF-16: save it as UTF-8 without a byte order mark"),
        // A sequence of ASN.1, its length in two or more bytes.
        [0x30, 0x81..=0x84, ..] => {
            Some("it is DER or PKCS#12, and not PEM: convert it, e.g. by openssl x509 -inform DER or openssl pkcs12")
        }
        _ => None,
    }
}
