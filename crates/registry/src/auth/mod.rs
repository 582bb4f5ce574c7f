//! Convincing registries: credentials from files and helpers, and the tokens that registries give for them.

mod credentials;
mod file;
mod helper;
mod invalid;
mod token;
mod tokens;

pub use credentials::{Credentials, Given};
pub use invalid::Invalid;
pub use tokens::Login;
pub(crate) use tokens::{Scope, Tokens, Wanted};
