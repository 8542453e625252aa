//! The embedding program's own things, for its handlers.

use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;

use jobs::JobError;

/// One value of each type, shared by all jobs of a worker: connection pools, clients, configuration. Never a
/// tenant's data: a job of another tenant holds the same values.
#[derive(Default)]
pub(crate) struct State {
    values: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl State {
    /// Adds a value, in place of one of the same type.
    pub(crate) fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Box::new(value));
    }

    /// The value of type `T`. A worker that was started without it is at fault, not the job: it is tried
    /// again.
    pub(crate) fn get<T: Send + Sync + 'static>(&self) -> Result<&T, JobError> {
        let value = self.values.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref());
        value.ok_or_else(|| JobError::retry(format!("the worker was started without a {}", type_name::<T>())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_type_and_a_missing_one_is_named() {
        let mut state = State::default();
        state.insert(7_u8);
        state.insert(8_u8);
        assert_eq!(*state.get::<u8>().unwrap(), 8);
        let missing = jobs::error::report(&state.get::<u16>().unwrap_err());
        assert!(missing.contains("u16"), "{missing}");
    }
}
