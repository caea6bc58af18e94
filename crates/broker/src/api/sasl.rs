//! SaslHandshake, SaslAuthenticate.

use super::text;
use crate::net::dispatch::Session;
use crate::sasl::{Exchange, MECHANISMS, Mechanism};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use std::time::Duration;

/// Who fails has to wait this long for the news.
const PENALTY: Duration = Duration::from_millis(200);

/// Chooses a mechanism.
pub async fn handshake(
    session: &mut Session,
    q: SaslHandshakeRequest,
    version: i16,
) -> SaslHandshakeResponse {
    let error = if session.access.users.is_none() {
        ResponseError::IllegalSaslState.code()
    } else {
        match (Mechanism::named(&q.mechanism), &session.exchange) {
            (Some(mechanism), Exchange::Begin) => {
                session.exchange = Exchange::Chosen { mechanism, raw: version == 0 };
                0
            }
            (Some(_), _) => ResponseError::IllegalSaslState.code(),
            (None, _) => ResponseError::UnsupportedSaslMechanism.code(),
        }
    };
    let mechanisms = MECHANISMS.iter().map(|m| text(*m)).collect();
    SaslHandshakeResponse::default().with_error_code(error).with_mechanisms(mechanisms)
}

/// One message of the mechanism.
pub async fn authenticate(session: &mut Session, q: SaslAuthenticateRequest) -> SaslAuthenticateResponse {
    let answer = SaslAuthenticateResponse::default();
    match step(session, &q.auth_bytes).await {
        Ok(bytes) => answer.with_auth_bytes(bytes.into()),
        Err(words) => answer
            .with_error_code(ResponseError::SaslAuthenticationFailed.code())
            .with_error_message(Some(text(words))),
    }
}

/// The same without a request around it.
pub async fn step(session: &mut Session, message: &[u8]) -> Result<Vec<u8>, &'static str> {
    let Some(users) = session.access.users.clone() else { return Err("nobody asks for a name here") };
    let answer = session.exchange.step(users.as_ref(), message).await;
    if answer.is_err() {
        session.exchange = Exchange::Failed;
        tracing::info!(peer = %session.peer, "a client could not say who it is");
        tokio::time::sleep(PENALTY).await;
    }
    answer
}
