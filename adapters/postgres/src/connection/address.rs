//! What is checked in a connection URL before libpq sees it: libpq quotes what it can't read, or takes it for the name
//! of a host, and that may be a part of a password.

const UNESCAPED: &str =
    "holds a character in its user or password that must be percent-encoded, as %40 for @ or %2F for /";

/// Checks that libpq will read a connection URL as it is meant (PostgreSQL documentation, "Connection URIs"). A list of
/// `name=value` is not looked at.
///
/// # Errors
/// What is wrong with it, in words that quote nothing of it.
pub fn check_url(url: &str) -> Result<(), &'static str> {
    let Some((_, rest)) = url.split_once("://") else { return Ok(()) };
    // As libpq does: the first @ ends the login, unless there is a slash before it.
    let login_end = rest.find(['@', '/']).filter(|at| rest[*at..].starts_with('@'));
    let behind = login_end.map_or(rest, |at| &rest[at + 1..]);
    let (hosts, tail) = behind.split_at(behind.find(['/', '?']).unwrap_or(behind.len()));
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    if hosts.contains('@') || path.contains('@') {
        return Err(UNESCAPED);
    }
    if !hosts.split(',').all(is_host) {
        return Err(
            "must name its servers as HOST, HOST:PORT or [IPv6]:PORT, and percent-encode what is else in the password",
        );
    }
    if !query.is_empty() && !query.split('&').all(|parameter| parameter.matches('=').count() == 1) {
        return Err(
            "must have parameters of the form name=value, joined by &, and percent-encode such characters in values",
        );
    }
    if !is_percent_encoded(rest) {
        return Err("must have two hexadecimal digits, not both zero, behind each %");
    }
    Ok(())
}

fn is_host(host: &str) -> bool {
    let port = match host.strip_prefix('[') {
        Some(ip) => match ip.split_once(']') {
            Some((ip, port)) if !ip.is_empty() && (port.is_empty() || port.starts_with(':')) => {
                port.trim_start_matches(':')
            }
            Some(_) | None => return false,
        },
        None => host.split_once(':').map_or("", |(_, port)| port),
    };
    port.bytes().all(|b| b.is_ascii_digit())
}

fn is_percent_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|behind| {
        let digits = behind.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit) && digits != b"00")
    })
}

#[cfg(test)]
mod tests;
