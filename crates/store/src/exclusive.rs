//! A store that no other process has open.

use std::ops::Deref;

use crate::error::Error;
use crate::store::Store;

/// A store that this process has for itself. It is what removing things takes.
#[derive(Debug)]
pub struct Exclusive(Store);

/// What to do when other processes use the store.
#[derive(Clone, Copy)]
pub enum Wait<'a> {
    /// Fail with [`Error::InUse`].
    No,
    /// Call this once, then wait until they are done.
    Yes(&'a dyn Fn()),
}

impl Exclusive {
    /// Takes the store for this process alone. What was read of it before may have changed by then. A process that has it
    /// open twice waits for itself.
    ///
    /// # Errors
    /// [`Error::InUse`]; those of the file system.
    pub fn take(store: Store, wait: Wait<'_>) -> Result<Self, Error> {
        if store.try_exclusive()? {
            return Ok(Self(store));
        }
        match wait {
            Wait::No => Err(Error::InUse { path: store.path().to_owned() }),
            Wait::Yes(notice) => {
                notice();
                store.wait_exclusive()?;
                Ok(Self(store))
            }
        }
    }
}

impl Deref for Exclusive {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.0
    }
}

impl std::fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::No => "No",
            Self::Yes(_) => "Yes",
        })
    }
}
