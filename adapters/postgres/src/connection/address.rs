//! Checks a connection URL before libpq sees it. libpq quotes text that it can't parse, or takes it for the name of a
//! host, and that text may be part of a password.

const UNESCAPED: &str =
    "holds a character in its user or password that must be percent-encoded, as %40 for @ or %2F for /";

/// Checks that libpq will parse a connection URL as intended (PostgreSQL documentation, "Connection URIs"). A list of
/// `name=value` is not checked.
///
/// # Errors
/// Says what is wrong, without quoting the URL. The user has to correct it.
pub fn check_url(url: &str) -> Result<(), &'static str> {
    let Some((_, rest)) = url.split_once("://") else { return Ok(()) };
    // As in libpq, the first @ ends the login, unless a slash comes before it.
    let login_end = rest.find(['@', '/']).filter(|at| rest[*at..].starts_with('@'));
    let after_login = login_end.map_or(rest, |at| &rest[at + 1..]);
    let (hosts, tail) = after_login.split_at(after_login.find(['/', '?']).unwrap_or(after_login.len()));
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
    let mut names: Vec<&str> =
        query.split('&').filter_map(|parameter| parameter.split_once('=')).map(|(name, _)| name).collect();
    names.sort_unstable();
    // libpq takes the last of equal names: an earlier sslmode would be lost.
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("must give each parameter once");
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
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit) && digits != b"00")
    })
}

#[cfg(test)]
mod tests;
