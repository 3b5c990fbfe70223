//! Says plainly why a service can't be reached, and the remedy.

use std::error::Error;
use std::io;

use rustls::Error as TlsError;

/// Says whether another attempt would fail as well: the service and this client do not agree on TLS.
pub(crate) fn is_lasting(error: &reqwest::Error) -> bool {
    tls_error(error).is_some_and(|error| of_tls(error).is_some())
}

/// Returns the reason and the remedy of a failed connection, where they are known.
pub(super) fn remedy(error: &reqwest::Error) -> Option<String> {
    if let Some(error) = tls_error(error) {
        return of_tls(error);
    }
    let causes = || causes(error);
    let kind = causes().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).last();
    let reason = match kind {
        Some(io::ErrorKind::ConnectionRefused) => {
            "connection refused: nothing listens there; start the service, or correct the address"
        }
        _ if error.is_connect() && error.is_timeout() => {
            "it does not answer; correct the address, or let the firewall pass the connection"
        }
        _ if causes().any(|cause| cause.to_string() == "dns error") => {
            "its host name is not known; correct the address"
        }
        // A service with HTTPS answers clear text by an alert of TLS, which is no HTTP.
        _ if causes().any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)) => {
            "its answer is no HTTP; if the service has HTTPS, begin the address with https://"
        }
        _ => return None,
    };
    Some(reason.to_owned())
}

fn tls_error(error: &reqwest::Error) -> Option<&TlsError> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| next(*cause))
}

/// Returns the next cause. The inner error of an [`io::Error`] is not its source, but stands in its place.
fn next<'e>(cause: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => cause.source(),
    }
}

fn of_tls(error: &TlsError) -> Option<String> {
    match error {
        TlsError::InvalidMessage(_) => {
            Some("its port speaks no TLS; begin the address with http://, or give the port of HTTPS".to_owned())
        }
        TlsError::InvalidCertificate(_) => {
            Some(format!("{error}; name the authority of its certificate with --ca-file"))
        }
        _ => None,
    }
}
