//! Who a person is: a name, and who gave it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{InvalidId, Subject};
use crate::as_text::serde_as_text;

/// A person, told apart by who vouches for the name: the same name from two providers is two people.
///
/// The text form is the key of memberships and the actor in stamps:
///
/// | text | provider |
/// |---|---|
/// | `local:ann` | an account of this installation, which logs in with a password |
/// | `issuer:https://id.example.com/#248289761001` | the `OpenID` issuer before the `#`; its `sub` is case-sensitive |
/// | `product:ann` | the program that signs tokens with our secret, or that embeds the library |
/// | `user:ann` | unknown: a membership or a stamp from before identities named their provider |
///
/// ```
/// use jobs::tenant::Identity;
/// let ann: Identity = "local:ann".parse().unwrap();
/// assert_eq!(ann.subject(), "ann");
/// assert_ne!(ann, "product:ann".parse().unwrap());
/// assert!("ann".parse::<Identity>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    provider: Provider,
    subject: Arc<str>,
}

/// Who gave a person their name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Provider {
    /// This installation: the name is that of an account.
    Local,
    /// An `OpenID` issuer, by its `iss`.
    Issuer(Arc<str>),
    /// The program that signs tokens with our secret, or embeds the library: it vouches for whom it names.
    Product,
    /// Unknown: an issuer or the product, before identities named their provider. No credentials are of this kind.
    Legacy,
}

serde_as_text!(Identity);

/// The longest `sub` and the longest `iss`, in bytes: `OpenID` Connect Core 1.0 limits `sub` to 255.
const LONGEST: usize = 255;

fn is_name(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn invalid() -> InvalidId {
    InvalidId::new("identity", "local:NAME, product:SUB or issuer:URL#SUB")
}

impl Identity {
    /// The account called `name`.
    #[must_use]
    pub fn local(name: &Subject) -> Self {
        Self { provider: Provider::Local, subject: name.as_str().into() }
    }

    /// Whom `issuer` calls `subject`.
    ///
    /// # Errors
    /// When either cannot be part of an identity.
    pub fn issued(issuer: &str, subject: &str) -> Result<Self, InvalidId> {
        if Self::is_issuer(issuer) && is_name(subject) {
            Ok(Self { provider: Provider::Issuer(issuer.into()), subject: subject.into() })
        } else {
            Err(invalid())
        }
    }

    /// Whom the product calls `subject`.
    ///
    /// # Errors
    /// When it has no character, more than 255 bytes, or control characters.
    pub fn product(subject: &str) -> Result<Self, InvalidId> {
        Self::named(Provider::Product, subject)
    }

    fn named(provider: Provider, subject: &str) -> Result<Self, InvalidId> {
        if is_name(subject) { Ok(Self { provider, subject: subject.into() }) } else { Err(invalid()) }
    }

    /// Whether `iss` can be part of an identity: `OpenID` Connect gives issuers no fragment, so a `#` ends it.
    #[must_use]
    pub fn is_issuer(iss: &str) -> bool {
        is_name(iss) && !iss.contains(['#', ' '])
    }

    /// Who gave the name.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The name.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The name of the account, if this is one.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        (self.provider == Provider::Local).then_some(&*self.subject)
    }

    /// Under which identity a membership from before may be this one's. Never for an account: who makes one later
    /// chooses its name.
    #[must_use]
    pub fn legacy(&self) -> Option<Self> {
        match self.provider {
            Provider::Issuer(_) | Provider::Product => {
                Some(Self { provider: Provider::Legacy, subject: Arc::clone(&self.subject) })
            }
            Provider::Local | Provider::Legacy => None,
        }
    }

    /// Whether a role in a stamp counts without a membership: the program that names this identity decided so when it
    /// had the job stamped.
    #[must_use]
    pub fn is_vouched_for(&self) -> bool {
        matches!(self.provider, Provider::Product | Provider::Legacy)
    }
}

impl FromStr for Identity {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once(':').ok_or_else(invalid)? {
            ("local", name) => name.parse().map(|name| Self::local(&name)).map_err(|_| invalid()),
            ("product", subject) => Self::product(subject),
            ("issuer", rest) => {
                let (issuer, subject) = rest.split_once('#').ok_or_else(invalid)?;
                Self::issued(issuer, subject)
            }
            ("user", subject) => Self::named(Provider::Legacy, subject),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, subject } = self;
        match provider {
            Provider::Local => write!(f, "local:{subject}"),
            Provider::Issuer(issuer) => write!(f, "issuer:{issuer}#{subject}"),
            Provider::Product => write!(f, "product:{subject}"),
            Provider::Legacy => write!(f, "user:{subject}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn identities_survive_the_trip_through_text() {
        for text in [
            "local:ann@example.com",
            "product:Ann Müller",
            "product:local:ann",
            "issuer:https://id.example.com/#local:Ann#2",
            "user:ann",
        ] {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
        let long = format!("product:{}", "a".repeat(256));
        for bad in [
            "",
            "ann",
            "local:",
            "local:Ann",
            "local:a b",
            "product:",
            "product:a\nb",
            "issuer:https://id.example.com/",
            "issuer:#ann",
            "issuer:https://id example.com#ann",
            "Local:ann",
            "operator",
            &long,
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_name_from_several_providers_is_several_people() {
        let name = "ann".parse().unwrap();
        let all = [
            Identity::local(&name),
            Identity::product("ann").unwrap(),
            Identity::product("Ann").unwrap(),
            Identity::product("local:ann").unwrap(),
            Identity::issued("https://a.example.com", "ann").unwrap(),
            Identity::issued("https://a.example.com/", "ann").unwrap(),
            Identity::issued("https://b.example.com", "ann").unwrap(),
        ];
        let texts: BTreeSet<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), all.len());
        assert!(
            Identity::issued("https://a.example.com/#x", "ann").is_err(),
            "or #x#ann would be two people"
        );
    }

    #[test]
    fn a_membership_from_before_is_never_an_accounts() {
        let legacy = |text: &str| text.parse::<Identity>().unwrap().legacy().map(|found| found.to_string());
        assert_eq!(legacy("product:ann"), Some("user:ann".into()));
        assert_eq!(legacy("issuer:https://id.example.com/#ann"), Some("user:ann".into()));
        assert_eq!((legacy("local:ann"), legacy("user:ann")), (None, None));
    }
}
