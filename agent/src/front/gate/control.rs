//! The decision on a request to the control listener. Pure.
//!
//! A certificate of a known name allows every action but to act as the user: to make login links and to
//! read what apps printed. A token that comes along decides alone, so that a program of the control
//! plane can be given less, or that one thing more. Browsers do not come here: there is no cookie, and
//! what another site's page could send has no certificate.

use super::{APP_ACTION, Bearer, Refusal, Verdict, Via};

/// What the client's certificate is worth now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// No authority vouches for it any more, or it has expired since the handshake.
    Refused,
    /// It has no name of `control.allowed_san`.
    WrongName,
    Good,
}

/// May who shows this certificate ask anything at all?
pub fn known(certificate: Certificate) -> Result<(), Refusal> {
    match certificate {
        Certificate::Good => Ok(()),
        Certificate::Refused => Err(Refusal::NotVouchedFor),
        Certificate::WrongName => Err(Refusal::WrongName),
    }
}

/// May this request pass, which needs `action`? `""` is no action: only the machine itself may.
pub fn decide(action: &str, certificate: Certificate, bearer: Bearer) -> Verdict {
    known(certificate)?;
    match bearer {
        Bearer::Known { may: true } => Ok(Via::Bearer),
        Bearer::Known { may: false } => Err(Refusal::TokenMayNot),
        Bearer::Unknown => Err(Refusal::UnknownToken),
        Bearer::Absent if action.is_empty() || action == APP_ACTION => Err(Refusal::ControlMayNot),
        Bearer::Absent => Ok(Via::Certificate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination() {
        const STOP: &str = "computes/stop/action";
        for certificate in [Certificate::Refused, Certificate::WrongName, Certificate::Good] {
            for action in ["computes/read", STOP, APP_ACTION, ""] {
                for bearer in [
                    Bearer::Absent,
                    Bearer::Unknown,
                    Bearer::Known { may: false },
                    Bearer::Known { may: true },
                ] {
                    let verdict = decide(action, certificate, bearer);
                    let by_itself = bearer == Bearer::Absent && !["", APP_ACTION].contains(&action);
                    let expected = certificate == Certificate::Good
                        && (by_itself || bearer == Bearer::Known { may: true });
                    assert_eq!(verdict.is_ok(), expected, "{action} {certificate:?} {bearer:?}");
                    if certificate == Certificate::WrongName {
                        assert_eq!(verdict, Err(Refusal::WrongName));
                    }
                }
            }
        }
    }
}
