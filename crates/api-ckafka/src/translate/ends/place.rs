//! What an end is reached through: a connection of the kind that the type asks for, or the address in the request.

use crate::fault;
use crate::request::{Ask, MAX_ID, given, path};
use api::{Fault, Params};
use model::{Connection, EndKind, PipelineEnd};
use serde_json::{Map, Value};

/// Bytes of a host's name at most.
const MAX_HOST: usize = 253;

/// A connection of this kind that the request names.
///
/// # Errors
/// `NotAllowedEmpty`; a missing one; `InvalidParameterValue` one of another kind; `FailedOperation` one of a product that
/// the server can't use.
pub async fn connection(ask: &Ask<'_>, at: &str, id: &str, kind: EndKind) -> Result<Connection, Fault> {
    match find(ask, at, id, kind).await? {
        Some(found) => Ok(found),
        None => Err(missing(ask, at, id)),
    }
}

/// The same, `None` where there is none.
///
/// # Errors
/// As [`connection`], but for a missing one.
pub async fn find(ask: &Ask<'_>, at: &str, id: &str, kind: EndKind) -> Result<Option<Connection>, Fault> {
    let field = path(at, "Resource");
    if id.is_empty() {
        return Err(fault::empty(&field));
    }
    if id.len() > MAX_ID {
        return Err(fault::value(format!("The parameter `{field}` may have {MAX_ID} bytes.")));
    }
    match ask.find_connection(id).await? {
        Some(found) if found.kind == Some(kind) => Ok(Some(found)),
        Some(found) if found.kind.is_none() => Err(fault::not_here(
            &field,
            &format!("connections of {} can be kept but not used yet", found.product),
        )),
        Some(found) => Err(fault::value(format!(
            "The parameter `{field}` names a connection of {}, which does not go with the Type.",
            found.product
        ))),
        None => Ok(None),
    }
}

/// A user's own connection that is not there is a missing instance; a cloud's instance is a missing resource.
pub fn missing(ask: &Ask<'_>, at: &str, id: &str) -> Fault {
    let message = format!("The parameter `{}` names {id}, which does not exist.", path(at, "Resource"));
    if id.starts_with("resource-") {
        let code = ask.fault(&control::Error::not_found(control::Noun::Connection, id)).code;
        return Fault::tencent(code, message);
    }
    fault::refuse(fault::NOT_FOUND, message)
}

/// An end at an HTTP server: through the connection, or by the request's own address, user and password where no
/// connection has the name.
///
/// # Errors
/// As [`connection`].
pub async fn http_end(
    ask: &Ask<'_>,
    at: &str,
    p: &Params<'_>,
    kind: EndKind,
    options: Map<String, Value>,
) -> Result<PipelineEnd, Fault> {
    let id = p.text("Resource");
    let mut end = super::end(kind, None, options);
    if find(ask, at, id, kind).await?.is_some() {
        end.connection = Some(id.into());
        return Ok(end);
    }
    let given_host = given(p, "ServiceVip").or_else(|| given(p, "Ip"));
    let (Some(name), Some(port)) = (given_host, p.u64("Port")) else {
        return Err(missing(ask, at, id));
    };
    let scheme = crate::request::one_of(p, at, "Protocol", &["http", "https"])?;
    let url = format!("{scheme}://{}:{}", host(at, name)?, self::port(at, port)?);
    let mut address = Map::new();
    address.insert("url".to_owned(), url.into());
    super::put(&mut address, "user", given(p, "UserName"));
    end.address = Value::Object(address).to_string();
    end.secret = given(p, "Password").map(|s| ask.control.seal(s));
    Ok(end)
}

/// A host's name or address that can stand in a URL. IPv6 addresses get their brackets.
///
/// # Errors
/// `InvalidParameterValue`.
pub fn host(at: &str, name: &str) -> Result<String, Fault> {
    if !is_host(name) {
        return Err(fault::value(format!("The parameter `{at}` names no host.")));
    }
    let bare = name.contains(':') && !name.starts_with('[');
    Ok(if bare { format!("[{name}]") } else { name.to_owned() })
}

/// Letters, digits, `.`, `-`, `_`; or an IPv6 address.
#[must_use]
pub fn is_host(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    if bare.contains(':') {
        return bare.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=MAX_HOST).contains(&name.len()) && name.bytes().all(word) && name.bytes().any(|b| b != b'.')
}

/// A port.
///
/// # Errors
/// `InvalidParameterValue`.
pub fn port(at: &str, port: u64) -> Result<u16, Fault> {
    u16::try_from(port)
        .ok()
        .filter(|p| *p > 0)
        .ok_or_else(|| fault::value(format!("The parameter `{at}.Port` must be between 1 and 65535.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        assert_eq!(host("x", "es.example.com").unwrap(), "es.example.com");
        assert_eq!(host("x", "::1").unwrap(), "[::1]");
        assert_eq!(host("x", "[::1]").unwrap(), "[::1]");
        for bad in ["", "a b", "a/b", "a@b", "a:b", "http://a", ".", "a\"", &"a".repeat(254)] {
            assert!(host("x", bad).is_err(), "{bad}");
        }
        assert!(port("x", 0).is_err() && port("x", 65_536).is_err() && port("x", 9200).is_ok());
    }
}
