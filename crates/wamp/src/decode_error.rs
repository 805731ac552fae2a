//! What can be wrong with a message's bytes, and what becomes of it. Must not know the encodings.

use super::{
    Abort, ClosingDetails, Message, MessageType, PayloadError, RequestId, SHOWN, error_uri,
    excerpt, tokens::Head,
};

/// Why bytes are not a message to act upon.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They are not of the encoding, or an element is not what it should be. The specification
    /// makes it a protocol violation.
    #[error("{}{}", context(*.message_type), excerpt(.source.to_string(), SHOWN))]
    Malformed {
        /// The message it would have been, where that is known.
        message_type: Option<MessageType>,
        /// The request of the INVOCATION it would have been, where that is known.
        invocation: Option<RequestId>,
        /// What the reader says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// They are a message, given without its payload: that is nested too deep to be passed on.
    #[error("{}{}", context(Some(.0.message_type())), PayloadError::TooDeep)]
    TooDeep(Box<Message>),
}

impl DecodeError {
    /// The request of the INVOCATION that it is, or would have been, for the callee to answer.
    pub fn invocation(&self) -> Option<RequestId> {
        match self {
            Self::Malformed { invocation, .. } => *invocation,
            Self::TooDeep(message) => {
                if let Message::Invocation(invocation) = &**message {
                    Some(invocation.request)
                } else {
                    None
                }
            }
        }
    }
}

/// What becomes of bytes that cannot be read as a message.
#[cold]
pub(super) fn malformed(
    head: Head,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> Result<Message, DecodeError> {
    let Head {
        message_type,
        invocation,
    } = head;
    // "ABORT": no response to it is expected, so none says what is wrong with one.
    if message_type == Some(MessageType::Abort) {
        let why = excerpt(format!("invalid ABORT message: {source}"), SHOWN);
        let details = ClosingDetails { message: Some(why) };
        let reason = error_uri::PROTOCOL_VIOLATION.into();
        return Ok(Abort { details, reason }.into());
    }
    Err(DecodeError::Malformed {
        message_type,
        invocation,
        source,
    })
}

fn context(message_type: Option<MessageType>) -> String {
    message_type.map_or_else(String::new, |t| format!("invalid {} message: ", t.name()))
}
