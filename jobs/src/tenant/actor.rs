//! The actor that caused a job: an account, a person named by an issuer or the product, an API key, a schedule, a
//! webhook or the operator.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::InvalidId;
use crate::id::serde_as_text;
use crate::webhook::WebhookId;

/// Names an API key. Not secret: it is the part of the key that finds its row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiKeyId(Arc<str>);

impl ApiKeyId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApiKeyId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let ok = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if (8..=32).contains(&text.len()) && text.bytes().all(ok) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId::new("API key id", "8 to 32 of a-z and 0-9"))
        }
    }
}

impl TryFrom<String> for ApiKeyId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ApiKeyId> for String {
    fn from(id: ApiKeyId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The actor that caused a job: the answer to "why does this run?" in the stamp, the audit log and the traces.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A person.
    User(Identity),
    /// A program that holds an API key of the tenant.
    ApiKey(ApiKeyId),
    /// A schedule of the tenant, by name. It has the current permissions of the person who created it.
    Schedule(Arc<str>),
    /// An endpoint that was made by an administrator of the tenant. It delivers its events, also after that person
    /// left: whether there is still such an endpoint is looked up when the job runs.
    Webhook(WebhookId),
    /// The operator of the installation. May create tenants; is not a member of any.
    Operator,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(identity) => identity.fmt(f),
            Self::ApiKey(id) => write!(f, "api_key:{id}"),
            Self::Schedule(name) => write!(f, "schedule:{name}"),
            Self::Webhook(id) => write!(f, "webhook:{id}"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

impl FromStr for Actor {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new("actor", "an identity, api_key:…, schedule:…, webhook:… or operator");
        let named = |name: &str| (1..=255).contains(&name.len()) && !name.chars().any(char::is_control);
        match text.split_once(':') {
            Some(("api_key", id)) => id.parse().map(Self::ApiKey),
            Some(("webhook", id)) => id.parse().map(Self::Webhook),
            Some(("schedule", name)) => {
                if named(name) {
                    Ok(Self::Schedule(name.into()))
                } else {
                    Err(invalid())
                }
            }
            Some(_) => text.parse().map(Self::User).map_err(|_| invalid()),
            None if text == "operator" => Ok(Self::Operator),
            None => Err(invalid()),
        }
    }
}

impl TryFrom<String> for Actor {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.to_string()
    }
}

serde_as_text!(ApiKeyId);
serde_as_text!(Actor);

/// A person, identified by provider and name: the same name from two providers is two people.
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

/// The provider that named a person.
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

    /// The person that `issuer` calls `subject`.
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

    /// The person that the product calls `subject`.
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

    /// The provider that gave the name.
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

    /// The identity without a provider under which an older membership of this person may be stored. Never for an
    /// account: its name can be chosen by a stranger later.
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

/// The name of an account, or of the person an invitation is for. It never changes, and it is lower case, so that no
/// two names differ by case alone.
///
/// ```
/// use jobs::tenant::Subject;
/// assert!("ann@example.com".parse::<Subject>().is_ok());
/// assert!("Ann".parse::<Subject>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(Arc<str>);

serde_as_text!(Subject);

impl Subject {
    /// The longest name, in characters.
    pub const MAX_LENGTH: usize = 128;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Subject {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = |byte: u8| plain(byte) || b"._@+-".contains(&byte);
        let fits = (1..=Self::MAX_LENGTH).contains(&text.len());
        if fits && text.bytes().take(1).all(plain) && text.bytes().all(inner) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId::new(
                "subject",
                "1 to 128 of a-z, 0-9 and . _ @ + -, beginning with a letter or digit",
            ))
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn actors_survive_the_trip_through_text() {
        for text in [
            "local:ann@example.com",
            "product:a:b",
            "issuer:https://id.example.com/#Ann",
            "user:ann",
            "api_key:abcd1234",
            "schedule:nightly",
            "webhook:wh_0123456789abcdef01234567",
            "operator",
        ] {
            assert_eq!(text.parse::<Actor>().unwrap().to_string(), text);
        }
        for bad in ["", "user:", "root", "operator:x", "api_key:A", "schedule:", "product:a\nb", "local:Ann"]
        {
            assert!(bad.parse::<Actor>().is_err(), "{bad:?}");
        }
    }

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

    #[test]
    fn a_subject_is_plain_lower_case_ascii() {
        let long = "a".repeat(Subject::MAX_LENGTH);
        for good in ["a", "ann", "0", "ann.b+c_d@example-1.com", long.as_str()] {
            assert_eq!(good.parse::<Subject>().unwrap().as_str(), good);
        }
        let longer = "a".repeat(Subject::MAX_LENGTH + 1);
        for bad in ["", "Ann", ".ann", "@", "a b", "a/b", "a:b", "a\nb", "аnn", "ann'--", "$ne", &longer] {
            assert!(bad.parse::<Subject>().is_err(), "{bad:?}");
        }
    }
}
