use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, password_hash};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// Hashes passwords and checks them: argon2id, each in a thread of its own, a few at once, because each takes
/// much memory on purpose.
#[derive(Clone)]
pub struct Passwords {
    room: Arc<Semaphore>,
}

/// The hashing failed, which says nothing about the password.
#[derive(Debug, thiserror::Error)]
pub enum Hashing {
    /// A stored hash cannot be read, or the parameters cannot be used.
    #[error("the password's hash cannot be used: {0}")]
    Hash(password_hash::Error),
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
}

/// Why a text is no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {} to {} characters", Passwords::MIN_CHARS, Passwords::MAX_CHARS)]
pub struct PasswordFault;

/// A hash at full cost, checked for unknown users so that they take as long as a wrong password.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$BDpxh3TFcr2KJa2+sb/NXA$qqlAJmTxpB9A67xSyZk+tmrrNmYClY/fqig7ceZNsSM";

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self { room: Arc::new(Semaphore::new(cores)) }
    }
}

impl Passwords {
    const MIN_CHARS: usize = 8;
    const MAX_CHARS: usize = 256;
    /// The most memory that checking an imported hash may take: 256 MiB.
    const MAX_MEMORY_KIB: u32 = 256 << 10;
    const MAX_ROUNDS: u32 = 16;

    /// Whether a text may become a password.
    ///
    /// # Errors
    /// When it is too short or too long.
    pub fn check(password: &SecretString) -> Result<(), PasswordFault> {
        let chars = password.expose_secret().chars().take(Self::MAX_CHARS + 1).count();
        if (Self::MIN_CHARS..=Self::MAX_CHARS).contains(&chars) { Ok(()) } else { Err(PasswordFault) }
    }

    /// Whether `hash` can be checked against: a PHC string of argon2 whose cost is within bounds.
    #[must_use]
    pub fn takes(hash: &str) -> bool {
        let Ok(hash) = PasswordHash::new(hash) else { return false };
        let known = Algorithm::try_from(hash.algorithm).is_ok();
        let sane = Params::try_from(&hash)
            .is_ok_and(|cost| cost.m_cost() <= Self::MAX_MEMORY_KIB && cost.t_cost() <= Self::MAX_ROUNDS);
        known && sane && hash.salt.is_some() && hash.hash.is_some()
    }

    /// The hash of a password, as it is stored.
    ///
    /// # Errors
    /// When the process is stopping.
    pub async fn hash(&self, password: SecretString) -> Result<String, Hashing> {
        self.aside(move || {
            let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(Hashing::Hash)?;
            let hash = Argon2::default().hash_password(password.expose_secret().as_bytes(), &salt);
            Ok(hash.map_err(Hashing::Hash)?.to_string())
        })
        .await
    }

    /// Whether `password` is the one behind `hash`. Without a hash it never is, which takes as long to say.
    ///
    /// # Errors
    /// When the hash cannot be used.
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, Hashing> {
        self.aside(move || {
            let long = password.expose_secret().len() > Self::MAX_CHARS * 4;
            let (password, hash) = if long { (SecretString::default(), None) } else { (password, hash) };
            let known = hash.is_some();
            let text = hash.unwrap_or_else(|| DECOY.to_owned());
            let hash = PasswordHash::new(&text).map_err(Hashing::Hash)?;
            match Argon2::default().verify_password(password.expose_secret().as_bytes(), &hash) {
                Ok(()) => Ok(known),
                Err(password_hash::Error::Password) => Ok(false),
                Err(error) => Err(Hashing::Hash(error)),
            }
        })
        .await
    }

    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Hashing> + Send + 'static,
    ) -> Result<T, Hashing> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Hashing::Stopping)?;
        let work = move || {
            // Also when the request is given up: what was begun still takes its memory.
            let _room = room;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Hashing::Stopping)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse".into()).await.unwrap(), "salted");
        assert!(passwords.verify("correct horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horsf".into(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), None).await.unwrap());
        assert!(passwords.verify("x".into(), Some("plain".into())).await.is_err());
    }

    #[test]
    fn the_decoy_costs_what_a_real_hash_costs() {
        let hash = PasswordHash::new(DECOY).unwrap();
        let (decoy, usual) = (Params::try_from(&hash).unwrap(), Params::default());
        assert_eq!(
            (decoy.m_cost(), decoy.t_cost(), decoy.p_cost()),
            (usual.m_cost(), usual.t_cost(), usual.p_cost())
        );
    }

    #[test]
    fn only_hashes_of_argon2_with_a_sane_cost_are_taken() {
        assert!(Passwords::takes(DECOY));
        assert!(Passwords::takes(&DECOY.replace("argon2id", "argon2i")));
        for bad in [
            String::new(),
            "secret".into(),
            "$2b$12$abcdefghijklmnopqrstuv".into(),
            DECOY.replace("m=19456", "m=4194304"),
            DECOY.replace("t=2", "t=4000"),
            DECOY.replace("argon2id", "scrypt"),
            DECOY.rsplit_once('$').unwrap().0.to_owned(),
        ] {
            assert!(!Passwords::takes(&bad), "{bad}");
        }
    }

    #[test]
    fn passwords_have_a_length() {
        for (chars, good) in [(7, false), (8, true), (256, true), (257, false)] {
            assert_eq!(Passwords::check(&"é".repeat(chars).into()).is_ok(), good, "{chars}");
        }
    }
}
