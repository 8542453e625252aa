use std::str::FromStr;

use jobs::tenant::TenantId;
use secrecy::{ExposeSecret as _, SecretString};
use stores::model::InvitationSecret;
use uuid::Uuid;

use super::api_key::SecretHash;

/// What an invited person shows: `inv_{tenant}_{invitation}_{secret}`. A tenant id contains no `_`.
#[derive(Debug, Clone)]
pub struct InvitationToken {
    /// The tenant that it claims to be of.
    pub tenant: TenantId,
    /// Names the invitation.
    pub id: Uuid,
    secret: SecretString,
}

/// A text that is no invitation. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an invitation: expected inv_<tenant>_<invitation>_<secret>")]
pub struct InvalidInvitation;

impl InvitationToken {
    const PREFIX: &'static str = "inv_";

    /// A new one, with a random secret.
    #[must_use]
    pub fn fresh(tenant: &TenantId) -> Self {
        let secret = hex::encode(rand::random::<[u8; 32]>());
        Self { tenant: tenant.clone(), id: Uuid::now_v7(), secret: secret.into() }
    }

    /// The whole text, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{}{}_{}_{}", Self::PREFIX, self.tenant, self.id.simple(), self.secret.expose_secret())
    }

    /// The id and the hash under which the invitation's row is stored.
    #[must_use]
    pub fn stored(&self) -> InvitationSecret {
        InvitationSecret { id: self.id, sha256: SecretHash::of(&self.secret).to_hex() }
    }
}

impl FromStr for InvitationToken {
    type Err = InvalidInvitation;

    fn from_str(text: &str) -> Result<Self, InvalidInvitation> {
        let mut parts = text.strip_prefix(Self::PREFIX).ok_or(InvalidInvitation)?.splitn(3, '_');
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or(InvalidInvitation);
        let tenant = next()?.parse().map_err(|_| InvalidInvitation)?;
        let id = next()?.parse().map_err(|_| InvalidInvitation)?;
        Ok(Self { tenant, id, secret: next()?.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_survives_the_trip_through_text_and_shows_its_secret_nowhere_else() {
        let token = InvitationToken::fresh(&"acme-2".parse().unwrap());
        let text = token.reveal();
        let read: InvitationToken = text.parse().unwrap();
        assert_eq!((&read.tenant, read.id, read.reveal()), (&token.tenant, token.id, text.clone()));
        assert_eq!(read.stored().sha256, token.stored().sha256);
        let (_, secret) = text.rsplit_once('_').unwrap();
        assert!(!format!("{token:?}").contains(secret) && token.stored().sha256 != secret);
        for bad in [
            "",
            "inv_",
            "inv_acme",
            "inv_acme_1_x",
            "inv_ACME_0190b5a87c0070008000000000000000_x",
            &text[4..],
        ] {
            assert!(bad.parse::<InvitationToken>().is_err(), "{bad}");
        }
    }
}
