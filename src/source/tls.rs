//! TLS for the source connection: libpq's `sslmode` on top of rustls.

use super::error::SourceError;
use super::options::{ConnectSpec, SslMode};
use super::public_key::public_key;
use postgres::tls::{MakeTlsConnect, TlsConnect};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature,
    verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use std::error::Error as _;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_postgres_rustls::MakeRustlsConnect;

/// A socket with TLS over it.
pub(super) type Encrypted = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::Stream;

const ACTION: &str = "set up TLS for the source";

/// Makes the connector that `spec` asks for.
///
/// # Errors
/// A permanent [`SourceError`] when a certificate or key file cannot be read or used.
pub fn connector(spec: &ConnectSpec) -> Result<MakeRustlsConnect, SourceError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| refused(&e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier(spec, provider)?);
    let config = match (&spec.sslcert, &spec.sslkey) {
        (Some(cert), Some(key)) => builder
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(|e| refused(&format!("client certificate \"{cert}\": {e}")))?,
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(refused("sslcert and sslkey go together")),
    };
    Ok(MakeRustlsConnect::new(config))
}

/// Agrees on TLS with the server `host`.
///
/// # Errors
/// [`is_about_tls`] tells what kind it is.
pub(super) async fn handshake(
    connector: &mut MakeRustlsConnect,
    host: &str,
    sslmode: SslMode,
    socket: TcpStream,
) -> io::Result<Encrypted> {
    // A name that no certificate can have matters only where it is verified.
    let host = match ServerName::try_from(host) {
        Err(_) if sslmode != SslMode::VerifyFull => "localhost",
        _ => host,
    };
    let Ok(connect) = MakeTlsConnect::<TcpStream>::make_tls_connect(connector, host);
    connect.connect(socket).await
}

/// Whether it is what was said, and not that the connection was lost.
pub(super) fn is_about_tls(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidInput
        || error.get_ref().is_some_and(|cause| cause.is::<Error>())
}

/// What the server or this side holds against TLS, where the client library met that: from TLS 1.3 on, a
/// server refuses a client's certificate after the handshake.
pub(super) fn trouble(error: &postgres::Error) -> Option<String> {
    let cause = error.source()?.downcast_ref::<io::Error>()?;
    is_about_tls(cause).then(|| format!("error performing TLS handshake: {cause}"))
}

fn refused(message: &str) -> SourceError {
    SourceError::permanent(ACTION, "08001", message)
        .with_hint("Check sslmode, sslrootcert, sslcert and sslkey; files are read by the stage server's own user.")
}

/// No file of certificates is larger.
const LARGEST_FILE: u64 = 4 << 20;

/// Reads a PEM file. The path is an option that others than superusers may set: what is no such file
/// (a device, a pipe) is not read, and of what it holds nothing gets into an error.
fn pem(path: &str) -> Result<Vec<u8>, SourceError> {
    let read = || -> std::io::Result<Option<Vec<u8>>> {
        // Nor is a pipe waited for.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        // By what comes, not by the size it says: files of the kernel say none.
        let length = file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
        Ok((length as u64 <= LARGEST_FILE).then_some(bytes))
    };
    match read() {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(refused(&format!("\"{path}\" is no file of certificates"))),
        Err(e) => Err(refused(&format!("file \"{path}\": {e}"))),
    }
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, SourceError> {
    match CertificateDer::pem_slice_iter(&pem(path)?).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(refused(&format!("no certificate in \"{path}\""))),
        Err(_) => Err(refused(&format!("file \"{path}\" is not in the PEM format"))),
    }
}

fn private_key(path: &str) -> Result<PrivateKeyDer<'static>, SourceError> {
    PrivateKeyDer::from_pem_slice(&pem(path)?)
        .map_err(|_| refused(&format!("no private key in \"{path}\"")))
}

fn verifier(
    spec: &ConnectSpec,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, SourceError> {
    // As libpq: where a root certificate is given, `require` verifies the chain.
    let check = match (spec.sslmode, &spec.sslrootcert) {
        (SslMode::VerifyFull, _) => Check::Name,
        (SslMode::VerifyCa, _) | (SslMode::Require, Some(_)) => Check::Chain,
        _ => Check::Nothing,
    };
    if check == Check::Nothing {
        return Ok(Arc::new(Verifier { check, provider, chain: None, roots: Vec::new() }));
    }
    let roots = match spec.sslrootcert.as_deref() {
        None | Some("system") => rustls_native_certs::load_native_certs().certs,
        Some(path) => certificates(path)?,
    };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
        .build()
        .map_err(|e| refused(&format!("root certificates: {e}")))?;
    Ok(Arc::new(Verifier { check, provider, chain: Some(chain), roots }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Nothing,
    Chain,
    Name,
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
    roots: Vec<CertificateDer<'static>>,
}

/// Checks that who shows the certificate has its key; of the certificate, nothing else matters.
fn verify_tls12_by_key(
    message: &[u8],
    cert: &CertificateDer<'_>,
    dss: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let spki = public_key(cert).ok_or(CertificateError::BadEncoding)?;
    let key =
        webpki::RawPublicKeyEntity::try_from(&spki).map_err(|_| CertificateError::BadEncoding)?;
    // In TLS 1.2, the scheme leaves the curve open.
    let mut fitting = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == dss.scheme);
    let by_key = fitting.any(|(_, each)| {
        each.iter().any(|one| key.verify_signature(*one, message, dss.signature()).is_ok())
    });
    match by_key {
        true => Ok(HandshakeSignatureValid::assertion()),
        false => Err(CertificateError::BadSignature.into()),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        // A server's own self-signed certificate given as the root: OpenSSL takes it, webpki does
        // not (it is an authority's certificate used as a server's).
        if self.roots.iter().any(|root| root.as_ref() == end_entity.as_ref()) {
            if self.check == Check::Name {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        let verified =
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == Check::Chain => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        if self.check == Check::Nothing {
            return verify_tls12_by_key(message, cert, dss, algorithms);
        }
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        if self.check == Check::Nothing {
            let key = public_key(cert).ok_or(CertificateError::BadEncoding)?;
            return verify_tls13_signature_with_raw_key(message, &key, dss, algorithms);
        }
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
