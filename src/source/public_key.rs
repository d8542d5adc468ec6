//! The public key of a certificate that nobody checks, whatever else is in it: of version 1, say, or with
//! extensions that a verifier would have to know. libpq looks at no more either.

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
/// `[0]`: the version, which one of version 1 does not have.
const VERSION: u8 = 0xa0;

/// The `SubjectPublicKeyInfo` of a certificate, as its parts follow each other in RFC 5280, 4.1.
pub(super) fn public_key(
    certificate: &CertificateDer<'_>,
) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let (certificate, _) = Part::first(certificate)?;
    let (to_be_signed, _) = Part::first(certificate.of(SEQUENCE)?)?;
    let (first, mut rest) = Part::first(to_be_signed.of(SEQUENCE)?)?;
    if first.tag == VERSION {
        (_, rest) = Part::first(rest).filter(|(serial, _)| serial.tag == INTEGER)?;
    }
    // The signature's algorithm, the issuer, the validity, the subject.
    for _ in 0..4 {
        (_, rest) = Part::first(rest).filter(|(part, _)| part.tag == SEQUENCE)?;
    }
    let (key, _) = Part::first(rest)?;
    key.of(SEQUENCE)?;
    Some(SubjectPublicKeyInfoDer::from(key.whole.to_vec()))
}

/// A value in DER.
struct Part<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Part<'a> {
    /// The value at the begin of `bytes`, and what follows it.
    fn first(bytes: &'a [u8]) -> Option<(Part<'a>, &'a [u8])> {
        let (&tag, rest) = bytes.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            short @ 0..=0x7f => (usize::from(short), rest),
            long @ 0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = &bytes[..bytes.len() - rest.len()];
        Some((Part { tag, content, whole }, rest))
    }

    fn of(&self, tag: u8) -> Option<&'a [u8]> {
        (self.tag == tag).then_some(self.content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PublicKeyData};

    fn certificate() -> (KeyPair, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["source.example".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (key, certificate.der().clone())
    }

    #[test]
    fn the_key_is_the_certificates() {
        let (key, certificate) = certificate();
        assert_eq!(public_key(&certificate).unwrap().as_ref(), key.subject_public_key_info());
    }

    #[test]
    fn a_certificate_that_is_cut_or_damaged_has_no_key_and_does_no_harm() {
        let (_, certificate) = certificate();
        for length in 0..certificate.len() {
            let _ = public_key(&CertificateDer::from(&certificate[..length]));
        }
        assert!(public_key(&CertificateDer::from(&certificate[..40])).is_none());
        let mut bytes = certificate.to_vec();
        for n in 0..bytes.len() {
            bytes[n] ^= 0xff;
            let _ = public_key(&CertificateDer::from(bytes.as_slice()));
            bytes[n] ^= 0xff;
        }
    }
}
